"""Pixels <-> patch values, for pictures and for short pieces of video."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
MID, SPREAD = 160.0, 80.0  # pixel values are moved to about [-2, 1.2]
POOL = 4  # the encoder reads means over 4x4 pixels: fine noise, JPEG blocks and marks average out


def resize(pixels: NDArray[np.uint8], height: int, width: int) -> FloatArray:
    """Area/bilinear resize of uint8 (H, W, 3) to float64 (height, width, 3); separable, deterministic."""
    if pixels.shape[:2] == (height, width):
        return pixels.astype(np.float64)
    rows, columns = _resize_matrix(pixels.shape[0], height), _resize_matrix(pixels.shape[1], width)
    tall = np.einsum("ab,bwc->awc", rows, pixels.astype(np.float64), optimize=True)
    return np.asarray(np.einsum("dw,awc->adc", columns, tall, optimize=True), dtype=np.float64)


def _resize_matrix(source: int, target: int) -> FloatArray:
    scale = source / target
    support = max(1.0, scale)
    centres = (np.arange(target)[:, None] + 0.5) * scale - 0.5
    weights = np.clip(1.0 - np.abs(np.arange(source)[None, :] - centres) / support, 0.0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float64)


def to_patches(frames: FloatArray, patch: int) -> FloatArray:
    """(n, H, W, 3) -> (H/p * W/p, n, p, p, 3): patches in reading order, each with all n frames."""
    n, h, w, c = frames.shape
    z = frames.reshape(n, h // patch, patch, w // patch, patch, c).transpose(1, 3, 0, 2, 4, 5)
    return z.reshape(-1, n, patch, patch, c)


def from_patches(patches: FloatArray, rows: int, columns: int) -> FloatArray:
    """Inverse of ``to_patches``."""
    _, n, p, _, c = patches.shape
    z = patches.reshape(rows, columns, n, p, p, c).transpose(2, 0, 3, 1, 4, 5)
    return z.reshape(n, rows * p, columns * p, c)


def patch_features(patches: FloatArray) -> FloatArray:
    """(m, n, p, p, 3) pixel values -> (m, n * (p/4)^2 * 3) pooled and centred."""
    m, n, p, _, c = patches.shape
    pooled = patches.reshape(m, n, p // POOL, POOL, p // POOL, POOL, c).mean(axis=(3, 5))
    return np.asarray((pooled.reshape(m, -1) - MID) / SPREAD, dtype=np.float64)


def to_uint8(values: FloatArray) -> NDArray[np.uint8]:
    """Centred values -> pixels."""
    return np.clip(np.rint(values * SPREAD + MID), 0, 255).astype(np.uint8)
