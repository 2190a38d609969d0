"""Picture mark: 56 authenticated bits in a keyed, tiled spread-spectrum pattern under the picture's own texture.

    marked = embed(pixels, payload, key)
    found = detect(marked, key)

Blind (the original is not needed), no learned weights. See docs/watermark-image.md for what it survives and what
beats it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from gensafe.core.errors import InvalidRequest
from gensafe_watermark.image import detector, embedder, perception
from gensafe_watermark.prf import check_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gensafe.core.types import Detection

SCHEME: Final = "gensafe-image-1"
MEDIUM: Final = "image"


def embed(pixels: NDArray[np.uint8], payload: bytes, key: bytes, strength: float = 1.0) -> NDArray[np.uint8]:
    """Mark a picture.

    Args:
        pixels: uint8 (H, W, 3), sRGB.
        payload: PAYLOAD_BYTES bytes (gensafe.core.ids.pack_payload).
        key: 32 bytes.
        strength: factor on the starting amplitude; the embedder raises it further where its own test asks for it.

    Returns:
        A marked copy of the same shape.

    Raises:
        CannotCarry: too small, too flat, or saturated; nothing was embedded.
        InvalidRequest: not uint8 (H, W, 3), or a bad strength.
        KeyError_: the key is not 32 bytes.
    """
    check_key(key)
    _check(pixels)
    if not 0.1 <= strength <= 10:
        raise InvalidRequest("strength lies between 0.1 and 10", field="strength")
    return embedder.embed(pixels, payload, key, MEDIUM, strength)


def detect(pixels: NDArray[np.uint8], key: bytes) -> Detection:
    """Search a picture for a mark under ``key``.

    Args:
        pixels: uint8 (H, W, 3), sRGB; scaled, cropped, turned, re-encoded as it may be.
        key: 32 bytes.

    Returns:
        RECORD with the payload, PRESENT, NONE ("no evidence", never "not generated") or UNDECIDABLE; ``p_value`` bounds
        the chance of this answer on an unmarked picture and holds every attempt made.

    Raises:
        InvalidRequest: not uint8 (H, W, 3).
        KeyError_: the key is not 32 bytes.
    """
    check_key(key)
    _check(pixels)
    return detector.detect_planes([perception.luma(pixels)], key, MEDIUM, SCHEME)


def _check(pixels: NDArray[np.uint8]) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise InvalidRequest(f"expected uint8 (H, W, 3), got {pixels.dtype} {pixels.shape}", field="pixels")
