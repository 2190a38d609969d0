"""The contract every ``gensafe.backends`` plugin must hold, as tests to inherit.

    class TestMine(BackendContract):
        prompts = {Modality.TEXT: "say hello", Modality.IMAGE: "a red circle"}

        def make_backend(self) -> Backend:
            return mine.create({})

Every test states one promise the pipeline relies on. Nothing here knows any particular backend.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from gensafe.core.errors import Cancelled, GensafeError, PromptNotUnderstood
from gensafe.core.types import (
    Audio,
    BackendEvent,
    Draft,
    GenerationJob,
    Image,
    Media,
    Modality,
    Progress,
    Text,
    TextDelta,
    Video,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gensafe.core.ports import Backend, SamplingMark


class ArgmaxMark:
    """A sampling mark for tests: always the likeliest token, from the third on; remembers what it was shown."""

    scheme = "contract-argmax"
    key_id = "contract"

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []
        self.chosen: list[int] = []

    def choose(self, context: Sequence[int], probabilities: NDArray[np.float64]) -> int | None:
        """Decline twice, then take the likeliest."""
        _hold(probabilities.dtype == np.float64 and probabilities.ndim == 1, "probabilities are float64 (vocabulary,)")
        _hold(abs(float(probabilities.sum()) - 1.0) < 1e-6, "probabilities sum to 1")
        self.seen.append(tuple(int(i) for i in context))
        if len(context) < 2:
            return None
        token = int(np.argmax(probabilities))
        self.chosen.append(token)
        return token


class BackendContract:
    """Inherit, name the class ``Test...``, fill in ``prompts`` and ``make_backend``.

    Attributes:
        prompts: A prompt the backend understands for every modality it gives.
        outside: A prompt it must not understand, with one word it must name as unknown; None = it takes any prompt.
        repeatable: The same seed gives the same output.
        rereads: The tokenizer reads the text back as the tokens it was written with. False only for untrained weights.
    """

    prompts: ClassVar[Mapping[Modality, str]] = {}
    outside: ClassVar[tuple[Modality, str, str] | None] = None
    repeatable: ClassVar[bool] = True
    rereads: ClassVar[bool] = True

    def make_backend(self) -> Backend:
        """A ready backend; called in every test (cache it if it is slow to make)."""
        raise NotImplementedError("a contract suite needs make_backend()")

    # --- helpers --------------------------------------------------------------------------------------------------

    def job(self, modality: Modality, seed: int = 7, prompt: str | None = None) -> GenerationJob:
        """A job for one of ``prompts``."""
        return GenerationJob(self.prompts[modality] if prompt is None else prompt, modality, (), seed, 0)

    def run(
        self, modality: Modality, seed: int = 7, mark: SamplingMark | None = None
    ) -> tuple[list[BackendEvent], Draft]:
        """All events of a run, and the Draft, which must be the last of them and the only one."""
        events = list(self.make_backend().generate(self.job(modality, seed), mark, lambda: False))
        _hold(bool(events) and isinstance(events[-1], Draft), "the last event is a Draft")
        _hold(sum(isinstance(e, Draft) for e in events) == 1, "there is exactly one Draft")
        draft = events[-1]
        assert isinstance(draft, Draft)
        return events, draft

    # --- promises -------------------------------------------------------------------------------------------------

    def test_it_states_what_it_can_do(self) -> None:
        """Name, version, outputs and models are there, and the suite covers every output."""
        backend = self.make_backend()
        can = backend.capabilities()
        _hold(bool(backend.name) and bool(backend.version), "name and version")
        _hold(bool(can.outputs), "at least one output")
        _hold(set(self.prompts) == set(can.outputs), "the suite has a prompt for every output")
        models = backend.models()
        _hold(bool(models), "at least one model")
        for digest in models.values():
            _hold(digest == "" or (digest.startswith("sha256:") and len(digest) == 71), f"digest {digest!r}")

    def test_events_come_in_order_and_the_media_is_well_formed(self) -> None:
        """Progress and deltas first, one Draft last; media in the agreed shapes, ranges and types."""
        for modality in self.prompts:
            events, draft = self.run(modality)
            _hold(draft.media.modality is modality, "the Draft is of the modality that was asked for")
            check_media(draft.media)
            for event in events[:-1]:
                _hold(isinstance(event, Progress | TextDelta), "only Progress and TextDelta before the Draft")
                if isinstance(event, Progress):
                    _hold(0 <= event.done and (event.total == 0 or event.done <= event.total), "progress within bounds")
            deltas = "".join(e.text for e in events if isinstance(e, TextDelta))
            if isinstance(draft.media, Text):
                _hold(draft.media.text.startswith(deltas), "the text is what was streamed")
                if self.make_backend().capabilities().streaming_text:
                    _hold(deltas != "", "a streaming backend streams")
            else:
                _hold(deltas == "", "no text deltas for media")

    def test_the_record_is_truthful(self) -> None:
        """The record names this backend, one of its models with its digest, and the seed that was used."""
        backend = self.make_backend()
        for modality in self.prompts:
            record = self.run(modality, seed=12345)[1].record
            _hold(record.backend == backend.name, "record.backend")
            _hold(record.model in backend.models(), "record.model is served")
            _hold(record.weights_digest == backend.models()[record.model], "record.weights_digest")
            _hold(record.seed == 12345, "record.seed")
            _hold(record.tokens >= 0 and bool(record.model_version), "record.tokens and model_version")
            _hold(record.sampling_mark.startswith("not marked"), "no mark was given, and the record says so")
            _hold(all(isinstance(v, str | int | bool) for v in record.parameters.values()), "parameters are loggable")

    def test_one_seed_one_output(self) -> None:
        """The same job gives the same media again."""
        if not self.repeatable:
            return
        for modality in self.prompts:
            _hold(same_media(self.run(modality)[1].media, self.run(modality)[1].media), f"{modality} repeats")

    def test_it_stops_when_cancelled(self) -> None:
        """Cancelled before the start and in the middle: Cancelled is raised and no Draft comes."""
        backend = self.make_backend()
        for modality in self.prompts:
            _hold(_cancel_after(backend, self.job(modality), 0), "cancelled at once")
            _hold(_cancel_after(backend, self.job(modality), 1), "cancelled after the first look")

    def test_it_refuses_what_it_does_not_give(self) -> None:
        """A modality outside ``capabilities().outputs`` is one of our errors, not a crash."""
        backend = self.make_backend()
        for modality in set(Modality) - set(backend.capabilities().outputs):
            _hold(_refuses(backend.generate(GenerationJob("x", modality, (), 1, 0), None, lambda: False)), modality)

    def test_it_says_when_it_does_not_understand(self) -> None:
        """A prompt outside its world is refused by name of the unknown word, with a way out."""
        if self.outside is None:
            return
        modality, prompt, word = self.outside
        try:
            list(self.make_backend().generate(self.job(modality, prompt=prompt), None, lambda: False))
        except PromptNotUnderstood as error:
            _hold(word in error.unknown, f"{word!r} is named: {error.unknown}")
            _hold(bool(error.fix), "it says what can be asked")
        else:
            raise AssertionError("a prompt outside the world was answered")

    def test_it_honours_a_sampling_mark_or_says_that_it_does_not(self) -> None:
        """With ``sampling_marks``, the mark sees the text so far in the tokenizer's own ids, and its choices stand."""
        if Modality.TEXT not in self.prompts:
            return
        backend, mark = self.make_backend(), ArgmaxMark()
        draft = self.run(Modality.TEXT, mark=mark)[1]
        if not backend.capabilities().sampling_marks:
            _hold(mark.seen == [] and draft.record.sampling_mark.startswith("not marked"), "the mark was left alone")
            return
        assert isinstance(draft.media, Text)
        _hold(mark.scheme in draft.record.sampling_mark, "the record names the scheme")
        _hold(bool(mark.seen) and mark.seen[0] == (), "the context starts empty")
        _hold(all(b[:-1] == a for a, b in zip(mark.seen, mark.seen[1:], strict=False)), "the context grows by one")
        made = dict(zip([len(c) for c in mark.seen if len(c) >= 2], mark.chosen, strict=True))
        longest = mark.seen[-1]
        _hold(all(longest[n] == made[n] for n in made if n < len(longest)), "what the mark chose was written")
        tokenizer = backend.tokenizer()
        _hold(tokenizer is not None, "a backend that honours marks hands out its tokenizer")
        if tokenizer is not None:
            ids = tuple(tokenizer.encode(draft.media.text))
            _hold(not self.rereads or ids[: len(longest)] == longest, "the tokenizer finds the ids the mark saw")


