"""Polar code with successive-cancellation list decoding, vectorised over a batch of received words.

Arikan, "Channel polarization", IEEE Trans. IT 55(7), 2009; list decoding with an outer check after Tal and Vardy,
"List decoding of polar codes", IEEE Trans. IT 61(5), 2015; log-domain path metrics after Balatsoukas-Stimming et al.,
IEEE Trans. SP 63(19), 2015. The frozen set follows the polarization weight of He et al., "Beta-expansion" (Globecom
2017), which needs no channel model. The outer check is the caller's (here the payload's MAC): ``decode`` returns the
whole list, most likely first.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BETA: Final = 2.0**0.25  # 2^(1/4): He et al. 2017
_UNREACHED: Final = np.float32(1e30)  # a path metric that no real path reaches, finite so that sums stay finite


class PolarList(NamedTuple):
    """Candidates of a batch: ``bits`` (batch, list, K) uint8 and their ``metrics`` (batch, list), smaller is better."""

    bits: NDArray[np.uint8]
    metrics: NDArray[np.float32]


def check_length(length: int, size: int) -> int:
    """Return log2(length).

    Raises:
        ValueError: ``length`` is not a power of two, or holds fewer than ``size`` bits.
    """
    order = length.bit_length() - 1
    if length < 2 or length != 1 << order or size > length:
        raise ValueError(f"a polar code of {size} bits needs a power of two >= {size}, not {length}")
    return order


@lru_cache(maxsize=16)
def information_set(length: int, size: int) -> tuple[int, ...]:
    """The ``size`` most reliable of ``length`` synthetic channels, ascending."""
    order = check_length(length, size)
    index = np.arange(length)
    weight = np.zeros(length)
    for bit in range(order):
        weight += ((index >> bit) & 1) * _BETA**bit
    best = np.lexsort((index, np.round(weight, 9)))[::-1][:size]
    return tuple(int(i) for i in np.sort(best))


def transform(word: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Multiply (..., N) bits by the n-fold Kronecker power of [[1,0],[1,1]]; it is its own inverse."""
    out = np.array(word, np.uint8)
    length = out.shape[-1]
    half = 1
    while half < length:
        view = out.reshape(*out.shape[:-1], length // (2 * half), 2, half)
        view[..., 0, :] ^= view[..., 1, :]
        half *= 2
    return out


def encode(message: NDArray[np.uint8], length: int) -> NDArray[np.uint8]:
    """Encode (..., K) message bits into (..., length) coded bits."""
    size = message.shape[-1]
    word = np.zeros((*message.shape[:-1], length), np.uint8)
    word[..., list(information_set(length, size))] = message
    return transform(word)


def decode(llr: NDArray[np.float32], size: int, list_size: int = 8) -> PolarList:
    """List-decode a batch.

    Args:
        llr: (batch, N) log-likelihood ratios, positive = bit 0. Only their ratios matter to the min-sum rule used here:
            any common positive factor gives the same result.
        size: K, the number of message bits.
        list_size: paths kept.

    Returns:
        All ``list_size`` candidates per word, most likely first.
    """
    batch, length = llr.shape
    check_length(length, size)
    frozen = np.ones(length, bool)
    frozen[list(information_set(length, size))] = False
    run = _Run(frozen, batch, list_size)
    start = np.repeat(np.asarray(llr, np.float32)[:, None, :], list_size, axis=1)
    word, _ = run.node(start, 0)
    order = np.argsort(run.metric, axis=1, kind="stable")
    word = np.take_along_axis(transform(word), order[..., None], axis=1)
    return PolarList(word[..., ~frozen], np.take_along_axis(run.metric, order, axis=1))


class _Run:
    """One decoding pass: the path metrics, and the walk over the code tree.

    ``node`` returns the partial codeword of its subtree and, where paths were forked inside it, the index of the path
    each survivor came from, so that callers can reorder what they still hold.
    """

    def __init__(self, frozen: NDArray[np.bool_], batch: int, list_size: int) -> None:
        self.frozen = frozen
        self.paths = list_size
        self.metric = np.full((batch, list_size), _UNREACHED, np.float32)
        self.metric[:, 0] = 0
        self._words = np.arange(batch)[:, None]  # plain indexing is several times as fast as ``np.take_along_axis``

    def node(self, llr: NDArray[np.float32], first: int) -> tuple[NDArray[np.uint8], NDArray[np.intp] | None]:
        width = llr.shape[-1]
        frozen = self.frozen[first : first + width]
        if frozen.all():
            self.metric += np.maximum(-llr, 0).sum(-1)
            return np.zeros(llr.shape, np.uint8), None
        if frozen[:-1].all():  # repetition node: one information bit, sent `width` times
            return self._fork(llr)
        half = width // 2
        upper, lower = llr[..., :half], llr[..., half:]
        check = np.minimum(np.abs(upper), np.abs(lower))
        check = np.where((upper < 0) ^ (lower < 0), -check, check)
        left, origin = self.node(check, first)
        if origin is not None:
            llr = llr[self._words, origin]
            upper, lower = llr[..., :half], llr[..., half:]
        right, later = self.node(lower + np.where(left == 1, -upper, upper), first + half)
        if later is not None:
            left = left[self._words, later]
            origin = later if origin is None else origin[self._words, later]
        return np.concatenate([left ^ right, right], axis=-1), origin

    def _fork(self, llr: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
        zero = self.metric + np.maximum(-llr, 0).sum(-1)
        one = self.metric + np.maximum(llr, 0).sum(-1)
        both = np.concatenate([zero, one], axis=1)
        keep = np.argsort(both, axis=1, kind="stable")[:, : self.paths]
        self.metric = both[self._words, keep]
        value = (keep >= self.paths).astype(np.uint8)
        return np.repeat(value[..., None], llr.shape[-1], axis=-1), keep % self.paths
