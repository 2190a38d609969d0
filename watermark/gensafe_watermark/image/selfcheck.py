"""Quick imitations of what pictures go through, for the embedder to test its own result against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import fft, ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

# ITU-T T.81 (JPEG), Annex K, table K.1
_JPEG_LUMA: Final = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.float32,
)


def jpeg(plane: NDArray[np.float32], quality: int) -> NDArray[np.float32]:
    """Luma of a baseline JPEG round trip at ``quality`` (1..100, libjpeg scaling): 8x8 DCT, quantise, back."""
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    table = np.clip(np.floor((_JPEG_LUMA * scale + 50) / 100), 1, 255)
    height, width = plane.shape
    padded = np.pad(plane - 128, ((0, -height % 8), (0, -width % 8)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // 8, 8, padded.shape[1] // 8, 8).transpose(0, 2, 1, 3)
    coded = np.rint(fft.dctn(blocks, axes=(2, 3), norm="ortho") / table) * table
    plain = fft.idctn(coded, axes=(2, 3), norm="ortho").transpose(0, 2, 1, 3).reshape(padded.shape)
    return np.asarray(np.clip(np.rint(plain[:height, :width] + 128), 0, 255), np.float32)


def scale(plane: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Resize by ``factor`` with an anti-aliasing blur and linear interpolation, rounded to grey levels."""
    smooth = ndimage.gaussian_filter(plane, 0.4 / factor) if factor < 1 else plane
    return np.asarray(np.clip(np.rint(ndimage.zoom(smooth, factor, order=1)), 0, 255), np.float32)


def quick_set(plane: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """The embedder's test set: heavy JPEG of a darkened copy, and a three-quarter copy at the quality web sites use."""
    return [jpeg(0.5 * plane, 50), jpeg(scale(plane, 0.75), 70)]
