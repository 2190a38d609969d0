"""A film or a long sound for the runner: all classifiers of a film share one pass, and the time limit grows with it.

A film is not too long to be judged; it may only not stand still. Beside the policy's ``timeout_s`` it is given
``PER_SECOND`` for each second of film that was examined and ``PER_FRAME`` for each frame that was looked at as a
picture, of which there are at most a few a second (``gensafe.safety.signals.scenes``).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import GensafeError, MediaError, SafetyUnavailable
from gensafe.core.ports import Classifier, FilmExam
from gensafe.core.types import (
    Assessment,
    Audio,
    AudioStream,
    ClassifierId,
    Finding,
    FrameChunk,
    Media,
    Medium,
    Stage,
    Video,
    VideoStream,
)
from gensafe.media.limits import LIMITS
from gensafe.media.streams import ArrayAudio, ArrayVideo, whole_video
from gensafe.safety.films import OVERLAP_S, WINDOW_S, WholeFilm, assess_sound, examine, says_silent

# Seconds of time for a second of film, counting 30 frames as one at least: a core does it in about one (see
# benchmarks.long_media), a busy one in a few
PER_SECOND: Final = 10.0
PER_FRAME: Final = 5.0  # seconds for a frame looked at as a picture: a core does it in half a second, likewise
# Seconds of time for a second of sound before any of it was examined: the recogniser takes one block at a time, and
# 1.4 s a second of music on a quiet core
SOUND_PER_SECOND: Final = 3.0
_FRAMES: Final = 30.0  # of a film that count as a second of it
_LOOK_S: Final = 0.25  # between looks at the progress

TIMED_OUT: Final = "timed out"
Outcome = tuple[ClassifierId, Assessment] | str
"""An assessment, or the reason why there is none."""


class Call(Protocol):
    """What a worker thread runs."""

    def run(self) -> None:
        """Do it; never raises."""

    def refuse(self, reason: str) -> None:
        """Settle without running."""


class Job(Protocol):
    """What the runner waits for."""

    @property
    def call(self) -> Call:
        """What runs; several jobs may share it."""

    @property
    def seconds(self) -> float:
        """How long it took."""

    def wait(self, seconds: float) -> Outcome:
        """The outcome, or "timed out" after ``seconds``, and what it may take beyond."""


def film_of(item: Medium) -> VideoStream | AudioStream | None:
    """The item as a stream where it is judged as one: every film, and a sound of more than a window."""
    if isinstance(item, VideoStream | AudioStream):
        return item
    if isinstance(item, Video):
        return ArrayVideo(item) if _is_film(item) else None
    long = isinstance(item, Audio) and item.samples.ndim == 2 and item.rate > 0
    if long and item.samples.shape[1] > (WINDOW_S + OVERLAP_S) * item.rate:  # type: ignore[union-attr] # Audio
        return ArrayAudio(item)  # type: ignore[arg-type] # Audio
    return None


def time_of(item: Medium) -> float:
    """Seconds beside the policy's ``timeout_s`` for an item that is judged at once: a sound that is no film."""
    well_formed = isinstance(item, Audio) and item.samples.ndim == 2 and item.rate > 0
    return SOUND_PER_SECOND * item.samples.shape[1] / item.rate if well_formed else 0.0  # type: ignore[union-attr] # Audio


def _is_film(item: Video) -> bool:
    """Whether the arrays can be streamed; what cannot is refused by the classifiers themselves."""
    shape, kind = item.frames.shape, item.frames.dtype
    return len(shape) == 4 and shape[3] == 3 and kind == np.uint8 and 0 not in shape and item.fps > 0


def whole_of(item: Medium) -> Media:
    """The item as arrays, for the digest that an allow list names.

    Raises:
        MediaLimitExceeded: too large for that.
    """
    if isinstance(item, VideoStream):
        sounds = list(item.sound.chunks()) if item.sound is not None else []
        video = whole_video(item)
        return replace(video, audio=_whole_sound(sounds)) if sounds and video.audio is None else video
    return _whole_sound(list(item.chunks())) if isinstance(item, AudioStream) else item


