"""``video_frames``: block lists and text in the frames of a clip, and what is said in its sound track.

Every frame is compared with those already read. Which are read as pictures is said in ``signals.scenes``: whatever
stands out, the ends of scenes, one a second, and some of those in between that show something new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from math import ceil
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core import plugins
from gensafe.core.errors import ConfigError, SafetyUnavailable
from gensafe.core.ports import Card, Classifier
from gensafe.core.types import (
    KEPT,
    Assessment,
    Audio,
    Box,
    ClassifierId,
    Coverage,
    Finding,
    FrameChunk,
    Image,
    Media,
    Modality,
    Stage,
    TimeRange,
    Video,
    VideoStream,
)
from gensafe.media.shrink import resize
from gensafe.safety.cards import category_coverage, read_card
from gensafe.safety.classifiers import audio_text, image_hashlist, image_text
from gensafe.safety.classifiers.video_signal import check_video
from gensafe.safety.films import Heard, assess_film, joined
from gensafe.safety.ocr.engine import weights_digest
from gensafe.safety.signals.scenes import FrameChooser

NAME: Final = "video_frames"
VERSION: Final = "2"
# Frames read of one film, and so many more for each second of it; a film of which more stand out is refused. They bound
# the time. Chosen for speed, not measured
MAX_READ: Final = 240
READ_PER_S: Final = 4.0  # as said above
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
            SafetyUnavailable: not a video; a text classifier failed; or too many frames would have to be read.
        """
        if not isinstance(item, Video):
            raise SafetyUnavailable("video_frames reads video")
        check_video(item)
        return assess_film(self.examine, item, stage)

    def examine(self, film: VideoStream, stage: Stage) -> FramesExam:
        """Begin with a film of any length."""
        return FramesExam(partial(self._look, stage=stage), partial(self._listen, stage=stage))

    def _listen(self, sound: Audio, stage: Stage) -> list[Finding]:
        heard = [*self._speech.listen(sound, stage), *self._asked(sound, stage)]
        return [replace(f, classifier=NAME) for f in heard]

    def _look(self, frame: NDArray[np.uint8], stage: Stage) -> list[Finding]:
        """All that the picture tests find in one frame; boxes in its own pixels."""
        pixels = _reduced(frame)
        scale = frame.shape[1] / pixels.shape[1]
        found = [*self._hashlist.look_up(pixels, crops=False), *self._text.read(pixels, stage)]
        return _enlarged([*found, *self._asked(Image(pixels), stage)], scale)

    def _asked(self, part: Media, stage: Stage) -> list[Finding]:
        return [f for c in self._further if c.modality is part.modality for f in c.assess(part, stage).findings]


class FramesExam:
    """Reads the chosen frames of one film as they come, then listens to its sound track.

    Args:
        look: Findings in one frame, uint8 (H, W, 3).
        listen: Findings in a window of sound.
    """

    def __init__(
        self, look: Callable[[NDArray[np.uint8]], list[Finding]], listen: Callable[[Audio], list[Finding]]
    ) -> None:
        self._look, self._listen = look, listen
        self._chooser = FrameChooser()
        self._starts: dict[int, float] = {}  # of the frames that may still be chosen
        self._read: list[float] = []  # when each frame that was read appears
        self._found: dict[tuple[str, str], tuple[Finding, list[int]]] = {}  # with the reads it was found in
        self._count, self._end = 0, 0.0
        self._heard = Heard()

    def take(self, chunk: FrameChunk) -> None:
        """See ``FilmExam``.

        Raises:
            SafetyUnavailable: more frames stand out than MAX_READ and READ_PER_S allow.
        """
        self._starts |= {chunk.first + k: float(t) for k, t in enumerate(chunk.times[:-1])}
        self._count, self._end = self._count + len(chunk), float(chunk.times[-1])
        for index in self._chooser.take(chunk.small, chunk.times, last=chunk.last):
            allowed = MAX_READ + READ_PER_S * self._end
            if len(self._read) >= allowed:
                raise SafetyUnavailable(f"more than {allowed:.0f} frames differ from one another; not all are read")
            for finding in self._look(chunk.pixels(index)):
                self._note(finding, len(self._read))
            self._read.append(self._starts[index])
        for index in [i for i in self._starts if i < chunk.first + len(chunk) - KEPT]:
            del self._starts[index]

    def _note(self, finding: Finding, read: int) -> None:
        key = finding.category, finding.detail
        known, reads = self._found.get(key, (finding, []))
        boxes = tuple(dict.fromkeys((*known.boxes, *finding.boxes)))  # what is painted over must be all of it
        reads += [read] if reads[-1:] != [read] else []
        self._found[key] = replace(known, score=max(known.score, finding.score), boxes=boxes), reads

    def hear(self, sound: Audio, start_s: float, fresh: int) -> None:
        """See ``FilmExam``."""
        self._heard.add(self._listen(sound), start_s, start_s + sound.samples.shape[1] / sound.rate)

    def found(self) -> tuple[Finding, ...]:
        """See ``FilmExam``."""
        ends = [*self._read[1:], self._end]
        out = []
        for finding, reads in self._found.values():
            times = joined([TimeRange(round(self._read[i], 3), round(max(ends[i], self._read[i]), 3)) for i in reads])
            out.append(replace(finding, classifier=NAME, times=tuple(times)))
        return (*out, *self._heard.findings())

    def finish(self) -> Assessment:
        """See ``FilmExam``."""
        seconds = max(1, ceil(self._end))  # in each a frame was read, or one that looks like a frame already read
        coverage = Coverage(NAME, "frames", self._count, self._count), Coverage(NAME, "seconds", seconds, seconds)
        return Assessment(self.found(), coverage)


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
