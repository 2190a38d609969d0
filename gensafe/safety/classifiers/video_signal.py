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
    ClassifierId,
    Coverage,
    Finding,
    Media,
    Modality,
    Stage,
    TimeRange,
    Video,
)
from gensafe.media.shrink import shrink
from gensafe.safety.cards import read_card
from gensafe.safety.classifiers.audio_signal import sound_coverage, sound_findings
from gensafe.safety.signals.flash import HEIGHT, WIDTH, FlashReport, FlashResult, flash_report
from gensafe.safety.signals.still import frozen_share, is_blank, is_noise
from gensafe.safety.signals.subliminal import Insertion, find_insertions

NAME: Final = "video_signal"
VERSION: Final = "1"
MAX_RANGES: Final = 50  # of one finding, so that a receipt stays small; a round number, not measured


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
        count = len(item.frames)
        small = shrink(item.frames, HEIGHT, WIDTH)
        findings = [
            *_flash_findings(small, item.fps),
            *_insertion_findings(small, item.fps),
            *_broken_findings(item.frames, small, stage),
        ]
        coverage = [Coverage(NAME, "frames", count, count)]
        if item.audio is not None:
            findings += sound_findings(item.audio, stage, track=True, classifier=NAME)
            coverage += sound_coverage(NAME, item.audio)
        return Assessment(tuple(findings), tuple(coverage))


def check_video(item: Video) -> None:
    """Check type and shape.

    Raises:
        SafetyUnavailable: not uint8 (n, H, W, 3) with at least one frame at a rate above 0.
    """
    frames = item.frames
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or 0 in frames.shape or item.fps <= 0:
        raise SafetyUnavailable("a video is uint8 (n, H, W, 3) at a rate above 0")


def _flash_findings(small: NDArray[np.uint8], fps: float) -> list[Finding]:
    report = flash_report(small, fps)
    worst = report.worst()
    if worst is FlashResult.PASS:
        return []
    level = "more than three flashes in a second" if worst is FlashResult.FAIL else "flashes for four seconds of five"
    detail = f"{_kind(report, worst)} flash: {level}"
    if worst is FlashResult.WARNING:
        detail = f"{_kind(report, worst)} flash: two to three flashes in a second"
    score = 0.3 if worst is FlashResult.WARNING else 1.0
    times = _seconds_before(report.frames_at_least(worst), fps)
    return [Finding("phy", score, NAME, detail, times=times)]


def _kind(report: FlashReport, worst: FlashResult) -> str:
    return "luminance" if any(f.result is worst for f in report.luminance) else "red"


def _seconds_before(frames: Sequence[int], fps: float) -> tuple[TimeRange, ...]:
    """The second that led to each of ``frames``, joined where they overlap."""
    ranges: list[list[float]] = []
    for index in frames:
        start, end = max(0.0, (index + 1) / fps - 1.0), (index + 1) / fps
        if ranges and start <= ranges[-1][1]:
            ranges[-1][1] = end
        else:
            ranges.append([start, end])
    return tuple(TimeRange(round(a, 3), round(b, 3)) for a, b in ranges[:MAX_RANGES])


def _insertion_findings(small: NDArray[np.uint8], fps: float) -> list[Finding]:
    """Inserted frames; a strobe consists of nothing else and is the flash test's business."""
    found = find_insertions(small, fps)
    lone = [i for k, i in enumerate(found) if not _has_neighbour(found, k, fps)]
    if not lone:
        return []
    times = tuple(TimeRange(round(i.start / fps, 3), round((i.start + i.length) / fps, 3)) for i in lone[:MAX_RANGES])
    detail = f"{len(lone)} run(s) of one to three frames that belong to no scene, first at frame {lone[0].start}"
    return [Finding("hid", 0.9, NAME, detail, times=times)]


def _has_neighbour(found: Sequence[Insertion], index: int, fps: float) -> bool:
    """Whether two or more others lie within half a second: then it is flicker, not an insertion."""
    near = [i for i in found if 0 < abs(i.start - found[index].start) <= 0.5 * fps]
    return len(near) >= 2


def _broken_findings(frames: NDArray[np.uint8], small: NDArray[np.uint8], stage: Stage) -> list[Finding]:
    ours = stage is Stage.OUTPUT
    blank = [is_blank(frame) for frame in small]
    if all(blank):
        return [Finding("bad", 1.0 if ours else 0.2, NAME, "every frame is one plain colour")]
    if all(is_noise(frame) for frame in frames[:: max(1, len(frames) // 8)]):
        return [Finding("bad", 0.6 if ours else 0.2, NAME, "the frames are white noise")]
    notes = []
    if any(blank):
        notes.append(Finding("bad", 0.1, NAME, f"{sum(blank)} of {len(blank)} frames are one plain colour"))
    if len(small) > 1 and frozen_share(small) == 1.0:
        notes.append(Finding("bad", 0.2, NAME, "nothing moves in the whole video"))
    return notes


def create(options: Mapping[str, str]) -> VideoSignal:
    """Entry point; takes no options."""
    return VideoSignal()
