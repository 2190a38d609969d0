"""Block lists of PDQ hashes: reading them, and an exact search of every entry within 31 bits.

Matching at a distance of at most 31, and not matching pictures of quality below 50, follow the authors' advice
(ThreatExchange, pdq/README). No list is shipped: lists of known abuse material need agreements with those who keep
them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import ConfigError

MATCH_BITS: Final = 31
QUALITY_MIN: Final = 50
_HASH: Final = re.compile(r"[0-9a-fA-F]{64}")
_CHUNKS: Final = 16
_SCAN_BELOW: Final = 20_000  # a plain scan is as fast as the index up to here


@dataclass(frozen=True, slots=True)
class ListEntry:
    """One listed hash: 32 bytes, what category it stands for, and the list's own name for it."""

    digest: bytes
    category: str
    label: str


@dataclass(frozen=True, slots=True)
class ListHit:
    """A listed entry and its distance in bits."""

    entry: ListEntry
    distance: int


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
        if not isinstance(item, Mapping) or "PDQ" not in str(item.get("type", "PDQ")).upper():
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
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the hash list {path} cannot be read: {type(error).__name__}") from error
        entries += parse_list(text, category, Path(path).stem)
    return entries


@dataclass(slots=True)
class PdqIndex:
    """Finds every entry within ``MATCH_BITS`` bits, exactly.

    Up to 20,000 entries by a scan. Above, by multi-index hashing (Norouzi et al., CVPR 2012): of 16 pieces of 16
    bits, at least one differs by no more than one bit when the whole differs by no more than 31, so looking up each
    piece and its 16 one-bit neighbours finds every match.
    """

    entries: list[ListEntry]
    _words: NDArray[np.uint64] = field(init=False)
    _order: NDArray[np.uint32] | None = field(init=False, default=None)
    _starts: NDArray[np.uint32] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        raw = np.frombuffer(b"".join(e.digest for e in self.entries), np.uint8).reshape(-1, 32)
        self._words = np.ascontiguousarray(raw).view(np.uint64)
        if len(self.entries) >= _SCAN_BELOW:
            self._build(raw)

    def _build(self, raw: NDArray[np.uint8]) -> None:
        pieces = np.ascontiguousarray(raw).view(np.uint16)
        self._order = np.empty((_CHUNKS, len(raw)), np.uint32)
        self._starts = np.empty((_CHUNKS, 65_537), np.uint32)
        for chunk in range(_CHUNKS):
            order = np.argsort(pieces[:, chunk], kind="stable").astype(np.uint32)
            self._order[chunk] = order
            self._starts[chunk] = np.searchsorted(pieces[order, chunk], np.arange(65_537))

    def search(self, digests: Iterable[bytes], bits: int = MATCH_BITS) -> list[ListHit]:
        """The entries within ``bits`` of any of ``digests`` (32 bytes each), nearest first, each at most once.

        Args:
            digests: Hashes of one picture (its turns and mirror images).
            bits: At most MATCH_BITS: further away the index would miss some.
        """
        best: dict[int, int] = {}
        for digest in digests if len(self.entries) else ():
            query = np.frombuffer(digest, np.uint8)
            rows = self._candidates(query)
            words = self._words if rows is None else self._words[rows]
            distance = np.bitwise_count(words ^ query.view(np.uint64)).sum(axis=1)
            for at in np.flatnonzero(distance <= min(bits, MATCH_BITS)):
                index = int(at if rows is None else rows[at])
                best[index] = min(best.get(index, 256), int(distance[at]))
        ranked = sorted(best.items(), key=lambda pair: (pair[1], pair[0]))
        return [ListHit(self.entries[index], distance) for index, distance in ranked]

    def _candidates(self, query: NDArray[np.uint8]) -> NDArray[np.uint32] | None:
        if self._order is None or self._starts is None:
            return None
        neighbours = np.concatenate([[0], 1 << np.arange(16)]).astype(np.uint16)
        parts = []
        for chunk, piece in enumerate(query.view(np.uint16)):
            starts = self._starts[chunk]
            for key in (piece ^ neighbours).astype(np.int64):
                parts.append(self._order[chunk, starts[key] : starts[key + 1]])
        return np.unique(np.concatenate(parts))
