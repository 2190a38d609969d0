"""Block lists of PDQ hashes: reading them. ``pdq_index`` searches them.

No list is shipped: lists of known abuse material need agreements with those who keep them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gensafe.core.errors import ConfigError
from gensafe.core.textfile import read_text

_HASH: Final = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class ListEntry:
    """One listed hash: 32 bytes, what category it stands for, and the list's own name for it."""

    digest: bytes
    category: str
    label: str


def parse_list(text: str, category: str, name: str) -> list[ListEntry]:
    """Read a list in one of three forms.

    - ThreatExchange JSON: an object with ``data``, or an array, or one object a line, of descriptors with ``indicator``
      (also ``hash`` or ``value``) and optionally ``type`` (``HASH_PDQ``; others are skipped) and ``id``;
    - CSV: a column that holds 64 hex digits, the others ignored but for an ``id`` before or after it;
    - plain lines of 64 hex digits, ``#`` begins a comment.

    Args:
        text: The list.
        category: Hazard category its entries stand for.
        name: For labels and error messages.

    Raises:
        ConfigError: not one hash in it, or JSON that is none.
    """
    stripped = text.lstrip()
    rows = _json_rows(stripped, name) if stripped[:1] in ("{", "[") else _line_rows(text)
    found = [ListEntry(bytes.fromhex(digest), category, f"{name}:{label}") for digest, label in rows]
    if not found:
        raise ConfigError(f"the hash list {name} holds no PDQ hash of 64 hex digits")
    return found


def _json_rows(text: str, name: str) -> list[tuple[str, str]]:
    try:
        try:
            whole = json.loads(text)
            items = whole.get("data", [whole]) if isinstance(whole, dict) else whole
        except json.JSONDecodeError:
            items = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (json.JSONDecodeError, RecursionError) as error:
        raise ConfigError(f"the hash list {name} is not valid JSON") from error
    rows: list[tuple[str, str]] = []
    for item in items if isinstance(items, list) else []:
        if not isinstance(item, Mapping) or str(item.get("type", "PDQ")).upper() not in ("PDQ", "HASH_PDQ"):
            continue
        digest = str(item.get("indicator") or item.get("hash") or item.get("value") or "")
        if _HASH.fullmatch(digest):
            rows.append((digest, str(item.get("id", len(rows) + 1))[:80]))
    return rows


def _line_rows(text: str) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        cells = [c.strip().strip('"') for c in line.split("#", 1)[0].split(",")]
        for cell in cells:
            if _HASH.fullmatch(cell):
                rows.append((cell, str(number)))
    return rows


def read_lists(spec: str) -> list[ListEntry]:
    """Read the lists named by an option: ``[category=]path`` separated by commas; the category is ``lst`` by default.

    Raises:
        ConfigError: a file cannot be read or holds no hash.
    """
    entries: list[ListEntry] = []
    for part in filter(None, (p.strip() for p in spec.split(","))):
        category, separator, path = part.partition("=")
        if not separator:
            category, path = "lst", part
        text = read_text(path, "lists")
        entries += parse_list(text, category, Path(path).stem)
    return entries
