"""Hashed n-grams of a text, with the place of each: the features of the linear screen.

Words and word pairs go into one table, character 3- to 5-grams (spaces at word ends kept) into another; both are
polynomial hashes modulo 2^32, mixed and cut to the table size. All but the splitting into words is vectorised.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

WORD_BITS: Final = 17  # 131,072 rows a table; together with CHAR_BITS what the shipped weights have, so fixed by them
CHAR_BITS: Final = WORD_BITS
BUCKETS: Final = 2 << WORD_BITS  # both tables, one after the other
MIN_GRAM: Final = 3  # characters; as the shipped weights were trained, fixed by them
MAX_GRAM: Final = 5  # characters; as the shipped weights were trained, fixed by them
_TOKEN: Final = re.compile(r"[^\W_]+|[^\w\s]|_")
# the 32-bit prime of the FNV hash (Fowler, Noll and Vo), as the base of the polynomial
_P: Final = np.uint32(0x01000193)
# a prime near 2^32 over the golden ratio: multiplicative hashing (Knuth, TAOCP 3, 6.4)
_MIX: Final = np.uint32(0x9E3779B1)


@dataclass(frozen=True, slots=True)
class Grams:
    """``bucket[i]``: table row of n-gram i, which covers characters [start[i], end[i]); words and pairs come first."""

    bucket: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]


def buckets(text: str) -> NDArray[np.int64]:
    """Table rows of the n-grams of (normalised) ``text``: words, word pairs, character n-grams by size."""
    return _hashed(text, [m.span() for m in _TOKEN.finditer(text)])


@lru_cache(maxsize=16)  # one text is explained under several categories in a row
def grams(text: str) -> Grams:
    """The n-grams of (normalised) ``text`` with their places, in the order of ``buckets``."""
    tokens = [m.span() for m in _TOKEN.finditer(text)]
    spans = np.array(tokens, np.int64).reshape(-1, 2)
    starts, ends = [spans[:, 0], spans[:-1, 0]], [spans[:, 1], spans[1:, 1]]
    for size in range(MIN_GRAM, MAX_GRAM + 1):
        at = np.arange(max(0, len(text) + 3 - size), dtype=np.int64)  # of the text with a space on either side
        starts.append(np.maximum(at - 1, 0))
        ends.append(np.minimum(at - 1 + size, len(text)))
    return Grams(_hashed(text, tokens), np.concatenate(starts), np.concatenate(ends))


def _hashed(text: str, tokens: list[tuple[int, int]]) -> NDArray[np.int64]:
    hashes = np.array([zlib.crc32(text[a:b].encode("utf-8", "replace")) for a, b in tokens], np.uint32)
    pairs = _mix(hashes[:-1] * _MIX + np.uint32(1)) ^ hashes[1:]
    # one space on either side marks the ends of the text as word ends
    rolling = np.frombuffer(f" {text} ".encode("utf-32-le", "replace"), np.uint32)
    codes = rolling
    sized: list[NDArray[np.uint32]] = []
    for size in range(2, MAX_GRAM + 1):
        rolling = rolling[: max(0, len(codes) - size + 1)] * _P + codes[size - 1 :]
        if size >= MIN_GRAM:
            sized.append(rolling + np.uint32(size))
    words = len(hashes) + len(pairs)
    mixed = _mix(np.concatenate([hashes, pairs, *sized]))
    found = (mixed >> np.uint32(32 - WORD_BITS)).astype(np.int64)  # both tables have the same size
    found[words:] += 1 << WORD_BITS
    return found


def _mix(values: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Finaliser of MurmurHash3: spreads every bit, so that the top bits can be used."""
    values = (values ^ (values >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    values = (values ^ (values >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return values ^ (values >> np.uint32(16))
