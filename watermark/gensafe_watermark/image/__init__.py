"""Picture mark: 56 authenticated bits in a keyed, tiled spread-spectrum pattern under the picture's own texture.

    marked = embed(pixels, payload, key)
    found = detect(marked, key)

Blind (the original is not needed), no learned weights. See docs/watermark-image.md for what it survives and what
beats it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gensafe.core.errors import InvalidRequest
from gensafe_watermark.image import detector, embedder, forms, perception
from gensafe_watermark.prf import check_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gensafe.core.types import Detection

SCHEME: Final = "gensafe-image-1"
MEDIUM: Final = "image"


def embed(pixels: NDArray[Any], payload: bytes, key: bytes, strength: float = 1.0) -> NDArray[Any]:
    """Mark a picture.

    Args:
        pixels: uint8 (H, W, 3), sRGB; uint16, grey (H, W) and RGBA (H, W, 4) as well.
        payload: PAYLOAD_BYTES bytes (gensafe.core.ids.pack_payload).
        key: 32 bytes.
        strength: factor on the amplitude that the embedder's own check of this picture asks for.

    Returns:
        A marked copy of the same shape and type; transparency is left alone.

    Raises:
        CannotCarry: too small, too flat, or saturated; nothing was embedded.
        InvalidRequest: not such an array, or a bad strength.
        KeyError_: the key is not 32 bytes.
    """
    check_key(key)
    forms.check(pixels)
    if not 0.1 <= strength <= 10:
        raise InvalidRequest("strength lies between 0.1 and 10", field="strength")
    change = embedder.change(perception.luma(forms.seen(pixels)), payload, key, MEDIUM, strength)
    return forms.add(pixels, change)


def detect(pixels: NDArray[Any], key: bytes) -> Detection:
    """Search a picture for a mark under ``key``.

    Args:
        pixels: as ``embed`` takes them; scaled, cropped, turned, re-encoded as they may be.
        key: 32 bytes.

    Returns:
        RECORD with the payload, PRESENT, NONE ("no evidence", never "not generated") or UNDECIDABLE; ``p_value`` bounds
        the chance of this answer on an unmarked picture and holds every attempt made.

    Raises:
        InvalidRequest: not such an array.
        KeyError_: the key is not 32 bytes.
    """
    return Search(pixels).whole(key)


class Search:
    """A picture prepared for searches under several keys: what does not depend on the key is measured once.

    Raises:
        InvalidRequest: not such an array as ``embed`` takes.
    """

    def __init__(self, pixels: NDArray[Any]) -> None:
        forms.check(pixels)
        self._front = detector.Front([perception.luma(forms.seen(pixels))], MEDIUM, SCHEME)

    def quick(self, key: bytes) -> Detection | None:
        """Where the mark lies in a picture that was not cropped, turned or bent; None = not there.

        Raises:
            KeyError_: the key is not 32 bytes.
        """
        check_key(key)
        return self._front.quick(key)

    def whole(self, key: bytes) -> Detection:
        """As ``detect``.

        Raises:
            KeyError_: the key is not 32 bytes.
        """
        check_key(key)
        return self._front.whole(key)
