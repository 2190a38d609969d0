"""The linear screen: hashed n-grams, one logistic unit per head, int8 weights; spans from the weights themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gensafe.safety.hashing import BUCKETS, WORD_BITS, buckets, grams

_CHARS = 1 << WORD_BITS  # the first row of the character table, which follows the table of words


def features(bucket: NDArray[np.int64], idf: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(distinct buckets, values): inverse document frequencies, unit length per table (words, characters)."""
    ordered = np.sort(bucket)
    unique = ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))] if len(ordered) else ordered
    values = idf[unique].astype(np.float32)
    cut = int(np.searchsorted(unique, _CHARS))
    for part in (values[:cut], values[cut:]):
        norm = float(np.sqrt(np.dot(part, part)))
        if norm > 0:
            part /= norm
    return unique, values


@dataclass(frozen=True)
class LinearScreen:
    """Weights of the screen. ``weights``: int8 (BUCKETS, heads); a head's logit is scale * (x @ weights) + bias."""

    heads: tuple[str, ...]
    weights: NDArray[np.int8]
    scale: NDArray[np.float32]
    bias: NDArray[np.float32]
    idf: NDArray[np.float32]

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], heads: Sequence[str]) -> LinearScreen:
        """From the tensors of a weights file.

        Raises:
            ValueError: shapes do not fit.
        """
        weights, idf = tensors["weights"], tensors["idf"].astype(np.float32) / np.float32(16)
        if weights.shape != (BUCKETS, len(heads)) or weights.dtype != np.int8 or idf.shape != (BUCKETS,):
            raise ValueError("the weights do not fit this version of the screen")
        return cls(tuple(heads), weights, tensors["scale"], tensors["bias"], idf)

    def logits(self, text: str) -> NDArray[np.float32]:
        """(heads,) logits of (normalised) ``text``."""
        unique, values = features(buckets(text), self.idf)
        product = values @ self.weights[unique].astype(np.float32)
        return np.asarray(product * self.scale + self.bias, np.float32)

    def contributions(self, text: str, head: int) -> NDArray[np.float32]:
        """(len(text),) how much each character adds to the logit of ``head``: its n-grams' shares, spread evenly."""
        found = grams(text)
        unique, values = features(found.bucket, self.idf)
        per_bucket = values * self.weights[unique, head].astype(np.float32) * self.scale[head]
        where = np.searchsorted(unique, found.bucket)
        count = np.bincount(where, minlength=len(unique))
        share = per_bucket[where] / count[where] / np.maximum(1, found.end - found.start)
        # a difference array: each n-gram adds its share to every character it covers
        size = len(text) + 1
        edge = np.bincount(found.start, share, size) - np.bincount(found.end, share, size)
        return np.cumsum(edge)[: len(text)].astype(np.float32)
