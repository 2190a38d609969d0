"""Luma, and how much change a picture hides where (a just-noticeable-difference mask)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as JPEG and most encoders use
COLOUR: Final = (0.5 * LUMA / float(LUMA @ LUMA) + 0.5).astype(np.float32)
"""Change of (R, G, B) per unit of luma: half way between the smallest in squared error and plain grey.

0.9 dB less squared error than grey; the smallest itself (1.3 dB) leaves faint coloured mottling in flat skies.
"""

_SSIM_STEADY: Final = (0.03 * 255) ** 2  # C2 of Wang and others, "Image quality assessment", IEEE Trans. IP 13(4), 2004


@dataclass(frozen=True, slots=True)
class Hiding:
    """How the amplitude follows local activity; 1 on a flat area.

    Attributes:
        texture: more per grey level of local standard deviation.
        most: of the amplitude.
    """

    texture: float
    most: float

    def amplitude(self, deviation: NDArray[np.float32]) -> NDArray[np.float32]:
        """Relative amplitude where the local standard deviation is ``deviation``."""
        return np.asarray(np.clip(1 + self.texture * deviation, 1, self.most), np.float32)


STILL: Final = Hiding(0.3, 5.0)  # by trial on the tuning pictures (docs/watermark-image.md); not measured alone
# less, since coders of films smooth texture; by trial on ``films`` (docs/watermark-image.md)
MOVING: Final = Hiding(0.12, 3.5)


def luma(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W, 3) uint8 to (H, W) float32 luma in 0..255."""
    return np.asarray(pixels.astype(np.float32) @ LUMA, np.float32)


def reduce_by(plane: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Average ``factor`` x ``factor`` blocks; a ragged edge is dropped."""
    if factor == 1:
        return plane
    height, width = plane.shape[0] // factor, plane.shape[1] // factor
    kept = plane[: height * factor, : width * factor]
    rows = kept.reshape(height, factor, -1).sum(axis=1)  # long inner loops; one mean over two axes is ten times slower
    total = rows[:, ::factor].copy()
    for column in range(1, factor):
        total += rows[:, column::factor]
    return np.asarray(total * np.float32(1 / factor**2), np.float32)


def deviation(plane: NDArray[np.float32], tile: float) -> NDArray[np.float32]:
    """Local standard deviation, in grey levels, of each 2 x 2 block (ceil(H / 2), ceil(W / 2)).

    The local variance of full-size pixels, averaged over the blocks and smoothed there: it varies slowly.
    """
    size = max(3, round(tile / 32) | 1)
    height, width = plane.shape
    even = np.pad(plane, ((0, height % 2), (0, width % 2)), mode="edge") if height % 2 or width % 2 else plane
    mean = ndimage.uniform_filter(reduce_by(even, 2), size, mode="reflect")
    square = ndimage.uniform_filter(reduce_by(even * even, 2), size, mode="reflect")
    found = np.sqrt(np.maximum(square - mean * mean, 0))
    return np.asarray(ndimage.uniform_filter(found, size, mode="reflect"), np.float32)


def spread(blocks: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Values of 2 x 2 blocks as a plane (H, W)."""
    height, width = shape[:2]
    out = np.empty((2 * blocks.shape[0], 2 * blocks.shape[1]), np.float32)
    for row in (0, 1):
        for column in (0, 1):
            out[row::2, column::2] = blocks
    return out[:height, :width]


def mask(plane: NDArray[np.float32], tile: float, hiding: Hiding = MOVING) -> NDArray[np.float32]:
    """Amplitude (H, W) in grey levels at strength 1: more where local activity hides it (texture masking)."""
    return spread(hiding.amplitude(deviation(plane, tile)), plane.shape)


def visibility(amplitude: NDArray[np.float32], deviation: NDArray[np.float32]) -> float:
    """What noise of a local ``amplitude``, in grey levels of luma, costs in structural similarity, about.

    Independent noise of variance n on a window of variance v leaves (2 v + C2) / (2 v + n + C2) of it.
    """
    cost = float(np.mean(COLOUR**2)) * amplitude**2
    return float(np.mean(cost / (2 * deviation**2 + cost + _SSIM_STEADY)))


def add(pixels: NDArray[np.uint8], change: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Add a luma change (H, W) to (H, W, 3) pixels, rounded and clipped."""
    out = np.empty_like(pixels)
    for channel, share in enumerate(COLOUR):  # one contiguous plane at a time: three times as fast
        value = change * share
        value += pixels[..., channel]
        np.clip(np.rint(value, out=value), 0, 255, out=value)
        out[..., channel] = value
    return out


def psnr(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio in dB over all samples; 99 for equal input."""
    error = float(np.mean((first.astype(np.float32) - second.astype(np.float32)) ** 2))
    return 99.0 if error == 0 else float(10 * np.log10(255.0**2 / error))
