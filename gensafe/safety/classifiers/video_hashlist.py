"""``video_hashlist``: is the clip, or a longer one around it, on one of the operator's lists of clips (vPDQ)?

vPDQ (Meta, ThreatExchange): a clip matches when at least 80 % of the *listed* clip's frames are seen in it, each within
31 bits, whatever share of its own frames they are. So a listed clip is found inside a longer one, and a clip that
merely shares a title card is not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
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
    Video,
    VideoStream,
)
from gensafe.media.shrink import resize
from gensafe.safety.cards import read_card
from gensafe.safety.classifiers.video_signal import check_video
from gensafe.safety.films import assess_film
from gensafe.safety.signals.hashlist import ListEntry
from gensafe.safety.signals.pdq_index import QUALITY_MIN, PdqIndex
from gensafe.safety.signals.pdq_views import pdq
from gensafe.safety.signals.print_lists import read_video_lists

NAME: Final = "video_hashlist"
VERSION: Final = "1"
LISTED_SHARE: Final = 0.8  # share of the listed clip's frames, 0..1: the vPDQ rule above (Meta, ThreatExchange)
STEP_S: Final = 0.25  # of the clip that is looked up; lists hold a frame a second
LISTED_STEP_S: Final = 1.0  # a frame a second: vPDQ's own rate of sampling
MAX_FRAMES: Final = 2400  # at four a second: clips of ten minutes; a round number, not measured
MAX_SIDE: Final = 512  # pixels; PDQ itself reduces a picture to 64 x 64, so nothing it sees is lost


class VideoHashlist:
    """Looks a clip up in lists of clips.

    Args:
        clips: For each listed clip the hashes of its frames.
    """

    name = NAME
    modality = Modality.VIDEO

    def __init__(self, clips: list[list[ListEntry]]) -> None:
        self._sizes = Counter(entry.label for clip in clips for entry in clip)
        self._index = PdqIndex([entry for clip in clips for entry in clip])

    def identity(self) -> ClassifierId:
        """No weights; which lists are loaded is the policy's options and thereby in its digest."""
        return ClassifierId(NAME, VERSION)

    def card(self) -> Card:
        """The card in docs/cards, with the categories of the lists that are loaded."""
        own = read_card(NAME)
        listed = {entry.category for entry in self._index.entries}
        return replace(own, categories=tuple(sorted({*own.categories, *listed})))

    def assess(self, item: Media, stage: Stage) -> Assessment:
        """Compare with every listed clip.

        Raises:
            SafetyUnavailable: not a video, or too long to look up.
        """
        if not isinstance(item, Video):
            raise SafetyUnavailable("video_hashlist reads video")
        check_video(item)
        return assess_film(self.examine, item, stage)

    def examine(self, film: VideoStream, stage: Stage) -> HashlistExam:
        """Begin with a film of any length."""
        return HashlistExam(self._index, self._sizes)

    def look_up(self, item: Video) -> tuple[Finding, ...]:
        """One finding for each listed clip of which 80 % of the frames are in this one."""
        return self.assess(item, Stage.STANDALONE).findings


class HashlistExam:
    """Looks up a frame of a film every STEP_S.

    Args:
        index: The listed frames.
        sizes: How many frames each listed clip has.
    """

    def __init__(self, index: PdqIndex, sizes: Mapping[str, int]) -> None:
        self._index, self._sizes = index, sizes
        self._hits: dict[int, tuple[str, str]] = {}  # row of the list -> label and category

    def take(self, chunk: FrameChunk) -> None:
        """See ``FilmExam``."""
        if not self._sizes:
            return
        ticks = np.ceil(chunk.times / STEP_S - 1e-6)  # a frame is looked up if a tick falls into its time
        digests: list[bytes] = []
        for k in np.flatnonzero(np.diff(ticks) > 0):
            digests += _hashes(chunk.pixels(chunk.first + int(k)), mirrored=True)
        for hit in self._index.search(digests) if digests else ():
            self._hits[id(hit.entry)] = hit.entry.label, hit.entry.category

    def hear(self, sound: Audio, start_s: float, fresh: int) -> None:
        """Nothing: the lists are of pictures."""

    def found(self) -> tuple[Finding, ...]:
        """See ``FilmExam``."""
        seen = Counter(label for label, _ in self._hits.values())
        category = dict(self._hits.values())
        return tuple(
            Finding(category[label], 1.0, NAME, f"{number} of {self._sizes[label]} frames of {label}")
            for label, number in seen.items()
            if number >= LISTED_SHARE * self._sizes[label]
        )

    def finish(self) -> Assessment:
        """See ``FilmExam``."""
        count = len(self._sizes)
        return Assessment(self.found(), (Coverage(NAME, "listed videos", count, count),))


def frame_hashes(item: Video, step_s: float = LISTED_STEP_S, *, mirrored: bool = False) -> list[bytes]:
    """PDQ hashes of a frame every ``step_s`` that has a quality of 50 or more.

    Raises:
        SafetyUnavailable: more than MAX_FRAMES of them.
    """
    wanted = np.unique((np.arange(0, len(item.frames) / item.fps, step_s) * item.fps).astype(int))
    if len(wanted) > MAX_FRAMES:
        raise SafetyUnavailable(f"{len(wanted)} frames would be compared; at most {MAX_FRAMES} are")
    found = []
    for index in wanted:
        found += _hashes(item.frames[min(int(index), len(item.frames) - 1)], mirrored=mirrored)
    return found


def _hashes(frame: NDArray[np.uint8], *, mirrored: bool) -> list[bytes]:
    pixels = _reduced(frame)
    views = (pixels, pixels[:, ::-1]) if mirrored else (pixels,)
    return [digest for digest, quality in map(pdq, views) if quality >= QUALITY_MIN]


def _reduced(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    scale = min(1.0, MAX_SIDE / max(height, width))
    return resize(pixels, max(1, round(height * scale)), max(1, round(width * scale))) if scale < 1 else pixels


def create(options: Mapping[str, str]) -> VideoHashlist:
    """Entry point.

    Args:
        options: ``lists`` = "[category=]path,..." (docs/safety-media.md); without it the classifier finds nothing.

    Raises:
        ConfigError: a list cannot be read.
    """
    return VideoHashlist(read_video_lists(options.get("lists", "")))