def _whole_sound(chunks: Sequence[Audio]) -> Audio:
    return Audio(np.concatenate([c.samples for c in chunks], axis=1), chunks[0].rate)


def start_film(
    classifiers: Sequence[Classifier],
    film: VideoStream | AudioStream,
    stage: Stage,
    submit: Callable[[Call], None],
    timeout_s: float,
    enough: Callable[[Sequence[Finding]], bool],
) -> list[tuple[Classifier, Job]]:
    """Start all classifiers on a film (one thread, one pass) or a sound (a thread each).

    Args:
        classifiers: Of the film's modality.
        film: What to judge.
        stage: Where in the request this is.
        submit: Starts a call.
        timeout_s: Seconds beside those that the film adds.
        enough: Whether these findings settle it, so that the rest need not be examined.
    """
    if isinstance(film, AudioStream):
        calls = [_SoundCall(c, film, stage, timeout_s) for c in classifiers]
        for call in calls:
            submit(call)
        return list(zip(classifiers, calls, strict=True))
    shared = _FilmCall(classifiers, film, stage, timeout_s, enough)
    submit(shared)
    return [(c, _Share(shared, k)) for k, c in enumerate(classifiers)]


class _Growing:
    """A call whose time limit grows with what it has done."""

    def __init__(self, timeout_s: float) -> None:
        self._begin = self._end = time.monotonic()
        self._limit = timeout_s
        self._done = threading.Event()
        self._film_s = self._frames_s = self._more = 0.0
        self.late = False

    def advance(self, film_s: float, frames: int = 0) -> None:
        """So many seconds of film, or frames, were examined."""
        self._film_s = max(self._film_s, film_s)
        self._frames_s += frames / _FRAMES

    def settled(self) -> bool:
        """Wait for the end; False = the time is over."""
        while not self._done.wait(_LOOK_S):
            allowed = self._limit + self._more + PER_SECOND * max(self._film_s, self._frames_s)
            if time.monotonic() - self._begin > allowed:
                self.late = True
                return False
        return True

    def end(self) -> None:
        """It is over."""
        self._end = time.monotonic()
        self._done.set()

    @property
    def seconds(self) -> float:
        """How long it took, or has taken so far."""
        return (self._end if self._done.is_set() else time.monotonic()) - self._begin


class _FilmCall(_Growing):
    """All classifiers of videos on one film, in one pass."""

    def __init__(
        self,
        classifiers: Sequence[Classifier],
        film: VideoStream,
        stage: Stage,
        timeout_s: float,
        enough: Callable[[Sequence[Finding]], bool],
    ) -> None:
        super().__init__(timeout_s)
        self._classifiers, self._film, self._stage, self._enough = classifiers, film, stage, enough
        self.outcomes: list[Outcome] = ["not run"] * len(classifiers)
        self._spent = [0.0] * len(classifiers)
        self._exams: dict[int, FilmExam] = {}
        self._seen: frozenset[Finding] = frozenset()

    def run(self) -> None:
        """Examine; whatever happens, set the outcomes."""
        try:
            for k, classifier in enumerate(self._classifiers):
                self._step(k, lambda k=k, c=classifier: self._start(k, c))  # type: ignore[misc]
            whole = True
            try:
                whole = examine(
                    list(self._exams.values()),
                    self._film,
                    progress=self._watch,
                    enough=self._settled,
                    guard=self._guard,
                )
            except MediaError as error:
                for k in self._exams:
                    self.outcomes[k] = reason_of(error)
                self._exams.clear()
            for k in list(self._exams):
                self._step(k, lambda k=k: self._finish(k, whole=whole))  # type: ignore[misc]
        except BaseException as error:  # what no step caught
            self.outcomes = [reason_of(error)] * len(self._classifiers)
        finally:
            self.end()

    def refuse(self, reason: str) -> None:
        """Settle without running."""
        self.outcomes = [reason] * len(self._classifiers)
        self.end()

    def share(self, k: int) -> float:
        """Seconds that one classifier took of it."""
        return self._spent[k]

    def _start(self, k: int, classifier: Classifier) -> None:
        begin = getattr(classifier, "examine", None)
        exam = begin(self._film, self._stage) if begin else WholeFilm(classifier, self._film, self._stage)
        self._exams[k] = exam

    def _finish(self, k: int, *, whole: bool) -> None:
        assessment = checked(self._exams[k].finish())
        if not whole:  # up to the place that settled it: the rest is no gap
            said = tuple(replace(c, unit=f"{c.unit} up to what blocked it") for c in assessment.coverage)
            assessment = replace(assessment, coverage=said)
        self.outcomes[k] = self._classifiers[k].identity(), assessment

    def _guard(self, exam: FilmExam, work: Callable[[], None]) -> None:
        found = next((k for k, e in self._exams.items() if e is exam), None)
        if found is not None:
            self._step(found, work)

    def _step(self, k: int, work: Callable[[], None]) -> None:
        begin = time.monotonic()
        try:
            work()
        except MediaError:
            raise
        except BaseException as error:
            self.outcomes[k] = reason_of(error)
            self._exams.pop(k, None)
        finally:
            self._spent[k] += time.monotonic() - begin

    def _settled(self) -> bool:
        if self.late or not self._exams:
            return True
        found = frozenset(f for exam in self._exams.values() for f in exam.found())
        new, self._seen = found != self._seen, found
        return new and self._enough(tuple(found))

    def _watch(self, chunk: FrameChunk) -> FrameChunk:
        self.advance(float(chunk.times[0]), len(chunk))

        def fetch(index: int) -> NDArray[np.uint8]:
            self._more += PER_FRAME
            return chunk.fetch(index)

        return replace(chunk, fetch=fetch)


