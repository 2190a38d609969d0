"""Text by a causal model: read the prompt in pieces, then one token at a time with its cache kept."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from threading import Lock
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import BackendError, BackendUnavailable, Cancelled, InvalidRequest
from gensafe.core.ports import CancelCheck, SamplingMark, TextTokenizer
from gensafe.core.types import (
    BackendCapabilities,
    BackendEvent,
    Draft,
    GenerationJob,
    GenerationRecord,
    Modality,
    Parameters,
    Progress,
    Text,
    TextDelta,
)
from gensafe_backends.sampling import HONOURED
from gensafe_backends.transformers_any.source import NAME, VERSION, Source
from gensafe_backends.transformers_any.tokens import Decoder, Tokens
from gensafe_backends.writing import Writing

CHUNK: Final = 512  # tokens of a prompt between two looks at whether the caller is gone; vLLM's default, too


class Model:
    """The loaded weights.

    Raises:
        BackendUnavailable: the folder changed, or does not hold what can be run.
    """

    def __init__(self, source: Source) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        source.folder.unchanged()
        self._torch = torch
        try:
            model: Any = AutoModelForCausalLM.from_pretrained(
                source.folder.path,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=getattr(torch, source.dtype),
            )
            self._model = model.to(source.device).eval()
        except Exception as error:  # the library raises many kinds, with paths in their words
            raise BackendUnavailable(f"the folder's model cannot be loaded: {type(error).__name__}: {error}") from error
        self._device = source.device
        text = self._model.config.get_text_config()
        self.context = min(source.context, int(getattr(text, "max_position_embeddings", 0) or source.context))
        self.kind = f"{type(model).__name__}, {sum(p.numel() for p in model.parameters()):,} parameters"
        own = self._model.generation_config
        ends = own.eos_token_id
        self.ends = frozenset(ends if isinstance(ends, list) else [] if ends is None else [ends])
        self.defaults: Mapping[str, float | int] = {
            "temperature": own.temperature if own.temperature is not None else 1.0,
            "top_p": own.top_p if own.top_p is not None else 1.0,
            "top_k": own.top_k or 0,
            "repetition_penalty": own.repetition_penalty if own.repetition_penalty is not None else 1.0,
        }
        self._last = "logits_to_keep" in inspect.signature(self._model.forward).parameters

    def session(self) -> Session:
        """A text to read and go on with."""
        return Session(self._model, self._torch, self._device, last_only=self._last)


class Session:
    """What one text has read so far."""

    def __init__(self, model: Any, torch: Any, device: str, *, last_only: bool) -> None:  # noqa: ANN401 - untyped library
        self._model, self._torch, self._device, self._last = model, torch, device, last_only
        self._cache: Any = None
        self._read: list[int] = []

    def read(self, ids: list[int], cancelled: CancelCheck = lambda: False) -> NDArray[np.float32]:
        """Read further ids; the logits after the last of them, float32 (vocabulary,).

        Raises:
            Cancelled: the caller is gone.
            BackendError: the model failed.
        """
        for start in range(0, len(ids), CHUNK):
            if cancelled():
                raise Cancelled("the request was cancelled while its prompt was read")
            logits = self._step(ids[start : start + CHUNK])
        return logits

    def _step(self, ids: list[int]) -> NDArray[np.float32]:
        torch = self._torch
        self._read += ids
        new = ids if self._cache is not None else self._read  # a model that keeps no cache reads everything again
        more = {"logits_to_keep": 1} if self._last else {}
        try:
            with torch.inference_mode():
                out = self._model(
                    input_ids=torch.tensor([new], device=self._device),
                    past_key_values=self._cache,
                    use_cache=True,
                    **more,
                )
        except RuntimeError as error:  # out of memory, a sticky error of the device
            raise BackendError(f"the model failed: {type(error).__name__}") from error
        self._cache = getattr(out, "past_key_values", None)
        return np.asarray(out.logits[0, -1].float().cpu().numpy(), np.float32)


class Reader(Protocol):
    """What one text has read so far."""

    def read(self, ids: list[int], cancelled: CancelCheck = lambda: False) -> NDArray[np.float32]:
        """Read further ids; the logits after the last of them, float32 (vocabulary,)."""


class Weights(Protocol):
    """A loaded model, by whichever library."""

    context: int  # tokens of prompt and answer together
    kind: str
    ends: frozenset[int]  # tokens that end a text
    defaults: Mapping[str, float | int]  # sampling parameters that the folder sets

    def session(self) -> Reader:
        """A text to read and go on with."""


class TextBackend:
    """See the package's text.

    Args:
        source: The folder and the options.
        load: Loads its weights, at the first job.
        name: Of the backend.
        library: Which loads it, as capabilities say.
    """

    version = VERSION

    def __init__(
        self,
        source: Source,
        load: Callable[[Source], Weights] = Model,
        name: str = NAME,
        library: str = "transformers",
    ) -> None:
        self.name, self._library = name, library
        self._source, self._load = source, load
        self._tokens = Tokens(source.folder)
        self._lock = Lock()
        self._model: Weights | None = None

    def warm(self) -> None:
        """Load the weights now, not at the first job."""
        self._started()

    def _started(self) -> Weights:
        with self._lock:
            if self._model is None:
                self._model = self._load(self._source)
            return self._model

    def capabilities(self) -> BackendCapabilities:
        """Text from text; a conversation only with a chat template."""
        return BackendCapabilities(
            outputs=frozenset({Modality.TEXT}),
            inputs=frozenset({Modality.TEXT}),
            sampling_marks=True,
            streaming_text=True,
            description=f"{self._source.kind} from a local folder, by {self._library}",
            parameters=HONOURED if self._tokens.chats else HONOURED - {"messages"},
        )

    def models(self) -> Mapping[str, str]:
        """The one model and the digest of its folder."""
        return {self._source.name: self._source.folder.digest}

    def tokenizer(self) -> TextTokenizer | None:
        """Its own, for detection of its mark."""
        return self._tokens

    def generate(self, job: GenerationJob, mark: SamplingMark | None, cancelled: CancelCheck) -> Iterator[BackendEvent]:
        """See ``Backend.generate``. ``cancelled`` is asked before every token and every ``CHUNK`` of a prompt."""
        if job.modality is not Modality.TEXT:
            raise InvalidRequest(f"this engine does not produce {job.modality}", field="modality")
        if any(not isinstance(m, Text) for m in job.inputs):
            raise InvalidRequest("this engine reads text only", field="inputs")
        if job.messages and not self._tokens.chats:
            raise InvalidRequest("this model has no chat template", field="messages")
        if cancelled():
            raise Cancelled("the request was cancelled before it was begun")
        prompt = "\n\n".join([*(m.text for m in job.inputs if isinstance(m, Text)), job.prompt])
        ids, model = self._tokens.chat(job.messages, prompt), self._started()
        room = model.context - len(ids)
        if room < 1:
            fix = f"below {model.context} with its answer"
            raise InvalidRequest(f"is too long: {len(ids)} tokens", field="prompt", fix=fix)
        most = min(job.max_tokens or self._source.max_tokens, room)
        yield Progress(0, most)
        decoder = Decoder(self._tokens)
        writing = Writing(job, mark, decoder.push, _filled(job.parameters, model))
        session = model.session()
        logits = session.read(ids, cancelled)
        while len(writing.tokens) < most:
            if cancelled():
                raise Cancelled("the request was cancelled while it was written")
            token = writing.choose(logits)
            if token in model.ends:
                writing.stop()
                break
            piece = writing.push(token)
            if piece:
                yield TextDelta(piece)
            if writing.finish:
                break
            logits = session.read([token])
        tail = writing.end(decoder.end())
        if tail:
            yield TextDelta(tail)
        if not writing.text:
            raise BackendError("the model wrote nothing", fix="ask again with another seed")
        yield Draft(Text(writing.text), self._record(job, writing, len(ids), model))

    def _record(self, job: GenerationJob, writing: Writing, tokens_in: int, model: Weights) -> GenerationRecord:
        finish = writing.finish or "length"
        return GenerationRecord(
            backend=self.name,
            model=self._source.name,
            model_version=model.kind,
            weights_digest=self._source.folder.digest,
            seed=job.seed,
            tokens=len(writing.tokens),
            sampling_mark=writing.mark_name,
            parameters={"device": self._source.device, "dtype": self._source.dtype},
            notes=("cut off at the greatest number of tokens",) if finish == "length" else (),
            finish=finish,
            tokens_in=tokens_in,
        )


def _filled(wishes: Parameters, model: Weights) -> Parameters:
    """The wishes, with what the folder's generation settings say where there is none."""
    missing: dict[str, Any] = {k: v for k, v in model.defaults.items() if getattr(wishes, k) is None}
    return replace(wishes, **missing)
