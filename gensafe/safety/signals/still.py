"""Blank, noisy and frozen pictures: what a generator leaves behind when it has failed."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

# of 255, the span of a channel over the cells, for a coder's ripple; chosen by eye, not measured
BLANK_LEVELS: Final = 6.0
# white noise has 0, photographs and drawings lie above 0.7 (see ``neighbour_correlation``)
NOISE_CORRELATION: Final = 0.1
# levels of 255: fainter noise is film grain on a plain ground; chosen by eye, not measured
NOISE_DEVIATION: Final = 20.0
FROZEN_LEVELS: Final = 0.5  # of 255, mean difference: below one level nothing moved; chosen by eye, not measured


def is_blank(small: NDArray[np.uint8]) -> bool:
    """Whether a picture is one colour: no channel of its area-averaged cells spans more than 6 levels.

    Args:
        small: (h, w, 3) uint8, cells of about 8 x 8 pixels, so that noise averages out and a small shape does not.
    """
    cells = small.reshape(-1, 3).astype(np.int16)
    return bool((cells.max(axis=0) - cells.min(axis=0)).max() <= BLANK_LEVELS)


def neighbour_correlation(pixels: NDArray[np.uint8]) -> float:
    """Correlation of each pixel's brightness with its right and lower neighbours, -1..1; 1.0 for a constant picture.

    White noise has 0; photographs and drawings lie above 0.7.
    """
    grey = pixels[..., :3].mean(axis=-1, dtype=np.float32)
    if min(grey.shape) < 2:
        return 1.0
    grey = grey - grey.mean()
    power = float((grey * grey).mean())
    if power < 1e-6:
        return 1.0
    right = float((grey[:, 1:] * grey[:, :-1]).mean())
    lower = float((grey[1:] * grey[:-1]).mean())
    return (right + lower) / (2 * power)


def is_noise(pixels: NDArray[np.uint8]) -> bool:
    """Whether a picture is white noise: strong, and no pixel says anything about its neighbour."""
    strong = float(pixels.std()) >= NOISE_DEVIATION
    return strong and min(pixels.shape[:2]) >= 8 and neighbour_correlation(pixels) < NOISE_CORRELATION
