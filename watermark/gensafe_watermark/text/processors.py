"""The same mark for other people's generation loops, by duck typing: no torch or transformers import here.

Both processors leave exactly one token possible (its logit stays, all others become -inf) where the key decides, and
leave the logits alone where sampling is free. They must be the last step before sampling; temperature and top-k / top-p
therefore are applied inside, because a loop that applies them afterwards would find only one token left.
"""
# ruff: noqa: ANN401  (tensors of libraries that this package must not import)

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import InvalidRequest
from gensafe_watermark.sampling import GumbelMark, check_parameters


def probabilities(
    logits: NDArray[np.float64], *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> NDArray[np.float64]:
    """Softmax after temperature, top-k and nucleus cut: (vocabulary,) float64 that sums to 1.

    Args:
        logits: (vocabulary,); -inf marks forbidden tokens.
        temperature: > 0.
        top_k: Keep this many; 0 keeps all.
        top_p: Keep the smallest set of this total probability; 1 keeps all.

    Raises:
        InvalidRequest: no finite logit.
    """
    scaled = np.asarray(logits, np.float64) / temperature
    if not np.isfinite(scaled).any() or np.isnan(scaled).any():
        raise InvalidRequest("no finite logit", field="logits")
    if 0 < top_k < len(scaled):
        scaled = np.where(scaled >= np.partition(scaled, -top_k)[-top_k], scaled, -np.inf)
    p = np.exp(scaled - scaled.max())
    p /= p.sum()
    if top_p < 1.0:
        order = np.argsort(-p, kind="stable")
        keep = np.cumsum(p[order]) - p[order] < top_p
        cut = np.zeros_like(p)
        cut[order[keep]] = p[order[keep]]
        p = cut / cut.sum()
    return np.asarray(p, np.float64)


def _as_array(values: Any) -> NDArray[Any]:
    """A numpy copy of a numpy, torch (any device, any float type) or array-protocol object."""
    if hasattr(values, "detach"):
        values = values.detach()
        values = (values.float() if values.is_floating_point() else values).cpu().numpy()
    return np.asarray(values)


class _Base:
    def __init__(
        self,
        key: bytes,
        *,
        h: int = 3,
        key_shift: int = 0,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
    ) -> None:
        check_parameters(key, h, key_shift)
        if not temperature > 0 or top_k < 0 or not 0 < top_p <= 1:
            raise InvalidRequest("temperature > 0, top_k >= 0 and 0 < top_p <= 1 are needed", field="temperature")
        self._make: Callable[[], GumbelMark] = lambda: GumbelMark(key, h, key_shift)
        self._cut = {"temperature": temperature, "top_k": top_k, "top_p": top_p}

    def _pick(self, mark: GumbelMark, text: Sequence[int], logits: NDArray[np.float64]) -> int | None:
        return mark.choose(text, probabilities(logits, **self._cut))  # type: ignore[arg-type]


class TransformersLogitsProcessor(_Base):
    """A ``LogitsProcessor`` for ``transformers``' ``generate(logits_processor=[...])``, one instance per call.

    Use with ``do_sample=True, temperature=1.0, top_k=0, top_p=1.0`` in ``generate`` and give the wanted values here.

    Args:
        key: 32 secret bytes.
        h: Context length.
        key_shift: Key id 0..15.
        temperature: Applied before the choice.
        top_k: Applied before the choice; 0 = off.
        top_p: Applied before the choice; 1 = off.
    """

    def __init__(self, key: bytes, **options: Any) -> None:
        super().__init__(key, **options)
        self._prompt = -1
        self._marks: list[GumbelMark] = []

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Return the scores with the chosen token alone left possible, row by row.

        Args:
            input_ids: (batch, length) prompt and text so far; the length of the first call is taken as the prompt.
            scores: (batch, vocabulary) logits.
        """
        ids, logits = _as_array(input_ids), _as_array(scores)
        if self._prompt < 0:
            self._prompt = ids.shape[1]
            self._marks = [self._make() for _ in range(ids.shape[0])]
        if ids.shape[0] != len(self._marks) or ids.shape[1] < self._prompt:
            raise InvalidRequest("one processor serves one generate() call", field="input_ids", fix="make a new one")
        out = scores.clone() if hasattr(scores, "clone") else np.array(scores)
        for row, mark in enumerate(self._marks):
            token = self._pick(mark, ids[row, self._prompt :].tolist(), logits[row])
            if token is not None:
                out[row, :] = -np.inf
                out[row, token] = 0.0
        return out


class SequenceLogitsProcessor(_Base):
    """A per-request callable ``(token ids so far, logits) -> logits``, the shape vLLM-compatible servers take.

    Called with three arguments (prompt ids, output ids, logits), the prompt is ignored. One instance per request.

    Args:
        key: 32 secret bytes.
        h: Context length.
        key_shift: Key id 0..15.
        temperature: Applied before the choice.
        top_k: Applied before the choice; 0 = off.
        top_p: Applied before the choice; 1 = off.
    """

    def __init__(self, key: bytes, **options: Any) -> None:
        super().__init__(key, **options)
        self._mark = self._make()
        self._asked = False

    def resume(self, text: Sequence[int]) -> None:
        """Tell a mark that has chosen nothing yet what the text holds already; later calls change nothing."""
        if not self._asked:
            self._mark.resume(text)

    def __call__(self, *arguments: Any) -> Any:
        """Return logits with the chosen token alone left possible, or the logits unchanged."""
        if len(arguments) not in (2, 3):
            raise InvalidRequest("expected (output ids, logits) or (prompt ids, output ids, logits)", field="logits")
        self._asked = True
        text, logits = arguments[-2], arguments[-1]
        token = self._pick(self._mark, list(text), _as_array(logits))
        if token is None:
            return logits
        out = logits.clone() if hasattr(logits, "clone") else np.array(logits)
        out[:] = -np.inf
        out[token] = 0.0
        return out
