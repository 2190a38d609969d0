"""``video_signal``: flashes, inserted frames, blank and frozen clips, and the sound track. Looks at every frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import SafetyUnavailable
from gensafe.core.ports import Card
from gensafe.core.types import (
    Assessment,
    Audio,
    ClassifierId,
    Coverage,
    Finding,
    FrameChunk,
    Media,
    Modality,
    Stage,
    TimeRange,
    Video,
    VideoStream,
)
from gensafe.safety.cards import read_card
from gensafe.safety.classifiers.audio_signal import sound_findings
from gensafe.safety.films import Heard, assess_film
from gensafe.safety.signals.flash import FlashResult, FlashTest
from gensafe.safety.signals.still import FROZEN_LEVELS, is_blank, is_noise
from gensafe.safety.signals.subliminal import RunFinder

NAME: Final = "video_signal"
VERSION: Final = "1"
NOISE_EVERY_S: Final = 2.0  # a film of noise is noise wherever it is looked at. Chosen for speed, not measured
MAX_RANGES: Final = 50  # of one finding, so that a receipt stays small; a round number, not measured


_LEVELS: Final = {
    FlashResult.FAIL: "more than three flashes in a second",
    FlashResult.EXTENDED_FAIL: "flashes for four seconds of five",
    FlashResult.WARNING: "two to three flashes in a second",
}


class VideoSignal:
    """Signal checks as a Classifier."""

    name = NAME
    modality = Modality.VIDEO

    def identity(self) -> ClassifierId:
        """Rules have no weights."""
        return ClassifierId(NAME, VERSION)

    def card(self) -> Card:
        """The card in docs/cards."""
        return read_card(NAME)

    def assess(self, item: Media, stage: Stage) -> Assessment:
        """Check one clip and its sound track.

        Raises:
            SafetyUnavailable: not a video of uint8 (n, H, W, 3).
        """
        if not isinstance(item, Video):
            raise SafetyUnavailable("video_signal reads video")
        check_video(item)
        return assess_film(self.examine, item, stage)

    def examine(self, film: VideoStream, stage: Stage) -> SignalExam:
        """Begin with a film of any length."""
        return SignalExam(stage)


class SignalExam:
    """The checks frame by frame, then on the sound track."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._flash, self._runs = FlashTest(), RunFinder()
        self._flashes = {level: _Flashes() for level in FlashResult if level is not FlashResult.PASS}
        self._insertions: list[tuple[int, float, float]] = []  # index, from s, to s
        self._times: dict[int, float] = {}  # of the frames that a run may begin with
        self._count = self._blank = 0
        self._moves = False
        self._noise, self._noise_due = True, 0.0
        self._previous: NDArray[np.int16] | None = None
        self._heard, self._samples, self._channels = Heard(), 0, 0

    def take(self, chunk: FrameChunk) -> None:
        """See ``FilmExam``."""
        for k, frame in enumerate(chunk.small):
            start, end = float(chunk.times[k]), float(chunk.times[k + 1])
            self._times[chunk.first + k] = start
            self._see_flash(frame, start, end)
            self._blank += is_blank(frame)
            cells = frame.astype(np.int16)
            if self._previous is not None and not self._moves:
                self._moves = float(np.abs(cells - self._previous).mean()) > FROZEN_LEVELS
            self._previous = cells
            if self._noise and start >= self._noise_due:
                self._noise = is_noise(chunk.pixels(chunk.first + k))
                self._noise_due = start + NOISE_EVERY_S
        self._count += len(chunk)
        self._times[self._count] = float(chunk.times[-1])
        for run in self._runs.take(chunk.small, chunk.times, last=chunk.last):
            if run.carries:
                self._insertions.append((run.start, self._times[run.start], self._times[run.start + run.length]))
        for index in [i for i in self._times if i < chunk.first]:
            del self._times[index]

    def _see_flash(self, frame: NDArray[np.uint8], start: float, end: float) -> None:
        bright, red = self._flash.take(frame, start, end)
        level = max(bright.result, red.result)
        if level is not FlashResult.PASS:
            self._flashes[level].add(end, bright=bright.result is level)

    def hear(self, sound: Audio, start_s: float, fresh: int) -> None:
        """See ``FilmExam``."""
        found = sound_findings(sound, self._stage, track=True, classifier=NAME)
        self._heard.add(found, start_s, start_s + sound.samples.shape[1] / sound.rate)
        self._channels = len(sound.samples)
        self._samples += fresh * self._channels

    def found(self) -> tuple[Finding, ...]:
        """See ``FilmExam``."""
        return (*self._flash_findings(), *self._insertion_findings(), *self._heard.findings())

    def finish(self) -> Assessment:
        """See ``FilmExam``."""
        coverage = [Coverage(NAME, "frames", self._count, self._count)]
        if self._channels:
            coverage.append(Coverage(NAME, "samples", self._samples, self._samples))
            coverage.append(Coverage(NAME, "channels", self._channels, self._channels))
        pictures = (*self._flash_findings(), *self._insertion_findings(), *self._broken_findings())
        return Assessment((*pictures, *self._heard.findings()), tuple(coverage))

    def _flash_findings(self) -> list[Finding]:
        worst = max((level for level, seen in self._flashes.items() if seen.ranges), default=FlashResult.PASS)
        if worst is FlashResult.PASS:
            return []
        level = (
            "more than three flashes in a second" if worst is FlashResult.FAIL else "flashes for four seconds of five"
        )
        if worst is FlashResult.WARNING:
            level = "two to three flashes in a second"
        seen = self._flashes[worst]
        detail = f"{'luminance' if seen.bright else 'red'} flash: {level}"
        score = 0.3 if worst is FlashResult.WARNING else 1.0
        times = tuple(TimeRange(round(a, 3), round(b, 3)) for a, b in seen.ranges[:MAX_RANGES])
        return [Finding("phy", score, NAME, detail, times=times)]

    def _insertion_findings(self) -> list[Finding]:
        """Inserted frames; a strobe consists of nothing else and is the flash test's business."""
        lone = [i for k, i in enumerate(self._insertions) if not _has_neighbour(self._insertions, k)]
        if not lone:
            return []
        times = tuple(TimeRange(round(start, 3), round(end, 3)) for _, start, end in lone[:MAX_RANGES])
        detail = f"{len(lone)} run(s) of one to three frames that belong to no scene, first at frame {lone[0][0]}"
        return [Finding("hid", 0.9, NAME, detail, times=times)]

    def _broken_findings(self) -> list[Finding]:
        ours = self._stage is Stage.OUTPUT
        if self._blank == self._count:
            return [Finding("bad", 1.0 if ours else 0.2, NAME, "every frame is one plain colour")]
        if self._noise:
            return [Finding("bad", 0.6 if ours else 0.2, NAME, "the frames are white noise")]
        notes = []
        if self._blank:
            notes.append(Finding("bad", 0.1, NAME, f"{self._blank} of {self._count} frames are one plain colour"))
        if self._count > 1 and not self._moves:
            notes.append(Finding("bad", 0.2, NAME, "nothing moves in the whole video"))
        return notes


