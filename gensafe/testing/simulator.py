"""A backend for tests: seeded noise in every modality, quick, with faults on demand. It is not a model.

Options: ``text`` = the text it always writes; ``fail_at`` = "start" | "middle" | "crash" (an exception no backend may
raise) | "die" (its process ends half way) | "hang" (it stops half way and hears no cancel) | "wait" (until it is
cancelled); ``step_ms`` = how long each of its steps takes; ``blank`` = "1" for an empty picture, silence or still clip.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import BackendError, Cancelled, InvalidRequest, PromptNotUnderstood
from gensafe.core.ports import CancelCheck, SamplingMark
from gensafe.core.types import (
    Audio,
    BackendCapabilities,
    BackendEvent,
    Draft,
    GenerationJob,
    GenerationRecord,
    Image,
    Media,
    Modality,
    Progress,
    Text,
    TextDelta,
    Video,
)

WORDS = (  # a shopping list: its lines, in any order, look like nothing to a classifier (names of months did, 1 in 80)
    "bread, butter, apples, pears, plums, carrots, onions, rice, pasta, cheese, milk, coffee, sugar, salt, pepper, "
    "honey, flour, lemons, basil, tomatoes, potatoes, beans, oats, corn, tea. soup. bowls. plates. cups. spoons. jam."
).split()
STEPS = 8  # of progress, so that a test can cancel between two
SIDE = 256  # pixels: enough for the image mark
RATE = 16_000  # Hz: speech


class SimulatorTokenizer:
    """Words as ids; unknown words have none."""

    def encode(self, text: str) -> list[int]:
        """Ids of the known words, in order."""
        return [WORDS.index(word) for word in text.split() if word in WORDS]


class Simulator:
    """See the module."""

    name = "simulator"
    version = "1"

    def __init__(self, options: Mapping[str, str]) -> None:
        self._options = options

    def capabilities(self) -> BackendCapabilities:
        """Everything out, pictures and text in."""
        every = frozenset(Modality)
        return BackendCapabilities(every, every, True, True, "a simulator for tests: seeded noise, not a model")

    def models(self) -> Mapping[str, str]:
        """One name, no weights."""
        return {"simulator": "sha256:" + "0" * 64}

    def tokenizer(self) -> SimulatorTokenizer:
        """The word list."""
        return SimulatorTokenizer()

    def generate(self, job: GenerationJob, mark: SamplingMark | None, cancelled: CancelCheck) -> Iterator[BackendEvent]:
        """Yield progress or text, then a draft; "unknown" in the prompt plays a prompt outside the world."""
        if "unknown" in job.prompt:
            raise PromptNotUnderstood("I do not know: unknown", unknown=("unknown",))
        fail_at = self._options.get("fail_at", "")
        if fail_at == "prompt":
            fail_at = job.prompt.partition("fail_at=")[2]
        if fail_at == "start":
            raise BackendError("simulated failure")
        if fail_at == "die-first":
            _die()
        if fail_at == "crash":
            raise ZeroDivisionError("simulated bug")
        random = np.random.default_rng(job.seed)
        pause = threading.Event()
        step_s = float(self._options.get("step_ms", "0")) / 1000
        written = ""
        words = self._words(job, mark, random)
        for step in range(STEPS):
            if cancelled() and fail_at != "hang":
                raise Cancelled("the caller went away")
            pause.wait(step_s)
            while fail_at == "wait" and not cancelled():
                pause.wait(0.05)
            if step == STEPS // 2:
                _fail(fail_at)
            if job.modality is Modality.TEXT:
                piece = "".join(words[step * len(words) // STEPS : (step + 1) * len(words) // STEPS])
                written += piece
                yield TextDelta(piece)
            else:
                yield Progress(step + 1, STEPS)
        if fail_at == "die-last":
            _die()
        media: Media = Text(written) if job.modality is Modality.TEXT else self._media(job.modality, random)
        if fail_at == "die-sending":
            media = _deadly(media)
        sampled = f"{mark.scheme}/{mark.key_id}" if mark is not None else "not marked by sampling: no mark was given"
        yield Draft(
            media,
            GenerationRecord(
                backend=self.name,
                model="simulator",
                model_version=self.version,
                weights_digest=self.models()["simulator"],
                seed=job.seed,
                tokens=len(words),
                sampling_mark=sampled,
            ),
        )

    def _words(self, job: GenerationJob, mark: SamplingMark | None, random: np.random.Generator) -> list[str]:
        fixed = self._options.get("text", "")
        if fixed:
            *most, last = fixed.split(" ")
            return [*(word + " " for word in most), last]
        uniform = np.full(len(WORDS), 1 / len(WORDS))
        chosen: list[int] = []
        for _ in range(job.max_tokens or 160):
            token = mark.choose(chosen, uniform) if mark is not None else None
            chosen.append(int(random.integers(len(WORDS))) if token is None else token)
        return [*(WORDS[i] + " " for i in chosen[:-1]), WORDS[chosen[-1]].rstrip(",.") + "."]

    def _media(self, modality: Modality, random: np.random.Generator) -> Media:
        blank = bool(self._options.get("blank"))
        if modality is Modality.IMAGE:
            return Image(np.zeros((SIDE, SIDE, 3), np.uint8) if blank else _picture(random, 0.0))
        if modality is Modality.AUDIO:
            return Audio(_tones(random, 3.0) * np.float32(not blank), RATE)
        if modality is Modality.VIDEO:
            frames = np.stack(
                [np.zeros((SIDE, SIDE, 3), np.uint8) if blank else _picture(random, i / 16) for i in range(16)]
            )
            return Video(frames, 8.0, Audio(_tones(random, 2.0), RATE))
        raise InvalidRequest("text is made of words")


def _fail(how: str) -> None:
    if how == "middle":
        raise BackendError("simulated failure")
    if how == "die":
        _die()
    if how == "hang":
        threading.Event().wait()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class _Deadly(np.ndarray[Any, Any]):
    """An array whose process ends when it is asked for its size: after the arrays before it were handed over."""

    @property
    def size(self) -> int:
        _die()
        return 0


def _deadly(media: Media) -> Media:
    """The medium with its last array made so that handing it over ends the process."""
    match media:
        case Image():
            return Image(media.pixels.view(_Deadly))
        case Audio():
            return Audio(media.samples.view(_Deadly), media.rate)
        case Video(audio=Audio() as audio):
            return Video(media.frames, media.fps, Audio(audio.samples.view(_Deadly), audio.rate))
    return media


def _picture(random: np.random.Generator, shift: float) -> NDArray[np.uint8]:
    """A soft gradient with a disc; ``shift`` 0..1 moves the disc."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    base = np.stack([200 + 40 * x, 190 + 40 * y, 210 - 30 * x], axis=-1)
    disc = (x - 0.3 - 0.4 * shift) ** 2 + (y - 0.5) ** 2 < 0.02
    base[disc] = (180, 60, 50)
    return np.clip(base + random.normal(0, 2.0, (SIDE, SIDE, 1)), 0, 255).astype(np.uint8)


def _tones(random: np.random.Generator, seconds: float) -> NDArray[np.float32]:
    """A chord with a little noise."""
    t = np.arange(int(RATE * seconds)) / RATE
    sound = sum(0.15 * np.sin(2 * np.pi * f * t) for f in (330.0, 440.0, 550.0)) + random.normal(0, 0.005, t.size)
    return np.asarray(sound[None, :], np.float32)


def create(options: Mapping[str, str]) -> Simulator:
    """Entry point ``simulator`` of ``gensafe.backends``; refused in production by ``core.config``."""
    return Simulator(options)
