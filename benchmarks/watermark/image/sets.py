"""Pictures to mark, the key they are marked with, and how near a marked one is to its original."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from benchmarks.common.inputs import find, read_all

KEY = bytes(range(32))
Pixels = NDArray[np.uint8]


def synthetic(seed: int, size: int = 256) -> Pixels:
    """Flat shapes on a plain, lightly textured ground: what the bundled generator draws."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:size, :size]
    picture = np.empty((size, size, 3))
    picture[:] = rng.integers(20, 245, 3)
    picture += ndimage.gaussian_filter(rng.normal(size=(size, size)), 2)[..., None] * rng.uniform(0, 12)
    for _ in range(rng.integers(1, 4)):
        cx, cy, r = *(rng.uniform(0.2, 0.8, 2) * size), rng.uniform(0.1, 0.25) * size
        kind = rng.integers(3)
        if kind == 0:
            inside = (xx - cx) ** 2 + (yy - cy) ** 2 < r * r
        elif kind == 1:
            inside = np.maximum(abs(xx - cx), abs(yy - cy)) < r
        else:
            inside = (abs(yy - cy) < r) & (abs(xx - cx) < (yy - cy + r) / 2)
        picture[inside] = rng.integers(0, 256, 3)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def ssim(first: Pixels, second: Pixels) -> float:
    """Structural similarity (Wang and others, 2004): Gaussian window of deviation 1.5, mean over channels."""
    a, b = first.astype(np.float64), second.astype(np.float64)

    def mean(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(ndimage.gaussian_filter(x, (1.5, 1.5, 0), truncate=3.5))

    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    value = (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    return float(value.mean())


def load(folder: str, limit: int) -> list[Pixels]:
    """Evenly spaced pictures of a folder."""
    paths = find(folder, (".png", ".jpg", ".jpeg", ".webp", ".bmp"), limit)
    return read_all(paths, lambda path: np.asarray(Image.open(path).convert("RGB")))
