"""Any language model that ``mlx-lm`` can run, from a local folder: Apple silicon, and the CPU on Linux.

The token loop, tokenizer, chat and rules about folders are those of ``transformers_any``; options are the same but
``device`` and ``dtype``, which MLX and the folder decide. Needs the extra ``mlx-lm``. A folder whose configuration
names a ``model_file`` is refused: ``mlx-lm`` would run it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import BackendError, BackendUnavailable, Cancelled, ConfigError
from gensafe.core.ports import Backend, CancelCheck
from gensafe_backends.folder import checked, need
from gensafe_backends.transformers_any.source import OPTIONS, Source, read_source

NAME: Final = "mlx_lm"
CHUNK: Final = 512  # tokens of a prompt between two looks at whether the caller is gone; as transformers_any


def create(options: Mapping[str, str]) -> Backend:
    """Look at the folder and take its digest; the weights are loaded at the first job.

    Raises:
        ConfigError: an option is unknown or not usable, a package is missing, or the folder names code of its own.
    """
    known = {name: default for name, default in OPTIONS.items() if name not in ("device", "dtype")}
    values = checked(options, known, NAME)
    need("mlx", "mlx_lm", extra="mlx-lm")
    source = read_source({**values, "device": "mlx", "dtype": "as stored"})
    if source.said.get("model_file"):
        raise ConfigError("its config.json names a model_file", field="path", fix="code in a folder is not run")
    from gensafe_backends.transformers_any.text import TextBackend

    return TextBackend(source, Model, NAME, "mlx-lm")


class Model:
    """The loaded weights.

    Raises:
        BackendUnavailable: the folder changed, or does not hold what can be run.
    """

    def __init__(self, source: Source) -> None:
        from mlx_lm.utils import load_model

        source.folder.unchanged()
        try:
            self._model, config = load_model(source.folder.path)
        except Exception as error:  # the library raises many kinds
            raise BackendUnavailable(f"the folder's model cannot be loaded: {type(error).__name__}: {error}") from error
        self.context = min(source.context, int(config.get("max_position_embeddings", 0) or source.context))
        self.kind = f"mlx-lm {source.kind}"
        ends = config.get("eos_token_id")
        self.ends = frozenset(ends if isinstance(ends, list) else [] if ends is None else [ends])
        self.defaults: Mapping[str, float | int] = {"temperature": 1.0, "top_p": 1.0, "repetition_penalty": 1.0}

    def session(self) -> Session:
        """A text to read and go on with."""
        return Session(self._model)


class Session:
    """What one text has read so far."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401 - the library has no types
        from mlx_lm.models.cache import make_prompt_cache

        self._model, self._cache = model, make_prompt_cache(model)

    def read(self, ids: list[int], cancelled: CancelCheck = lambda: False) -> NDArray[np.float32]:
        """Read further ids; the logits after the last of them, float32 (vocabulary,).

        Raises:
            Cancelled: the caller is gone.
            BackendError: the model failed.
        """
        import mlx.core as mx

        for start in range(0, len(ids), CHUNK):
            if cancelled():
                raise Cancelled("the request was cancelled while its prompt was read")
            try:
                out = self._model(mx.array([ids[start : start + CHUNK]]), cache=self._cache)
                logits = np.asarray(np.array(out[0, -1].astype(mx.float32)), np.float32)
            except (RuntimeError, ValueError) as error:
                raise BackendError(f"the model failed: {type(error).__name__}") from error
        return logits
