"""What speech and music share: one model of the folder, loaded once, and words in, samples out."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import BackendError, BackendUnavailable, InvalidRequest
from gensafe.core.ports import TextTokenizer
from gensafe.core.types import BackendCapabilities, GenerationJob, GenerationRecord, Modality, Text
from gensafe_backends.transformers_any.source import NAME, VERSION, Source
from gensafe_backends.transformers_any.tokens import Tokens

PEAK: Final = 0.97  # what the loudest sample is scaled to where the sound went over full scale; as hibari


class SoundModel:
    """The part of a backend of sounds that does not depend on how they are made.

    Attributes of a subclass:
        architecture: Name of its class in ``transformers``.
        about: One line for people.
        honoured: Parameters that it takes.
    """

    name = NAME
    version = VERSION
    architecture: str
    about: str
    honoured: frozenset[str]

    def __init__(self, source: Source) -> None:
        self._source = source
        self._tokens = Tokens(source.folder)
        self._lock = Lock()
        self._model: Any = None

    def warm(self) -> None:
        """Load the weights now, not at the first job."""
        self._started()

    def capabilities(self) -> BackendCapabilities:
        """Sound from words."""
        return BackendCapabilities(
            outputs=frozenset({Modality.AUDIO}),
            inputs=frozenset({Modality.TEXT}),
            sampling_marks=False,
            streaming_text=False,
            description=self.about,
            parameters=self.honoured,
        )

    def models(self) -> Mapping[str, str]:
        """The one model and the digest of its folder."""
        return {self._source.name: self._source.folder.digest}

    def tokenizer(self) -> TextTokenizer | None:
        """None: it writes no text."""
        return None

    def _started(self) -> Any:  # noqa: ANN401 - the library has no types
        with self._lock:
            if self._model is None:
                self._model = self._load()
            return self._model

    def _load(self) -> Any:  # noqa: ANN401
        import torch
        import transformers

        self._source.folder.unchanged()
        try:
            model: Any = getattr(transformers, self.architecture).from_pretrained(
                self._source.folder.path,
                local_files_only=True,
                use_safetensors=True,
                dtype=getattr(torch, self._source.dtype),
            )
            return model.to(self._source.device).eval()
        except Exception as error:  # the library raises many kinds
            said = f"{type(error).__name__}: {error}"
            raise BackendUnavailable(f"the folder's model cannot be loaded: {said}") from error

    def _words(self, job: GenerationJob) -> str:
        """All words of a job.

        Raises:
            InvalidRequest: it asks for something else, or brings what is not text.
        """
        if job.modality is not Modality.AUDIO:
            raise InvalidRequest(f"this engine does not produce {job.modality}", field="modality")
        if any(not isinstance(m, Text) for m in job.inputs):
            raise InvalidRequest("this engine reads words only", field="inputs")
        return "\n\n".join([*(m.text for m in job.inputs if isinstance(m, Text)), job.prompt])

    def _record(self, job: GenerationJob, tokens: int, **used: str) -> GenerationRecord:
        model = self._started()
        return GenerationRecord(
            backend=self.name,
            model=self._source.name,
            model_version=f"{type(model).__name__}, {sum(p.numel() for p in model.parameters()):,} parameters",
            weights_digest=self._source.folder.digest,
            seed=job.seed,
            tokens=tokens,
            sampling_mark="not marked by sampling: audio is marked after it is made",
            parameters={"device": self._source.device, "dtype": self._source.dtype, **used},
        )


def within_full_scale(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The samples, scaled down where they went over full scale.

    Raises:
        BackendError: there are none, or they are no numbers.
    """
    if not samples.size or not np.isfinite(samples).all():
        raise BackendError("the model made no sound")
    peak = float(np.abs(samples).max())
    return samples * np.float32(PEAK / peak) if peak > PEAK else samples
