"""``video_frames``: block lists and text in the frames of a clip, and what is said in its sound track.

Every frame is compared with those already read; a frame is read as a picture when it begins, halves or ends a scene, at
least once a second, when it stands out, and when a quarter of it has changed since the last one read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core import plugins
from gensafe.core.errors import ConfigError, SafetyUnavailable
from gensafe.core.ports import Card, Classifier
from gensafe.core.types import (
    Assessment,
    Box,
    ClassifierId,
    Coverage,
    Finding,
    Image,
    Media,
    Modality,
    Stage,
    TimeRange,
    Video,
)
from gensafe.media.shrink import resize, shrink
from gensafe.safety.cards import category_coverage, read_card
from gensafe.safety.classifiers import audio_text, image_hashlist, image_text
from gensafe.safety.classifiers.video_signal import check_video
from gensafe.safety.ocr.engine import weights_digest
from gensafe.safety.signals.flash import HEIGHT, WIDTH
from gensafe.safety.signals.scenes import frames_to_read
from gensafe.safety.signals.subliminal import find_runs

NAME: Final = "video_frames"
VERSION: Final = "1"
MAX_READ: Final = 240  # frames; bounds the time for one clip, which is refused above it. Chosen for speed, not measured
MAX_SIDE: Final = 960  # pixels; what the symbol and nudity networks shrink a picture to as well
FURTHER: Final = "image_likeness,audio_likeness,image_nudity"


class VideoFrames:
    """Picture tests on the frames that show something new.

    Args:
        hashlist: Block lists.
        text: Text and codes.
        speech: The sound track.
        further: Further classifiers of pictures, for the frames that are read, and of sounds, for the sound track.
    """

    name = NAME
    modality = Modality.VIDEO

    def __init__(
        self,
        hashlist: image_hashlist.ImageHashlist,
        text: image_text.ImageText,
        speech: audio_text.AudioText,
        further: Iterable[Classifier] = (),
    ) -> None:
        self._hashlist, self._text, self._speech = hashlist, text, speech
        self._further = tuple(further)

    def identity(self) -> ClassifierId:
        """The digest covers the OCR models."""
        return ClassifierId(NAME, VERSION, weights_digest())

    def card(self) -> Card:
        """The card in docs/cards, with the categories of the classifiers it uses."""
        own = read_card(NAME)
        parts = (self._hashlist.card(), self._text.card(), self._speech.card(), *(f.card() for f in self._further))
        known = {*own.categories, *(category for part in parts for category in part.categories)}
        covered = category_coverage(parts, known)
        partial = {category: "; ".join(dict.fromkeys(said)) for category, said in covered.partial.items()}
        return replace(own, categories=tuple(sorted(known)), partial=partial)

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
        inserted = find_runs(small, item.fps)
        outliers = {i.start + k for i in inserted for k in range(i.length)}
        chosen = frames_to_read(small, item.fps, outliers)
        if len(chosen) > MAX_READ:
            raise SafetyUnavailable(f"{len(chosen)} frames differ from one another; at most {MAX_READ} are read")
        found: dict[tuple[str, str], Finding] = {}
        for index in chosen:
            pixels = _reduced(item.frames[index])
            after = next((i for i in chosen if i > index), len(item.frames))
            time = TimeRange(round(index / item.fps, 3), round(after / item.fps, 3))
            for finding in self._look(pixels, stage, item.frames.shape[2] / pixels.shape[1]):
                key = finding.category, finding.detail
                known = found.get(key)
                if known is None:
                    found[key] = replace(finding, classifier=NAME, times=(time,))
                else:
                    score = max(known.score, finding.score)
                    boxes = tuple(
                        dict.fromkeys((*known.boxes, *finding.boxes))
                    )  # what is painted over must be all of it
                    found[key] = replace(known, score=score, boxes=boxes, times=(*known.times, time))
        count = len(item.frames)
        heard: list[Finding] = []
        if item.audio is not None:
            heard += self._speech.listen(item.audio, stage)
            heard += self._asked(item.audio, stage)
        spoken = (replace(f, classifier=NAME) for f in heard)
        return Assessment((*found.values(), *spoken), (Coverage(NAME, "frames", count, count),))

    def _look(self, pixels: NDArray[np.uint8], stage: Stage, scale: float) -> list[Finding]:
        """All that the picture tests find in one frame; boxes in pixels of the original."""
        found = [*self._hashlist.look_up(pixels, crops=False), *self._text.read(pixels, stage)]
        return _enlarged([*found, *self._asked(Image(pixels), stage)], scale)

    def _asked(self, part: Media, stage: Stage) -> list[Finding]:
        return [f for c in self._further if c.modality is part.modality for f in c.assess(part, stage).findings]


def _enlarged(findings: Iterable[Finding], scale: float) -> list[Finding]:
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
    """Entry point.

    Args:
        options: Those of ``image_hashlist``, ``image_text`` and ``audio_text``; ``further`` = names of further picture
            and sound classifiers, separated by commas (default: FURTHER), which get all options.

    Raises:
        ConfigError, SafetyUnavailable, PluginError: as these; or one of them reads neither pictures nor sounds.
    """
    names = [n.strip() for n in options.get("further", FURTHER).split(",") if n.strip()]
    further: list[Classifier] = [plugins.load("gensafe.classifiers", name, options) for name in names]
    for classifier in further:
        if classifier.modality not in (Modality.IMAGE, Modality.AUDIO):
            raise ConfigError(f"{classifier.name} reads {classifier.modality}", field="video_frames.further")
    return VideoFrames(image_hashlist.create(options), image_text.create(options), audio_text.create(options), further)
