"""Media as a receiver gets them: marked, written to a file and read again."""

from __future__ import annotations

from typing import Final

import numpy as np

from gensafe.core.errors import CannotCarry
from gensafe.core.types import Media, Modality
from gensafe.media.codecs import decode, encode
from gensafe_watermark.plugin import create_audio, create_image, create_video

FILES: Final = {Modality.IMAGE: "image/png", Modality.AUDIO: "audio/wav", Modality.VIDEO: "video/mp4"}
MARKS: Final = {Modality.IMAGE: create_image, Modality.AUDIO: create_audio, Modality.VIDEO: create_video}


def through_a_file(media: Media, modality: Modality, rng: np.random.Generator) -> Media:
    """Marked with a random payload and key, written, and read. What cannot carry a mark stays unmarked."""
    try:
        media = MARKS[modality]({}).embed(media, rng.bytes(7), rng.bytes(32))
    except CannotCarry:
        pass
    return decode(encode(media, FILES[modality]))
