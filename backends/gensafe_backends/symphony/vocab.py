"""One vocabulary for every modality: contiguous id ranges, so that the range *is* the modality.

``[control | text | image | audio | video]``. Control ids are fixed; the other ranges follow from the config.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from itertools import pairwise
from math import prod

import numpy as np
from numpy.typing import NDArray

from gensafe_backends.symphony.config import SymphonyConfig

CONTROL_IDS = 64  # 14 in use, the rest for later ones; shipped weights depend on it
# ids in this order; weights depend on it
PAD, BOS, EOS, SEP, USER, ASST, BOI, EOI, BOA, EOA, BOV, EOV, TICK, UNK = range(14)


class ModalityId(IntEnum):
    """Index of a modality in per-modality tables (feed-forward, router bias, attention bias)."""

    TEXT = 0
    IMAGE = 1
    AUDIO = 2
    VIDEO = 3


MODALITIES = len(ModalityId)
BEGIN = {ModalityId.IMAGE: BOI, ModalityId.AUDIO: BOA, ModalityId.VIDEO: BOV}
END = {ModalityId.IMAGE: EOI, ModalityId.AUDIO: EOA, ModalityId.VIDEO: EOV}
_OPENS = {BOI: ModalityId.IMAGE, BOA: ModalityId.AUDIO, BOV: ModalityId.VIDEO}


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Id ranges ``[start, stop)`` per modality. Text's own range leaves out the control ids before it."""

    text: range
    image: range
    audio: range
    video: range

    @property
    def size(self) -> int:
        """Rows of the embedding table."""
        return self.video.stop

    def range_of(self, modality: ModalityId) -> range:
        """Ids of one modality."""
        return (self.text, self.image, self.audio, self.video)[modality]

    def modality_of(self, token: int) -> ModalityId:
        """Modality of an id. ``boi``/``boa``/``bov`` belong to the span they open; other control ids are text."""
        for modality in (ModalityId.VIDEO, ModalityId.AUDIO, ModalityId.IMAGE):
            if token in self.range_of(modality):
                return modality
        return _OPENS.get(token, ModalityId.TEXT)

    def modality_table(self) -> NDArray[np.int64]:
        """``modality_of`` for every id, int64 (size,)."""
        return np.array([self.modality_of(i) for i in range(self.size)], dtype=np.int64)


@lru_cache(maxsize=8)
def vocabulary(config: SymphonyConfig) -> Vocabulary:
    """The vocabulary a config describes."""
    stops = [CONTROL_IDS]
    for size in (config.text_vocab, prod(config.image_levels), prod(config.audio_levels), prod(config.video_levels)):
        stops.append(stops[-1] + size)
    return Vocabulary(*(range(a, b) for a, b in pairwise(stops)))
