"""``audio_likeness``: does somebody speak? What follows is the policy's business, not the detector's.

It says that there is a voice and when. It knows no speaker and keeps nothing of a voice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gensafe.core.types import Assessment, Audio, Coverage, Finding, Stage, TimeRange
from gensafe.safety.classifiers.audio_text import distinct_views
from gensafe.safety.classifiers.one_kind import OneKind
from gensafe.safety.signals.voice import speech_seconds

NAME: Final = "audio_likeness"
VERSION: Final = "1"
LEAST: Final = 0.5  # one second that sounds like speech, among many that do not
MOST: Final = 0.9  # all of them: the shape of speech is no proof of a voice


class AudioLikeness(OneKind[Audio]):
    """Voice presence as a Classifier."""

    name, version, reads = NAME, VERSION, Audio

    def judge(self, item: Audio, stage: Stage) -> Assessment:
        """Listen for a voice in one sound."""
        count = item.samples.shape[0] * item.samples.shape[1]
        return Assessment(self.find(item), (Coverage(NAME, "samples", count, count),))

    def find(self, item: Audio) -> tuple[Finding, ...]:
        """One finding with the seconds in which the mix, or a channel with content of its own, sounds like speech."""
        best: tuple[float, str, list[float]] | None = None
        for name, view in distinct_views(item.samples).items():
            seconds = speech_seconds(view, item.rate)
            heard = [s.at_s for s in seconds if s.speech]
            if heard:
                share = len(heard) / len(seconds)
                if best is None or share > best[0]:
                    best = share, name, heard
        if best is None:
            return ()
        share, name, heard = best
        score = round(LEAST + (MOST - LEAST) * share, 4)
        end = item.samples.shape[1] / item.rate
        return (Finding("lik", score, NAME, f"a human voice in {name}", times=_joined(heard, end)),)


def _joined(starts: list[float], end_s: float) -> tuple[TimeRange, ...]:
    ranges: list[TimeRange] = []
    for start in starts:
        first = ranges.pop().start_s if ranges and start <= ranges[-1].end_s else start
        ranges.append(TimeRange(round(first, 3), round(max(first, min(end_s, start + 1.0)), 3)))
    return tuple(ranges)


def create(options: Mapping[str, str]) -> AudioLikeness:
    """Entry point; takes no options."""
    return AudioLikeness()