class _Flashes:
    """When flashes of one level were seen: the second that led to each frame, joined where they overlap."""

    def __init__(self) -> None:
        self.ranges: list[list[float]] = []
        self.bright = False

    def add(self, end: float, *, bright: bool) -> None:
        """A frame that ends at ``end`` has this level."""
        self.bright |= bright
        start = max(0.0, end - 1.0)
        if self.ranges and start <= self.ranges[-1][1]:
            self.ranges[-1][1] = end
        else:
            self.ranges.append([start, end])


def check_video(item: Video) -> None:
    """Check type and shape.

    Raises:
        SafetyUnavailable: not uint8 (n, H, W, 3) with at least one frame at a rate above 0.
    """
    frames = item.frames
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or 0 in frames.shape or item.fps <= 0:
        raise SafetyUnavailable("a video is uint8 (n, H, W, 3) at a rate above 0")


def _has_neighbour(found: Sequence[tuple[int, float, float]], index: int) -> bool:
    """Whether two or more others lie within half a second: then it is flicker, not an insertion."""
    start, near = found[index][1], 0
    for step in (-1, 1):
        k = index + step
        while 0 <= k < len(found) and abs(found[k][1] - start) <= 0.5 + 1e-6 and near < 2:
            near, k = near + 1, k + step
    return near >= 2


def create(options: Mapping[str, str]) -> VideoSignal:
    """Entry point; takes no options."""
    return VideoSignal()
