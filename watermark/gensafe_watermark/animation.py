"""Animated pictures: the picture mark, held still over all frames of a shot.

    marked = embed(frames, payload, key)
    found = detect(marked, key)

It is the picture's mark, not the film's: whoever sees one frame only, as most programs do, reads it as a picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gensafe_watermark import image, video

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gensafe.core.types import Detection


def embed(frames: NDArray[np.uint8], payload: bytes, key: bytes, strength: float = 1.0) -> NDArray[np.uint8]:
    """Mark an animated picture.

    Args:
        frames: uint8 (n, H, W, 3), sRGB, as a viewer shows them.
        payload: PAYLOAD_BYTES bytes.
        key: 32 bytes, that of pictures.
        strength: as for ``gensafe_watermark.image.embed``.

    Returns:
        Marked frames of the same shape.

    Raises:
        CannotCarry, InvalidRequest, KeyError_: as ``gensafe_watermark.video.embed``.
    """
    return video.mark(frames, payload, key, image.MEDIUM, strength)


def detect(frames: NDArray[np.uint8], key: bytes) -> Detection:
    """Search an animated picture for a mark under ``key``: the first frames, then stretches of it averaged.

    Args:
        frames: uint8 (n, H, W, 3), sRGB; any of them.
        key: 32 bytes, that of pictures.

    Raises:
        InvalidRequest, KeyError_: as ``gensafe_watermark.video.detect``.
    """
    return video.search(frames, key, image.MEDIUM, image.SCHEME)
