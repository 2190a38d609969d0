"""Block lists of recordings and clips: one JSON object a line, written by ``gensafe hashlist``, beside PDQ hashes.

A line has ``type``, ``id`` and ``indicator``. ``HASH_PDQ``: 64 hex digits (ThreatExchange). ``HASH_AUDIO``: 8 hex
digits for each sub-fingerprint. ``HASH_VPDQ``: the PDQ hashes of a clip's frames, 64 hex digits each, with blanks
between.
"""

from __future__ import annotations

import re

import numpy as np

from gensafe.core.errors import ConfigError
from gensafe.safety.signals.audio_print import PrintEntry
from gensafe.safety.signals.hashlist import ListEntry
from gensafe.safety.signals.list_rows import AUDIO, VPDQ, checked_hash, list_files


def read_audio_lists(spec: str) -> list[PrintEntry]:
    """Recordings in the lists that an option names (``[category=]path``, separated by commas).

    Raises:
        ConfigError: a file cannot be read, a row of it is not understood, or it lists no recording.
    """
    found = []
    for part in list_files(spec, AUDIO):
        for row in part.rows:
            if not re.fullmatch(r"(?:[0-9a-fA-F]{8})+", row.value):
                raise ConfigError(
                    f"{part.name}, {row.place}: a fingerprint is 8 hex digits for each sub-fingerprint", field="lists"
                )
            codes = np.frombuffer(bytes.fromhex(row.value), ">u4").astype(np.uint32)
            found.append(PrintEntry(codes, part.category, f"{part.name}:{row.label}"))
    return found


def read_video_lists(spec: str) -> list[list[ListEntry]]:
    """Clips in the lists that an option names: for each the hashes of its frames.

    Raises:
        ConfigError: as ``read_audio_lists``.
    """
    found = []
    for part in list_files(spec, VPDQ):
        for row in part.rows:
            frames = [checked_hash(frame, row.place, part.name) for frame in row.value.split()]
            label = f"{part.name}:{row.label}"
            found.append([ListEntry(bytes.fromhex(frame), part.category, label) for frame in frames])
    return found
