"""A digest of decoded content, so that two files can be compared without keeping both of them decoded."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from gensafe.core.types import Audio, Image, Media, Text

if TYPE_CHECKING:
    from numpy.typing import NDArray


def content_digest(media: Media) -> str:
    """SHA-256 ("sha256:<hex>") of pixels, samples and their rates; of a text, of its UTF-8 bytes."""
    state = hashlib.sha256()
    if isinstance(media, Text):
        state.update(media.text.encode("utf-8", "surrogatepass"))
    elif isinstance(media, Image):
        _add(state, "image", media.pixels)
    elif isinstance(media, Audio):
        _add(state, f"audio {media.rate}", media.samples)
    else:
        _add(state, f"video {media.fps!r}", media.frames)
        if media.audio is not None:
            _add(state, f"audio {media.audio.rate}", media.audio.samples)
    return "sha256:" + state.hexdigest()


def _add(state: Any, about: str, values: NDArray[Any]) -> None:  # noqa: ANN401 - hashlib's objects have no public type
    state.update(f"{about} {values.dtype.str} {values.shape};".encode())
    state.update(np.ascontiguousarray(values).reshape(-1).view(np.uint8))
