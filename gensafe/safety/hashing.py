"""Hashed n-grams of a text, with the place of each: the features of the linear screen.

Words and word pairs go into one table, character 3- to 5-grams (spaces at word ends kept) into another; both are
polynomial hashes modulo 2^32, mixed and cut to the table size. All but the splitting into words is vectorised.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

WORD_BITS: Final = 17
CHAR_BITS: Final = 17
BUCKETS: Final = (1 << WORD_BITS) + (1 << CHAR_BITS)
MIN_GRAM: Final = 3
MAX_GRAM: Final = 5
_TOKEN: Final = re.compile(r"[^\W_]+|[^\w\s]|_")
_P: Final = np.uint32(0x01000193)
_MIX: Final = np.uint32(0x9E3779B1)


@dataclass(frozen=True, slots=True)
class Grams:
    """``bucket[i]``: table row of n-gram i, which covers characters [start[i], end[i]); ``words`` words come first."""

    bucket: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    words: int


def grams(text: str) -> Grams:
    """Hash the n-grams of (normalised) ``text``."""
    tokens = [m.span() for m in _TOKEN.finditer(text)]
    hashes = np.array([zlib.crc32(text[a:b].encode("utf-8", "replace")) for a, b in tokens], np.uint32)
    spans = np.array(tokens, np.int64).reshape(-1, 2)
    pairs = _mix(hashes[:-1] * _MIX + np.uint32(1)) ^ hashes[1:]
    word = np.concatenate([_mix(hashes), _mix(pairs)]) >> np.uint32(32 - WORD_BITS)
    starts = [spans[:, 0], spans[:-1, 0]]
    ends = [spans[:, 1], spans[1:, 1]]
    # one space on either side marks the ends of the text as word ends
    codes = np.frombuffer(f" {text} ".encode("utf-32-le", "replace"), np.uint32)
    char: list[NDArray[np.uint32]] = []
    rolling = np.zeros(len(codes), np.uint32)
    for size in range(1, MAX_GRAM + 1):
        rolling = rolling[: max(0, len(codes) - size + 1)] * _P + codes[size - 1 :]
        if size >= MIN_GRAM and len(rolling):
            char.append(_mix(rolling + np.uint32(size)) >> np.uint32(32 - CHAR_BITS))
            at = np.arange(len(rolling), dtype=np.int64)
            starts.append(np.maximum(at - 1, 0))
            ends.append(np.minimum(at - 1 + size, len(text)))
    buckets = np.concatenate([word, *(c + np.uint32(1 << WORD_BITS) for c in char)]).astype(np.int64)
    return Grams(buckets, np.concatenate(starts), np.concatenate(ends), len(word))


def _mix(values: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Finaliser of MurmurHash3: spreads every bit, so that the top bits can be used."""
    values = (values ^ (values >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    values = (values ^ (values >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return values ^ (values >> np.uint32(16))