def check_media(media: Media) -> None:
    """Assert the shapes, types and ranges of ``gensafe.core.types``."""
    if isinstance(media, Text):
        _hold(media.text != "", "text is not empty")
    elif isinstance(media, Image):
        _check_pixels(media.pixels, 3)
    elif isinstance(media, Audio):
        _check_audio(media)
    else:
        _check_pixels(media.frames, 4)
        _hold(media.fps > 0, "frames per second")
        if media.audio is not None:
            _check_audio(media.audio)


def same_media(a: Media, b: Media) -> bool:
    """Whether two media are equal to the last sample."""
    if isinstance(a, Text) and isinstance(b, Text):
        return a.text == b.text
    if isinstance(a, Image) and isinstance(b, Image):
        return np.array_equal(a.pixels, b.pixels)
    if isinstance(a, Audio) and isinstance(b, Audio):
        return a.rate == b.rate and np.array_equal(a.samples, b.samples)
    if isinstance(a, Video) and isinstance(b, Video):
        if (a.audio is None) != (b.audio is None) or a.fps != b.fps or not np.array_equal(a.frames, b.frames):
            return False
        return a.audio is None or b.audio is None or same_media(a.audio, b.audio)
    return False


def _check_pixels(pixels: NDArray[np.uint8], axes: int) -> None:
    _hold(pixels.dtype == np.uint8 and pixels.ndim == axes and pixels.shape[-1] == 3, "uint8 (…, H, W, 3)")
    _hold(0 not in pixels.shape, "not empty")


def _check_audio(audio: Audio) -> None:
    s = audio.samples
    _hold(s.dtype == np.float32 and s.ndim == 2 and 0 not in s.shape and audio.rate > 0, "float32 (channels, n)")
    _hold(bool(np.isfinite(s).all()) and float(np.abs(s).max()) <= 1.0, "samples in [-1, 1]")


def _cancel_after(backend: Backend, job: GenerationJob, questions: int) -> bool:
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > questions

    try:
        for event in backend.generate(job, None, cancelled):
            if isinstance(event, Draft):
                return False
    except Cancelled:
        return True
    return False


def _refuses(events: Iterator[BackendEvent]) -> bool:
    try:
        list(events)
    except GensafeError:
        return True
    return False


def _hold(condition: bool, promise: object) -> None:
    if not condition:
        raise AssertionError(f"contract broken: {promise}")
