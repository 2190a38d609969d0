"""Finite scalar quantisation (Mentzer et al., arXiv 2309.15505): a few bounded numbers, each rounded to a few levels.

An id is the mixed-radix number of the levels. There is no codebook to learn and none to collapse.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import atanh

import numpy as np
from numpy.typing import NDArray

EPS = 1e-3  # keeps the outermost level reachable by a bounded function: as in the paper's listing


def bound_constants(levels: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """``(half, offset, shift)`` of the paper's bound: ``tanh(z + shift) * half - offset``."""
    n = np.asarray(levels, dtype=np.float64)
    half = (n - 1) * (1 + EPS) / 2
    offset = np.where(n % 2 == 0, 0.5, 0.0)
    shift = np.array([atanh(o / h) for o, h in zip(offset, half, strict=True)])
    return half, offset, shift


def quantise(z: NDArray[np.float64], levels: Sequence[int]) -> NDArray[np.int64]:
    """Digits of unbounded ``z`` (..., D): integers 0..level-1.

    Values are first rounded to 1e-6, so that the last bits of a matrix product, which differ between BLAS builds,
    cannot
    tip a digit unless they lie within that distance of a tie.
    """
    half, offset, shift = bound_constants(levels)
    bounded = np.round(np.tanh(z + shift) * half - offset, 6)
    digits = np.floor(bounded + 0.5) + (np.asarray(levels) // 2)
    return np.asarray(np.clip(digits, 0, np.asarray(levels) - 1), dtype=np.int64)


def digits_to_ids(digits: NDArray[np.int64], levels: Sequence[int]) -> NDArray[np.int64]:
    """Mixed radix, first digit fastest."""
    basis = np.concatenate([[1], np.cumprod(levels[:-1])]).astype(np.int64)
    return np.asarray((digits * basis).sum(axis=-1), dtype=np.int64)


def ids_to_codes(ids: NDArray[np.int64], levels: Sequence[int]) -> NDArray[np.float64]:
    """Ids -> the quantised values the decoder reads, each in [-1, 1]."""
    basis = np.concatenate([[1], np.cumprod(levels[:-1])]).astype(np.int64)
    digits = (ids[..., None] // basis) % np.asarray(levels)
    half = np.asarray(levels) // 2
    return np.asarray((digits - half) / half.astype(np.float64), dtype=np.float64)
