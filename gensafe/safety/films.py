"""Classifiers on films and long sounds: one pass over the chunks for all of them.

1. frames: every chunk goes to every exam; it ends early when what was found blocks
2. the sound track, in windows of half a minute
3. the answers
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Final

import numpy as np

from gensafe.core.errors import MediaLimitExceeded, SafetyUnavailable
from gensafe.core.ports import Classifier, FilmExam
from gensafe.core.types import (
    Assessment,
    Audio,
    AudioStream,
    Coverage,
    Finding,
    FrameChunk,
    Stage,
    TimeRange,
    Video,
    VideoStream,
)
from gensafe.media.streams import ArrayVideo, whole_video

# A sound is judged by the half minute: 23 MB of stereo at 48 kHz as the loudness test works on it. The overlap keeps a
# bang, a word or three seconds of a listed recording whole in one of two windows. Chosen for memory
WINDOW_S: Final = 30.0
OVERLAP_S: Final = 4.0  # seconds, as said above
SILENT_SOUND: Final = "the audio is silent"  # a finding's detail that holds only of a whole sound
_NUMBER: Final = re.compile(r"[-+]?\d+(?:\.\d+)?")


def windows(sound: AudioStream) -> Iterator[tuple[Audio, float, int]]:
    """A sound in overlapping windows: (window, seconds from the start, samples that no earlier window had)."""
    size, overlap = round(WINDOW_S * sound.rate), round(OVERLAP_S * sound.rate)
    kept: list[Audio] = []
    start = fresh = 0
    with closing(sound.chunks()) as chunks:  # type: ignore[type-var] # every one is a generator
        for chunk in chunks:
            kept.append(chunk)
            fresh += chunk.samples.shape[1]
            while sum(c.samples.shape[1] for c in kept) > size + overlap:
                whole = np.concatenate([c.samples for c in kept], axis=1)
                length = whole.shape[1]
                yield Audio(whole[:, :size], chunk.rate), start / chunk.rate, size - (length - fresh)
                fresh = length - size
                kept = [Audio(whole[:, size - overlap :], chunk.rate)]
                start += size - overlap
    if kept:
        yield Audio(np.concatenate([c.samples for c in kept], axis=1), kept[0].rate), start / kept[0].rate, fresh


def says_silent(finding: Finding) -> bool:
    """Whether a finding says that there is nothing to hear: of a long sound that holds only for all of it."""
    return finding.detail == SILENT_SOUND


class Heard:
    """Findings of many windows as those of one sound: of one kind the strongest, with all its times."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], tuple[Finding, list[TimeRange], int]] = {}
        self._windows = 0
        self._only: tuple[Finding, ...] = ()

    def add(self, findings: Sequence[Finding], start_s: float, end_s: float) -> None:
        """Take what was found in the window from ``start_s`` to ``end_s``; times in it are from its own start."""
        self._windows += 1
        self._only = tuple(findings) if self._windows == 1 else ()
        for finding in findings:
            key = finding.category, finding.classifier, _NUMBER.sub("#", finding.detail)
            times = [TimeRange(round(t.start_s + start_s, 3), round(t.end_s + start_s, 3)) for t in finding.times]
            times = times or [TimeRange(round(start_s, 3), round(end_s, 3))]
            known, before, count = self._found.get(key, (finding, [], 0))
            best = finding if finding.score > known.score else known
            self._found[key] = best, joined([*before, *times]), count + 1

    def findings(self, of_the_whole: Callable[[Finding], bool] = lambda _: False) -> tuple[Finding, ...]:
        """All findings; those that only mean something of a whole sound, where every window has them."""
        if self._windows == 1:
            return self._only
        kept = (v for v in self._found.values() if not of_the_whole(v[0]) or v[2] == self._windows)
        return tuple(replace(finding, times=tuple(times)) for finding, times, _ in kept)


def joined(times: Sequence[TimeRange]) -> list[TimeRange]:
    """Ranges in order, one for each run of them that touch or overlap."""
    out: list[TimeRange] = []
    for time in sorted(times, key=lambda t: (t.start_s, t.end_s)):
        if out and time.start_s <= out[-1].end_s + 1e-6:
            out[-1] = TimeRange(out[-1].start_s, max(out[-1].end_s, time.end_s))
        else:
            out.append(time)
    return out


