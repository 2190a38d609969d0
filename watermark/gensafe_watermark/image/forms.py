"""Arrays of other forms than 8-bit RGB: what the mark sees of them, and how its change goes back into them.

Grey (H, W), colour (H, W, 3) and colour with transparency (H, W, 4), each in 8 or 16 bits. CMYK and pictures with a
colour profile are converted to sRGB when a file is decoded (``gensafe.media``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gensafe.core.errors import InvalidRequest
from gensafe_watermark.image import perception

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STEP: Final = {"uint8": 1, "uint16": 257}  # of one grey level of 255


def check(pixels: NDArray[Any]) -> None:
    """Refuse what is no picture.

    Raises:
        InvalidRequest: not uint8 or uint16, not (H, W), (H, W, 3) or (H, W, 4), or empty.
    """
    flat = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))
    if pixels.dtype.name not in _STEP or not flat or 0 in pixels.shape:
        raise InvalidRequest(
            f"expected uint8 (H, W, 3), got {pixels.dtype} {pixels.shape}",
            field="pixels",
            fix="uint8 or uint16, (H, W), (H, W, 3) or (H, W, 4)",
        )


def seen(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """What a viewer shows, as uint8 (H, W, 3): 16 bits rounded, grey on three channels, transparency over white."""
    step = _STEP[pixels.dtype.name]
    shown = pixels if step == 1 else ((pixels.astype(np.uint32) + step // 2) // step).astype(np.uint8)
    if shown.ndim == 2:
        return np.repeat(shown[..., None], 3, axis=2)
    if shown.shape[2] == 3:
        return np.asarray(shown, np.uint8)
    alpha = shown[..., 3:].astype(np.uint32)
    return ((shown[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def add(pixels: NDArray[Any], change: NDArray[np.float32]) -> NDArray[Any]:
    """Add a change (H, W), in grey levels of luma; form and transparency stay."""
    if pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3:
        return perception.add(pixels, change)
    step = _STEP[pixels.dtype.name]
    out = pixels.copy()
    if pixels.ndim == 2:
        out[:] = np.clip(np.rint(pixels + step * change), 0, 255 * step)
        return out
    for channel, share in enumerate(perception.COLOUR):
        out[..., channel] = np.clip(np.rint(pixels[..., channel] + step * share * change), 0, 255 * step)
    return out
