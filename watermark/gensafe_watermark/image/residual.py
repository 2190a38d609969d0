"""What is left of a picture once the picture is taken out: the input of every detector step.

Band-pass around the mark's band, divide by the local level, limit, and flatten the spectrum. Natural pictures are far
from white and far from Gaussian; the limiter is the locally optimal non-linearity for such hosts (Cox, Miller and
others, "Digital Watermarking and Steganography", ch. 9), and flattening makes plain correlation the matched filter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import fft, ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HIGH_PASS: Final = 1 / 22  # tiles
# tiles, a Gaussian's sigma: 58 % of the finest wave (1/20) passes; by trial on the tuning pictures
_LOW_PASS: Final = 1 / 120
_LEVEL: Final = 1 / 24  # just over the mark's finest wave: the noise it is measured against changes as quickly
_FLOOR: Final = 0.3  # grey levels: keeps quantisation noise of flat areas from being blown up
# times the local level; by trial on the tuning pictures (docs/watermark-image.md), not measured alone
_LIMIT: Final = 2.0
_FLATTEN: Final = 0.8  # exponent, 0 = no whitening, 1 = full; by trial on the tuning pictures, not measured alone


def _gauss(plane: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    return np.asarray(ndimage.gaussian_filter(plane, sigma, mode="reflect", truncate=3.0), np.float32)


def _box(plane: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Two box filters: close to a Gaussian, and as fast for any width."""
    size = max(3, round(sigma * 6**0.5) | 1)
    once = ndimage.uniform_filter(plane, size, mode="reflect")
    return np.asarray(np.maximum(ndimage.uniform_filter(once, size, mode="reflect"), 0), np.float32)


def residual(plane: NDArray[np.float32], tile: float) -> NDArray[np.float32]:
    """Prewhitened residual (H, W), about unit variance, of a luma plane for tiles of about ``tile`` pixels."""
    band = plane - _gauss(plane, tile * _HIGH_PASS)
    band = _gauss(band, max(0.4, tile * _LOW_PASS))
    level = np.sqrt(_box(band * band, tile * _LEVEL)) + np.float32(_FLOOR)
    band = np.clip(band / level, -_LIMIT, _LIMIT)
    return _flatten(band)


def _flatten(band: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = band.shape
    size = (fft.next_fast_len(height, real=True), fft.next_fast_len(width, real=True))
    spectrum = fft.rfft2(band, size)
    magnitude = ndimage.uniform_filter(np.abs(spectrum).astype(np.float32), 15, mode=("wrap", "nearest"))
    magnitude += 0.05 * float(magnitude.mean()) + 1e-6
    spectrum /= magnitude**_FLATTEN
    flat = fft.irfft2(spectrum, size)[:height, :width]
    deviation = float(flat.std())
    if deviation < 1e-6:
        return np.zeros(band.shape, np.float32)
    return np.asarray(np.clip(flat / deviation, -3, 3), np.float32)
