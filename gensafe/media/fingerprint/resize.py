"""Exact area averages: the resampling that fingerprints are taken on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def area_resize(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float32]:
    """Exact area average to (height, width, C) float32, also for sizes that do not divide and for enlarging."""
    rows = weights(pixels.shape[0], height)
    columns = weights(pixels.shape[1], width)
    wide = np.tensordot(rows, pixels.astype(np.float32), axes=(1, 0))
    out: NDArray[np.float32] = np.einsum("jw,iwc->ijc", columns, wide, optimize=True).astype(np.float32)
    return out


def weights(source: int, target: int, low: float = 0.0, high: float | None = None) -> NDArray[np.float32]:
    """(target, source) matrix of overlap shares of [low, high); each row sums to 1."""
    edges = np.linspace(low, source if high is None else high, target + 1)
    cells = np.arange(source)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    shares = np.clip(overlap, 0, None)
    weights: NDArray[np.float32] = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
    return weights
