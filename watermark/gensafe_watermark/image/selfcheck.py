"""A quick imitation of JPEG, for the embedder to test its own result against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import fft

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


# the 8 x 8 transform of JPEG (ITU-T T.81, A.3.3)
_DCT: Final = np.asarray(fft.dct(np.eye(8), axis=0, norm="ortho"), np.float32)


def jpeg(plane: NDArray[np.float32], quality: int) -> NDArray[np.float32]:
    """Luma of a baseline JPEG round trip at ``quality`` (1..100, libjpeg scaling): 8x8 DCT, quantise, back."""
    percent = 5000 / quality if quality < 50 else 200 - 2 * quality
    table = np.clip(np.floor((_JPEG_LUMA * percent + 50) / 100), 1, 255).astype(np.float32)
    height, width = plane.shape
    padded = np.pad(plane - 128, ((0, -height % 8), (0, -width % 8)), mode="edge")
    shape = padded.shape
    # the transform as two batches of 8 x 8 matrix products: no transposed copies
    coded = (_DCT @ padded.reshape(-1, 8, shape[1])).reshape(shape[0], -1, 8) @ _DCT.T
    blocks = coded.reshape(-1, 8, shape[1] // 8, 8)
    blocks /= table[:, None, :]
    np.rint(blocks, out=blocks)
    blocks *= table[:, None, :]
    plain = (_DCT.T @ (coded @ _DCT).reshape(-1, 8, shape[1])).reshape(shape)[:height, :width] + 128
    return np.asarray(np.clip(np.rint(plain), 0, 255), np.float32)
