"""Paint over what a verdict says must be redacted in a medium.

A redacted medium is another medium: check it again before it goes on.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import UnsupportedMedia
from gensafe.core.types import Action, Audio, Box, Decision, Image, Media, TimeRange, Verdict, Video

MARGIN: Final = 4  # pixels around a box: the edges of letters reach beyond where a reader puts them
MARGIN_S: Final = 0.05  # seconds around a stretch: a classifier's times are rounded. Chosen, not measured
_PAINT: Final = 0  # black


def redact(media: Media, verdict: Verdict) -> Media:
    """A copy of ``media`` with every place of every REDACT decision painted black or silenced.

    Pictures: the boxes. Sounds: the time ranges. Videos: the boxes for the length of the time ranges, or the whole
    frame where there are no boxes. Media without a REDACT decision come back as they are.

    Raises:
        UnsupportedMedia: a text (its spans are painted by ``gensafe.safety.text.redact``), or a decision that does not
            say where: what cannot be located cannot be redacted, and must be held instead.
    """
    wanted = [d for d in verdict.decisions if d.action is Action.REDACT]
    if not wanted:
        return media
    if isinstance(media, Image):
        pixels = media.pixels.copy()
        for decision in wanted:
            _paint(pixels, _boxes(decision))
        return Image(pixels)
    if isinstance(media, Audio):
        samples = media.samples.copy()
        for decision in wanted:
            for time in _times(decision):
                first, last = _range(time, media.rate, samples.shape[1])
                samples[:, first:last] = 0.0
        return Audio(samples, media.rate)
    if isinstance(media, Video):
        return _redact_video(media, wanted)
    raise UnsupportedMedia("text is redacted by its spans")


def _redact_video(media: Video, wanted: list[Decision]) -> Video:
    frames, audio = media.frames.copy(), media.audio
    for decision in wanted:
        for time in _times(decision):
            first, last = _range(time, media.fps, len(frames))
            for frame in frames[first:last]:
                boxes = decision.finding.boxes or (Box(0, 0, frame.shape[1], frame.shape[0]),)
                _paint(frame, boxes)
            if audio is not None and not decision.finding.boxes:  # it may have been heard rather than seen
                samples = audio.samples.copy()
                start, end = _range(time, audio.rate, samples.shape[1])
                samples[:, start:end] = 0.0
                audio = Audio(samples, audio.rate)
    return Video(frames, media.fps, audio)


def _boxes(decision: Decision) -> tuple[Box, ...]:
    if not decision.finding.boxes:
        raise UnsupportedMedia(f"a finding {decision.finding.category} says not where it is: it cannot be redacted")
    return decision.finding.boxes


def _times(decision: Decision) -> tuple[TimeRange, ...]:
    if not decision.finding.times:
        raise UnsupportedMedia(f"a finding {decision.finding.category} says not when it is: it cannot be redacted")
    return decision.finding.times


def _paint(pixels: NDArray[np.uint8], boxes: tuple[Box, ...]) -> None:
    for box in boxes:
        top, left = max(0, box.top - MARGIN), max(0, box.left - MARGIN)
        pixels[top : box.bottom + MARGIN, left : box.right + MARGIN] = _PAINT


def _range(time: TimeRange, rate: float, count: int) -> tuple[int, int]:
    """Indices of samples or frames, with a margin and at least one long."""
    first = min(count - 1, max(0, int((time.start_s - MARGIN_S) * rate)))
    return first, max(first + 1, min(count, int(np.ceil((time.end_s + MARGIN_S) * rate))))
