"""``audio_text``: what is said, transcribed and judged by the text stack.

Without a transcriber nothing is transcribed, and a finding says so. Text that is to be spoken is moderated as a prompt
before it is synthesised; this classifier is the second look, at what the sound really holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from gensafe.core.errors import SafetyUnavailable
from gensafe.core.ports import Card
from gensafe.core.types import (
    Assessment,
    Audio,
    ClassifierId,
    Coverage,
    Finding,
    Media,
    Modality,
    Stage,
    TimeRange,
)
from gensafe.safety.classifiers.stack_card import card_with_text
from gensafe.safety.signals.transcribers import RATE, Segment, Transcriber, load_transcriber

if TYPE_CHECKING:
    from gensafe.safety.text import TextStack

NAME: Final = "audio_text"
VERSION: Final = "1"
SILENT: Final = 10 ** (-50 / 20)  # RMS of -50 dBFS: too faint to transcribe; chosen by eye, not measured
# correlation at which two channels hold the same words and one is read; chosen by eye, not measured
ALIKE: Final = 0.98
NOT_TRANSCRIBED: Final = 0.3  # a note; a policy that demands transcription sets its threshold for "unc" below this


class AudioText:
    """Transcribes each distinct channel and hands the words to the text classifiers.

    Args:
        stack: The text classifiers.
        transcriber: None = nothing is transcribed.
        both_ways: Transcribe the sound backwards too (twice the cost).
    """

    name = NAME
    modality = Modality.AUDIO

    def __init__(self, stack: TextStack, transcriber: Transcriber | None, *, both_ways: bool = False) -> None:
        self._stack, self._transcriber, self._both_ways = stack, transcriber, both_ways

    def identity(self) -> ClassifierId:
        """The version names the transcriber."""
        heard_by = self._transcriber.name if self._transcriber else "no transcriber"
        return ClassifierId(NAME, f"{VERSION}+{heard_by}")

    def card(self) -> Card:
        """The card in docs/cards, for this transcriber and with the categories of the text classifiers in use."""
        return card_with_text(NAME, self._stack, self.identity().version)

    def assess(self, item: Media, stage: Stage) -> Assessment:
        """Transcribe and judge one sound.

        Raises:
            SafetyUnavailable: not a sound, or the transcriber or a text classifier failed.
        """
        if not isinstance(item, Audio):
            raise SafetyUnavailable("audio_text reads audio")
        return Assessment(self.listen(item, stage), self._coverage(item))

    def listen(self, item: Audio, stage: Stage) -> tuple[Finding, ...]:
        """Findings of the text stack on all that is heard, with times in place of spans."""
        views = distinct_views(item.samples)
        if self._transcriber is None:
            if not views:
                return ()
            note = "speech, if there is any, was not transcribed: no transcriber is installed"
            return (Finding("unc", NOT_TRANSCRIBED, NAME, note),)
        found: list[Finding] = []
        for name, view in views.items():
            mono = resample_poly(view.astype(np.float64), RATE, item.rate) if item.rate != RATE else view
            forward = np.asarray(mono, dtype=np.float32)
            found += self._judge(self._transcriber.transcribe(forward), name, stage, reverse_s=None)
            if self._both_ways:
                backward = self._transcriber.transcribe(np.ascontiguousarray(forward[::-1]))
                found += self._judge(backward, f"{name}, played backwards", stage, reverse_s=forward.size / RATE)
        return tuple(found)

    def _judge(self, heard: list[Segment], where: str, stage: Stage, *, reverse_s: float | None) -> list[Finding]:
        if not heard:
            return []
        assert self._transcriber is not None
        text = "\n".join(segment.text for segment in heard)
        findings = []
        for finding in self._stack.assess(text, stage).findings:
            times, at = [], 0
            for segment in heard:
                start, end = at, at + len(segment.text)
                at = end + 1
                if not finding.spans or any(s.start < end and s.end > start for s in finding.spans):
                    first, last = segment.start_s, segment.end_s
                    if reverse_s is not None:
                        first, last = reverse_s - last, reverse_s - first
                    times.append(TimeRange(round(first, 3), round(last, 3)))
            detail = f"in speech heard in {where}: {finding.detail}".rstrip(": ")
            score = round(finding.score * self._transcriber.trust, 4)
            findings.append(replace(finding, classifier=NAME, score=score, detail=detail, spans=(), times=tuple(times)))
        return findings

    def _coverage(self, item: Audio) -> tuple[Coverage, ...]:
        """Which channels were listened to; without a transcriber this classifier claims nothing."""
        channels = item.samples.shape[0] if self._transcriber else 0
        return (Coverage(NAME, "channels transcribed", channels, channels),)


def distinct_views(samples: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """What must be listened to separately: the mix, and each channel and the stereo difference where they hold more.

    A channel that correlates with the mix by 0.98 or more says the same; silence (-50 dBFS) says nothing.

    Args:
        samples: (channels, n).
    """
    mix = samples.mean(axis=0, dtype=np.float64).astype(np.float32)
    candidates: dict[str, NDArray[np.float32]] = {"the mix": mix}
    if len(samples) > 1:
        candidates |= {f"channel {i + 1}": channel for i, channel in enumerate(samples)}
    if len(samples) == 2:
        candidates["left minus right"] = ((samples[0] - samples[1]) / 2).astype(np.float32)
    kept: dict[str, NDArray[np.float32]] = {}
    for name, view in candidates.items():
        level = float(np.sqrt(np.mean(view.astype(np.float64) ** 2)))
        if level < SILENT or any(abs(_correlation(view, other)) >= ALIKE for other in kept.values()):
            continue
        kept[name] = view
    return kept


def _correlation(one: NDArray[np.float32], two: NDArray[np.float32]) -> float:
    a, b = one.astype(np.float64), two.astype(np.float64)
    return float(a @ b) / max(1e-12, float(np.sqrt((a @ a) * (b @ b))))


def create(options: Mapping[str, str]) -> AudioText:
    """Entry point.

    Args:
        options: ``transcriber`` (see ``load_transcriber``; default auto); ``both_ways`` = "1" to listen backwards too;
            ``custom`` and ``classifiers`` as for ``image_text``.

    Raises:
        SafetyUnavailable: a named transcriber or text classifier cannot be loaded.
        ConfigError: a malformed option.
    """
    from gensafe.safety.text import TextStack

    names = tuple(n.strip() for n in options.get("classifiers", "").split(",") if n.strip())
    transcriber = load_transcriber(options.get("transcriber", "auto"))
    return AudioText(TextStack(options, names), transcriber, both_ways=options.get("both_ways", "") == "1")
