"""Speech by a VITS voice (MMS-TTS and others): the prompt is what is said, sentence by sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import BackendError, BackendUnavailable, Cancelled, InvalidRequest
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
)
from gensafe_backends.transformers_any.source import NAME, VERSION, Source
from gensafe_backends.transformers_any.tokens import Tokens

PEAK: Final = 0.97  # what the loudest sample is scaled to where the voice went over full scale; as hibari
SPEEDS: Final = (0.5, 2.0)  # beyond, words run together or fall apart; the range that hibari offers, too
LONGEST: Final = 1000  # characters of one sentence: attention grows with its square. By eye, not measured
_SENTENCE: Final = re.compile(r"(?<=[.!?;:])\s+|\n+")
_ONE_AT_A_TIME: Final = Lock()  # the voice draws from torch's one generator, which is seeded for each sentence


class SpeechBackend:
    """See the module's text. The same words and seed give the same samples."""

    name = NAME
    version = VERSION

    def __init__(self, source: Source) -> None:
        self._source = source
        self._tokens = Tokens(source.folder)
        self._lock = Lock()
        self._model: Any = None

    def warm(self) -> None:
        """Load the weights now, not at the first job."""
        self._started()

    def _started(self) -> Any:  # noqa: ANN401 - the library has no types
        with self._lock:
            if self._model is None:
                import torch
                from transformers import VitsModel

                self._source.folder.unchanged()
                try:
                    self._model = VitsModel.from_pretrained(
                        self._source.folder.path,
                        local_files_only=True,
                        use_safetensors=True,
                        dtype=getattr(torch, self._source.dtype),
                    )
                    self._model.to(self._source.device).eval()
                except Exception as error:  # the library raises many kinds
                    said = f"{type(error).__name__}: {error}"
                    raise BackendUnavailable(f"the folder's voice cannot be loaded: {said}") from error
            return self._model

    def capabilities(self) -> BackendCapabilities:
        """Speech from words."""
        return BackendCapabilities(
            outputs=frozenset({Modality.AUDIO}),
            inputs=frozenset({Modality.TEXT}),
            sampling_marks=False,
            streaming_text=False,
            description="a VITS voice from a local folder, by transformers: says the prompt",
            parameters=frozenset({"speed"}),
        )

    def models(self) -> Mapping[str, str]:
        """The one voice and the digest of its folder."""
        return {self._source.name: self._source.folder.digest}

    def tokenizer(self) -> TextTokenizer | None:
        """None: it writes no text."""
        return None

    def generate(self, job: GenerationJob, mark: SamplingMark | None, cancelled: CancelCheck) -> Iterator[BackendEvent]:
        """See ``Backend.generate``. ``cancelled`` is asked before every sentence; the words are the script."""
        if job.modality is not Modality.AUDIO:
            raise InvalidRequest(f"this engine does not produce {job.modality}", field="modality")
        if any(not isinstance(m, Text) for m in job.inputs):
            raise InvalidRequest("this engine speaks words only", field="inputs")
        speed = 1.0 if job.parameters.speed is None else job.parameters.speed
        if not SPEEDS[0] <= speed <= SPEEDS[1]:
            raise InvalidRequest(f"is not between {SPEEDS[0]:g} and {SPEEDS[1]:g}", field="parameters.speed")
        script = "\n\n".join([*(m.text for m in job.inputs if isinstance(m, Text)), job.prompt])
        sentences = [s for s in _SENTENCE.split(script) if s.strip()]
        if not sentences or max(map(len, sentences)) > LONGEST:
            raise InvalidRequest(f"holds no words, or a sentence of more than {LONGEST} characters", field="prompt")
        pieces: list[NDArray[np.float32]] = []
        for number, sentence in enumerate(sentences):
            yield Progress(number, len(sentences))
            if cancelled():
                raise Cancelled("the request was cancelled while it was spoken")
            pieces.append(self._say(sentence, job.seed + number, speed))
        samples = np.concatenate(pieces)
        if not samples.size or not np.isfinite(samples).all():
            raise BackendError("the voice said nothing")
        peak = float(np.abs(samples).max())
        if peak > PEAK:
            samples = samples * np.float32(PEAK / peak)
        yield Progress(len(sentences), len(sentences))
        model = self._started()
        record = GenerationRecord(
            backend=self.name,
            model=self._source.name,
            model_version=f"VitsModel, {sum(p.numel() for p in model.parameters()):,} parameters",
            weights_digest=self._source.folder.digest,
            seed=job.seed,
            tokens=0,
            sampling_mark="not marked by sampling: audio is marked after it is made",
            parameters={"device": self._source.device, "dtype": self._source.dtype, "speed": f"{speed:g}"},
        )
        yield Draft(Audio(samples[None], int(model.config.sampling_rate)), record, script=script)

    def _say(self, sentence: str, seed: int, speed: float) -> NDArray[np.float32]:
        import torch

        model, ids = self._started(), self._tokens.own(sentence, return_tensors="pt")["input_ids"]
        if not ids.shape[1]:
            return np.zeros(0, np.float32)
        try:
            with _ONE_AT_A_TIME, torch.random.fork_rng(), torch.inference_mode():
                torch.manual_seed(seed % (1 << 63))
                model.speaking_rate = speed
                waveform = model(input_ids=ids.to(model.device)).waveform
        except RuntimeError as error:
            raise BackendError(f"the voice failed: {type(error).__name__}") from error
        return np.asarray(waveform[0].float().cpu().numpy(), np.float32)
