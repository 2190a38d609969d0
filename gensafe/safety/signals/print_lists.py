"""Block lists of recordings and clips: one JSON object a line, written by ``gensafe hashlist``, beside PDQ hashes.

A line has ``type``, ``id`` and ``indicator``. ``HASH_PDQ``: 64 hex digits (ThreatExchange). ``HASH_AUDIO``: 8 hex
digits for each sub-fingerprint. ``HASH_VPDQ``: the PDQ hashes of a clip's frames, 64 hex digits each, with blanks
between.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gensafe.core.errors import ConfigError
from gensafe.core.textfile import read_text
from gensafe.safety.signals.audio_print import PrintEntry
from gensafe.safety.signals.hashlist import ListEntry


def read_audio_lists(spec: str) -> list[PrintEntry]:
    """Recordings in the lists that an option names (``[category=]path``, separated by commas).

    Raises:
        ConfigError: a file cannot be read, or one line of it is not what it says.
    """
    found = []
    for category, name, row in _rows(spec, "HASH_AUDIO"):
        if not re.fullmatch(r"(?:[0-9a-fA-F]{8})+", row["indicator"]):
            raise ConfigError(
                f"{name} {row['id']}: a fingerprint is 8 hex digits for each sub-fingerprint", field="lists"
            )
        codes = np.frombuffer(bytes.fromhex(row["indicator"]), ">u4").astype(np.uint32)
        found.append(PrintEntry(codes, category, f"{name}:{row['id']}"))
    return found


def read_video_lists(spec: str) -> list[list[ListEntry]]:
    """Clips in the lists that an option names: for each the hashes of its frames.

    Raises:
        ConfigError: as ``read_audio_lists``.
    """
    found = []
    for category, name, row in _rows(spec, "HASH_VPDQ"):
        frames = row["indicator"].split()
        if not frames or not all(re.fullmatch(r"[0-9a-fA-F]{64}", f) for f in frames):
            raise ConfigError(f"{name} {row['id']}: a clip is PDQ hashes of 64 hex digits", field="lists")
        label = f"{name}:{row['id']}"
        found.append([ListEntry(bytes.fromhex(f), category, label) for f in frames])
    return found


def _rows(spec: str, kind: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    """(category, list's name, row) for every row of ``kind``; other kinds are skipped."""
    for part in filter(None, (p.strip() for p in spec.split(","))):
        category, separator, path = part.partition("=")
        if not separator:
            category, path = "lst", part
        lines = read_text(path, "lists").splitlines()
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row: Any = json.loads(line)
            except (json.JSONDecodeError, RecursionError) as error:
                raise ConfigError(f"{path}, line {number}: not a JSON object", field="lists") from error
            if isinstance(row, dict) and row.get("type") == kind:
                about = {"id": str(row.get("id", number))[:80], "indicator": str(row.get("indicator", ""))}
                yield category, Path(path).stem, about