def examine(
    exams: Sequence[FilmExam],
    film: VideoStream,
    *,
    progress: Callable[[FrameChunk], FrameChunk] = lambda chunk: chunk,
    enough: Callable[[], bool] = lambda: False,
    guard: Callable[[FilmExam, Callable[[], None]], None] = lambda _exam, work: work(),
) -> bool:
    """Give a film to all exams.

    Args:
        exams: Each gets every chunk, then every window of the sound.
        film: What to read.
        progress: Sees every chunk before the exams do, and may replace it.
        enough: Asked after each chunk and window; True ends the examination.
        guard: Runs one step of one exam; it decides what an error does.

    Returns:
        Whether it went to the end.

    Raises:
        MediaError: the film could not be read on.
    """
    with closing(film.chunks()) as chunks:  # type: ignore[type-var] # every one is a generator
        for chunk in chunks:
            shown = progress(chunk)
            for exam in exams:
                guard(exam, lambda exam=exam, shown=shown: exam.take(shown))  # type: ignore[misc]
            if enough():
                return False
    if film.sound is not None:
        for sound, start_s, fresh in windows(film.sound):
            for exam in exams:
                guard(exam, lambda e=exam, a=sound, s=start_s, f=fresh: e.hear(a, s, f))  # type: ignore[misc]
            if enough():
                return False
    return True


def assess_film(
    classifier: Callable[[VideoStream, Stage], FilmExam], item: Video | VideoStream, stage: Stage
) -> Assessment:
    """A whole film through one exam: ``Classifier.assess`` of a classifier that works in chunks."""
    film = ArrayVideo(item) if isinstance(item, Video) else item
    exam = classifier(film, stage)
    examine([exam], film)
    return exam.finish()


class WholeFilm:
    """A video classifier that works on one array, as an exam. It is run at the end, on up to WHOLE_BYTES of frames."""

    def __init__(self, classifier: Classifier, film: VideoStream, stage: Stage) -> None:
        self._classifier, self._film, self._stage = classifier, film, stage
        self._sounds: list[Audio] = []

    def take(self, chunk: FrameChunk) -> None:
        """Nothing: the frames are read as one array at the end."""

    def hear(self, sound: Audio, start_s: float, fresh: int) -> None:
        """Keep the sound."""
        self._sounds.append(Audio(sound.samples[:, sound.samples.shape[1] - fresh :], sound.rate))

    def found(self) -> Sequence[Finding]:
        """Nothing before the end."""
        return ()

    def finish(self) -> Assessment:
        """Run the classifier.

        Raises:
            SafetyUnavailable: the film is too large for one array.
        """
        try:
            video = whole_video(self._film)
        except MediaLimitExceeded as error:
            raise SafetyUnavailable(f"this classifier takes whole videos only: {error.message}") from None
        if self._sounds and video.audio is None:
            samples = np.concatenate([s.samples for s in self._sounds], axis=1)
            video = replace(video, audio=Audio(samples, self._sounds[0].rate))
        return self._classifier.assess(video, self._stage)


def assess_sound(
    classifier: Classifier,
    sound: AudioStream,
    stage: Stage,
    of_the_whole: Callable[[Finding], bool] = lambda _: False,
    progress: Callable[[float], None] = lambda _: None,
) -> Assessment:
    """A sound of any length through a classifier of sounds, window by window.

    Args:
        classifier: Gets an ``Audio`` of about half a minute at a time.
        sound: What to read.
        stage: As for ``Classifier.assess``.
        of_the_whole: Findings that hold only if every window has them.
        progress: Told the seconds that were examined.

    Raises:
        SafetyUnavailable: as the classifier.
        MediaError: the sound could not be read on.
    """
    heard = Heard()
    coverage: dict[str, tuple[int, int]] = {}
    name = classifier.name
    for window, start_s, fresh in windows(sound):
        assessment = classifier.assess(window, stage)
        count = window.samples.shape[1]
        heard.add(assessment.findings, start_s, start_s + count / window.rate)
        for part in assessment.coverage:
            examined, total = coverage.get(part.unit, (0, 0))
            if part.unit == "samples":  # those of the overlap were counted before
                new = fresh * window.samples.shape[0]
                missed = min(new, part.total - part.examined)
                coverage[part.unit] = examined + new - missed, total + new
            else:
                worst = part.examined < part.total or examined < total
                low = min((examined, total), (part.examined, part.total), key=lambda v: v[0] - v[1])
                coverage[part.unit] = low if worst else (max(examined, part.examined), max(total, part.total))
        progress(start_s + count / window.rate)
    return Assessment(heard.findings(of_the_whole), tuple(Coverage(name, u, e, t) for u, (e, t) in coverage.items()))
