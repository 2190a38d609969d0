"""Search of block lists: every entry within so many bits of a picture's hashes.

Matching at a distance of at most 31, and not matching pictures of quality below 50, follow the authors' advice
(ThreatExchange, pdq/README).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.safety.signals.hashlist import ListEntry

MATCH_BITS: Final = 31  # of 256: the authors' advice, see above
QUALITY_MIN: Final = 50  # of 100: the authors' advice, see above
_CHUNKS: Final = 16  # of 16 bits each: 31 wrong bits leave one or none in some chunk (two in each would be 32)
_SCAN_BELOW: Final = 20_000  # a plain scan is as fast as the index up to here
_BLOCK: Final = 1 << 21  # comparisons at a time: what they need stays within a few megabytes
# a chunk itself and the 16 that differ from it in one bit
_NEIGHBOURS: Final = np.concatenate([[0], 1 << np.arange(16)]).astype(np.uint16)


@dataclass(frozen=True, slots=True)
class ListHit:
    """A listed entry and its distance in bits."""

    entry: ListEntry
    distance: int


@dataclass(slots=True)
class PdqIndex:
    """Finds every entry within 31 bits, exactly, and nearly all within 47.

    Up to 20,000 entries by a scan, exact at any distance. Above, by multi-index hashing (Norouzi et al., CVPR 2012): of
    16 pieces of 16 bits, at least one differs by no more than one bit when the whole differs by no more than 31, so
    looking up each piece and its 16 one-bit neighbours finds every match. At 47 bits spread by chance it still finds
    97.6 %.
    """

    entries: list[ListEntry]
    _words: NDArray[np.uint64] = field(init=False)  # (4, entries): a column is a hash
    _order: NDArray[np.uint32] | None = field(init=False, default=None)
    _starts: NDArray[np.uint32] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        raw = np.frombuffer(b"".join(e.digest for e in self.entries), np.uint8).reshape(-1, 32)
        self._words = np.ascontiguousarray(np.ascontiguousarray(raw).view(np.uint64).T)
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

    def search(self, digests: Iterable[bytes] | NDArray[np.uint8], bits: int = MATCH_BITS) -> list[ListHit]:
        """The entries within ``bits`` of any of ``digests``, nearest first, each at most once.

        Args:
            digests: Hashes of one picture (its turns, mirror images, crops): 32 bytes each, or uint8 (n, 32).
            bits: Above MATCH_BITS an index misses some; a scan never does.
        """
        if not self.entries:
            return []
        packed = digests if isinstance(digests, np.ndarray) else np.frombuffer(b"".join(digests), np.uint8)
        queries = np.ascontiguousarray(packed).reshape(-1, 32).view(np.uint64)
        best: dict[int, int] = {}
        step = max(1, _BLOCK // len(self.entries)) if self._order is None else 256
        for first in range(0, len(queries), step):
            part = queries[first : first + step]
            for index, distance in self._near(part, bits):
                best[index] = min(best.get(index, 256), distance)
        ranked = sorted(best.items(), key=lambda pair: (pair[1], pair[0]))
        return [ListHit(self.entries[index], distance) for index, distance in ranked]

    def _near(self, queries: NDArray[np.uint64], bits: int) -> list[tuple[int, int]]:
        if self._order is None or self._starts is None:
            distance = np.zeros((len(queries), len(self.entries)), np.uint16)
            for word, listed in zip(queries.T, self._words, strict=True):
                distance += np.bitwise_count(word[:, None] ^ listed[None])
            rows, columns = np.nonzero(distance <= bits)
            return [(int(c), int(distance[r, c])) for r, c in zip(rows, columns, strict=True)]
        found = []
        keys = np.ascontiguousarray(queries).view(np.uint16).reshape(-1, _CHUNKS)
        for chunk in range(_CHUNKS):
            near = (keys[:, chunk, None] ^ _NEIGHBOURS).astype(np.int64).ravel()
            begin, end = self._starts[chunk, near].astype(np.int64), self._starts[chunk, near + 1].astype(np.int64)
            count = end - begin
            owner = np.repeat(np.arange(near.size) // len(_NEIGHBOURS), count)
            at = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + np.repeat(begin, count)
            candidates = self._order[chunk, at]
            distance = np.zeros(candidates.size, np.uint16)
            for word in range(4):
                distance += np.bitwise_count(self._words[word, candidates] ^ queries[owner, word])
            found += [(int(candidates[i]), int(distance[i])) for i in np.flatnonzero(distance <= bits)]
        return found