class _Share:
    """One classifier's part of a film's call."""

    def __init__(self, call: _FilmCall, k: int) -> None:
        self._call, self._k = call, k

    @property
    def call(self) -> Call:
        """The film's."""
        return self._call

    @property
    def seconds(self) -> float:
        """How long this classifier took."""
        return self._call.share(self._k)

    def wait(self, seconds: float) -> Outcome:
        """The outcome, once the whole pass is over."""
        return self._call.outcomes[self._k] if self._call.settled() else TIMED_OUT


class _SoundCall(_Growing):
    """One classifier of sounds on a long one."""

    def __init__(self, classifier: Classifier, sound: AudioStream, stage: Stage, timeout_s: float) -> None:
        whole = getattr(classifier, "needs_whole", False)
        at_once = sound.seconds if whole else min(sound.seconds, WINDOW_S + OVERLAP_S)
        super().__init__(timeout_s + SOUND_PER_SECOND * at_once)
        self._classifier, self._sound, self._stage = classifier, sound, stage
        self._outcome: Outcome = "not run"

    def run(self) -> None:
        """Assess; whatever happens, set an outcome."""
        try:
            if getattr(self._classifier, "needs_whole", False):
                LIMITS.check("max_duration_s", self._sound.seconds)
                found = self._classifier.assess(_whole_sound(list(self._sound.chunks())), self._stage)
            else:
                found = assess_sound(self._classifier, self._sound, self._stage, says_silent, self.advance)
            self._outcome = (self._classifier.identity(), checked(found))
        except BaseException as error:
            self._outcome = reason_of(error)
        finally:
            self.end()

    @property
    def call(self) -> Call:
        """What runs: this."""
        return self

    def refuse(self, reason: str) -> None:
        """Settle without running."""
        self._outcome = reason
        self.end()

    def wait(self, seconds: float) -> Outcome:
        """The outcome."""
        return self._outcome if self.settled() else TIMED_OUT


def reason_of(error: BaseException) -> str:
    """Why there is no assessment; the message of a stray exception may quote the content: its type only."""
    return f"{error.reason}: {error.message}" if isinstance(error, GensafeError) else type(error).__name__


def checked(assessment: Assessment) -> Assessment:
    """Refuse scores outside 0..1; the findings with plain floats.

    Raises:
        SafetyUnavailable: there is one.
    """
    findings = []
    for finding in assessment.findings:
        score = float(finding.score)
        if not 0.0 <= score <= 1.0:  # also refuses NaN
            raise SafetyUnavailable(f"score out of range for {finding.category}")
        findings.append(replace(finding, score=score))
    return Assessment(tuple(findings), tuple(assessment.coverage))
