"""The backend: chooses the task by what is asked for, and states in the record what was really sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from gensafe.core.errors import Cancelled, InvalidRequest
from gensafe.core.ports import CancelCheck, SamplingMark, TextTokenizer
from gensafe.core.types import (
    Audio,
    BackendCapabilities,
    BackendEvent,
    Draft,
    GenerationJob,
    GenerationRecord,
    Modality,
    Progress,
    Text,
    TextDelta,
)
from gensafe_backends.openai_http import chat, media, videos
from gensafe_backends.openai_http.options import Options, read_options
from gensafe_backends.openai_http.wire import Emit, Wire

VERSION: Final = "2"
NOT_MARKED: Final = "not marked by sampling: the engine takes no mark"
SEED_MASK: Final = 0x7FFFFFFF  # most servers take a signed 32-bit seed; the record states the one that was sent


def create(options: Mapping[str, str]) -> OpenAiHttpBackend:
    """Make the backend from its options, see ``options``.

    Raises:
        ConfigError: an option is missing, unknown or not usable.
    """
    return OpenAiHttpBackend(read_options(options))


class OpenAiHttpBackend:
    """See the package's text."""

    name = "openai_http"
    version = VERSION

    def __init__(self, options: Options) -> None:
        self._options = options
        self._wire = Wire(options)

    def capabilities(self) -> BackendCapabilities:
        """Outputs as configured; parameters by dialect."""
        options = self._options
        inputs = {Modality.TEXT}
        if options.outputs & {Modality.TEXT, Modality.IMAGE, Modality.VIDEO}:
            inputs.add(Modality.IMAGE)
        if Modality.TEXT in options.outputs:
            inputs.add(Modality.AUDIO)
        return BackendCapabilities(
            outputs=options.outputs,
            inputs=frozenset(inputs),
            sampling_marks=False,
            streaming_text=True,
            description=f"remote engine {options.model!r}; weights not pinned, {self._marked()}",
            parameters=self._parameters(),
        )

    def _marked(self) -> str:
        mark = self._options.mark
        return f"text tested for the engine's mark {mark.scheme.scheme}" if mark else "text not marked by sampling"

    def _parameters(self) -> frozenset[str]:
        options, dialect = self._options, self._options.dialect
        names: set[str] = {f"extra.{name}" for name in options.extra}
        if Modality.TEXT in options.outputs:
            names |= chat.honoured(dialect)
            if options.transcription_model:
                names.add("language")
        if Modality.IMAGE in options.outputs:
            names |= {"width", "height", *dialect.image}
        if Modality.AUDIO in options.outputs:
            names |= set(dialect.speech) if options.sound == "speech" else {"seconds", "negative_prompt", "steps"}
        if Modality.VIDEO in options.outputs:
            names |= {"width", "height", *dialect.video}
        return frozenset(names)

    def models(self) -> Mapping[str, str]:
        """The configured model. Its weights lie elsewhere: no digest."""
        return {self._options.model: ""}

    def alive(self, within_s: float) -> bool:
        """Whether the server says that it works, asked now; ``within_s``: seconds it has for each of two questions."""
        return self._wire.alive(within_s)

    def tokenizer(self) -> TextTokenizer | None:
        """None: the engine's tokenizer is not known."""
        return None

    def generate(self, job: GenerationJob, mark: SamplingMark | None, cancelled: CancelCheck) -> Iterator[BackendEvent]:
        """See ``Backend.generate``. ``cancelled`` is asked ten times a second; a yes closes the connection."""
        if job.modality not in self._options.outputs:
            raise InvalidRequest(f"this engine does not produce {job.modality}", field="modality")
        if cancelled():
            raise Cancelled("the request was cancelled before it was sent")
        seed = job.seed & SEED_MASK
        if job.modality is Modality.TEXT:
            if self._options.transcription_model and any(isinstance(m, Audio) for m in job.inputs):
                yield from self._transcript(job, seed, cancelled)
            else:
                yield from self._text(job, seed, cancelled)
        else:
            yield from self._medium(job, seed, cancelled)

    def _text(self, job: GenerationJob, seed: int, cancelled: CancelCheck) -> Iterator[BackendEvent]:
        reading = chat.Reading()
        request = chat.body(self._options, job, seed)

        async def work(emit: Emit[str]) -> None:
            await chat.talk(self._wire, request, reading, emit)

        for piece in self._wire.run(work, cancelled):
            yield TextDelta(piece)
        notes = sorted(reading.notes)
        if reading.finish == "length":
            notes.append("cut off at the greatest number of tokens")
        if not reading.tokens:
            notes.append("tokens are counted as pieces of the stream: the engine stated no usage")
        record = self._record(job, seed, reading.tokens or len(reading.text), notes, reading.finish, reading.tokens_in)
        text, mark = "".join(reading.text), self._options.mark
        if mark is not None:
            record = replace(record, sampling_mark=mark.state(text))
        yield Draft(Text(text), record)

    def _transcript(self, job: GenerationJob, seed: int, cancelled: CancelCheck) -> Iterator[BackendEvent]:
        async def work(emit: Emit[str]) -> None:
            await media.transcribe(self._wire, self._options, job, emit)

        yield Progress(0, 1)
        for text in self._wire.run(work, cancelled):
            yield TextDelta(text)
            yield Draft(Text(text), self._record(job, seed, 0, ["a transcript; the endpoint takes no seed"]))

    def _medium(self, job: GenerationJob, seed: int, cancelled: CancelCheck) -> Iterator[BackendEvent]:
        options, wire = self._options, self._wire
        seeded = (job.modality is not Modality.AUDIO and options.dialect.image_seed) or options.sound == "sound"

        async def work(emit: Emit[media.Made | Progress]) -> None:
            if job.modality is Modality.IMAGE:
                await media.draw(wire, options, job, seed, emit)
            elif job.modality is Modality.AUDIO:
                await media.speak(wire, options, job, seed, emit)
            else:
                await videos.film(wire, options, job, seed, emit)

        yield Progress(0, 1)
        for item in wire.run(work, cancelled):
            if isinstance(item, Progress):
                yield item
                continue
            notes = [] if seeded else ["the endpoint takes no seed"]
            yield Progress(1, 1)
            yield Draft(item.media, self._record(job, seed, 0, notes), answer=item.answer)

    def _record(
        self, job: GenerationJob, seed: int, tokens: int, notes: list[str], finish: str = "stop", tokens_in: int = 0
    ) -> GenerationRecord:
        options = self._options
        return GenerationRecord(
            backend=self.name,
            model=options.model,
            model_version="unstated",
            weights_digest="",
            seed=seed,
            tokens=tokens,
            sampling_mark=NOT_MARKED,
            parameters={"endpoint": options.origin, "dialect": options.dialect_name},
            notes=("weights of a remote engine cannot be pinned", *notes),
            finish=finish or "stop",
            tokens_in=tokens_in,
        )
