"""``video_frames``: block lists and text in the frames of a clip, and what is said in its sound track.

Every frame is compared with those already read; a frame is read as a picture when it begins, halves or ends a scene, at
least once a second, when it stands out, and when a quarter of it has changed since the last one read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import SafetyUnavailable
from gensafe.core.ports import Card
from gensafe.core.types import (
    Assessment,
    Box,
    ClassifierId,
    Coverage,
    Finding,
    Media,
    Modality,
    Stage,
    TimeRange,
    Video,
)
from gensafe.media.shrink import resize, shrink
from gensafe.safety.cards import read_card
from gensafe.safety.classifiers import audio_text, image_hashlist, image_text
from gensafe.safety.classifiers.video_signal import check_video
from gensafe.safety.ocr.engine import weights_digest
from gensafe.safety.signals.flash import HEIGHT, WIDTH
from gensafe.safety.signals.scenes import frames_to_read
from gensafe.safety.signals.subliminal import find_insertions

NAME: Final = "video_frames"
VERSION: Final = "1"
MAX_READ: Final = 240
MAX_SIDE: Final = 960


class VideoFrames:
    """Picture tests on the frames that show something new.

    Args:
        hashlist: Block lists.
        text: Text and codes.
        speech: The sound track.
    """

    name = NAME
    modality = Modality.VIDEO

    def __init__(
        self, hashlist: image_hashlist.ImageHashlist, text: image_text.ImageText, speech: audio_text.AudioText
    ) -> None:
        self._hashlist, self._text, self._speech = hashlist, text, speech

    def identity(self) -> ClassifierId:
        """The digest covers the OCR models."""
        return ClassifierId(NAME, VERSION, weights_digest())

    def card(self) -> Card:
        """The card in docs/cards, with the categories of the classifiers it uses."""
        own = read_card(NAME)
        parts = (self._hashlist.card(), self._text.card(), self._speech.card())
        known = {*own.categories, *(category for part in parts for category in part.categories)}
        return replace(own, categories=tuple(sorted(known)))

    def assess(self, item: Media, stage: Stage) -> Assessment:
        """Examine one clip.

        Raises:
            SafetyUnavailable: not a video; a text classifier failed; or more than MAX_READ frames would have to be
            read.
        """
        if not isinstance(item, Video):
            raise SafetyUnavailable("video_frames reads video")
        check_video(item)
        small = shrink(item.frames, HEIGHT, WIDTH)
        inserted = find_insertions(small, item.fps)
        outliers = {i.start + k for i in inserted for k in range(i.length)}
        chosen = frames_to_read(small, item.fps, outliers)
        if len(chosen) > MAX_READ:
            raise SafetyUnavailable(f"{len(chosen)} frames differ from one another; at most {MAX_READ} are read")
        found: dict[tuple[str, str], Finding] = {}
        for index in chosen:
            pixels = _reduced(item.frames[index])
            after = next((i for i in chosen if i > index), len(item.frames))
            time = TimeRange(round(index / item.fps, 3), round(after / item.fps, 3))
            scale = item.frames.shape[2] / pixels.shape[1]
            listed = self._hashlist.look_up(pixels, crops=False)
            for finding in (*listed, *_enlarged(self._text.read(pixels, stage), scale)):
                key = finding.category, finding.detail
                known = found.get(key)
                if known is None:
                    found[key] = replace(finding, classifier=NAME, times=(time,))
                else:
                    score = max(known.score, finding.score)
                    found[key] = replace(known, score=score, times=(*known.times, time))
        count = len(item.frames)
        heard = () if item.audio is None else self._speech.listen(item.audio, stage)
        spoken = (replace(f, classifier=NAME) for f in heard)
        return Assessment((*found.values(), *spoken), (Coverage(NAME, "frames", count, count),))


def _enlarged(findings: tuple[Finding, ...], scale: float) -> list[Finding]:
    """Boxes in pixels of the original frame."""
    return [
        replace(f, boxes=tuple(Box(*(round(scale * v) for v in (b.left, b.top, b.right, b.bottom))) for b in f.boxes))
        for f in findings
    ]


def _reduced(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """At most MAX_SIDE pixels on the longer side: moving pictures must be checked faster than they play."""
    height, width = pixels.shape[:2]
    if max(height, width) <= MAX_SIDE:
        return pixels
    scale = MAX_SIDE / max(height, width)
    return resize(pixels, max(1, round(height * scale)), max(1, round(width * scale)))


def create(options: Mapping[str, str]) -> VideoFrames:
    """Entry point; takes the options of ``image_hashlist``, ``image_text`` and ``audio_text``.

    Raises:
        ConfigError, SafetyUnavailable: as these.
    """
    return VideoFrames(image_hashlist.create(options), image_text.create(options), audio_text.create(options))
