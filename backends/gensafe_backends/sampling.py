"""From logits to the probabilities that a token is drawn from.

In the order that llama.cpp and vLLM share: penalties on the logits, then temperature, then top-k, top-p and min-p cut
the tail, then what is left is scaled to sum 1. A mark chooses from the result, so it changes no probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.types import Parameters

TEMPERATURE: Final = 0.7  # of generation without a wish; the model's card uses 0.2 for chat, which repeats itself more
TOP_P: Final = 0.95  # llama.cpp's default
HONOURED: Final = frozenset(
    {
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "presence_penalty",
        "frequency_penalty",
        "repetition_penalty",
        "stop",
        "messages",
    }
)
PENALTY: Final = 1.1  # default repetition penalty: without one, one text in five falls into a loop
PENALTY_WINDOW: Final = 64  # tokens back, as llama.cpp's repeat_last_n


def probabilities(logits: NDArray[np.float32], written: Sequence[int], wishes: Parameters) -> NDArray[np.float64]:
    """Probabilities of the next token: float64 (vocabulary,), sum 1; temperature 0 gives all to the likeliest."""
    z = logits.astype(np.float64)
    _penalise(z, written, wishes)
    temperature = TEMPERATURE if wishes.temperature is None else wishes.temperature
    if temperature == 0:
        chosen = np.zeros_like(z)
        chosen[int(np.argmax(z))] = 1.0
        return chosen
    z = (z - z.max()) / temperature
    p = np.exp(z)
    p /= p.sum()
    return _cut(p, wishes)


def _penalise(z: NDArray[np.float64], written: Sequence[int], wishes: Parameters) -> None:
    repetition = PENALTY if wishes.repetition_penalty is None else wishes.repetition_penalty
    recent = np.unique(np.asarray(written[-PENALTY_WINDOW:], np.int64))
    if len(recent) and repetition != 1:
        z[recent] = np.where(z[recent] > 0, z[recent] / repetition, z[recent] * repetition)
    if written and (wishes.presence_penalty or wishes.frequency_penalty):
        tokens, counts = np.unique(np.asarray(written, np.int64), return_counts=True)
        z[tokens] -= (wishes.presence_penalty or 0) + (wishes.frequency_penalty or 0) * counts


def _cut(p: NDArray[np.float64], wishes: Parameters) -> NDArray[np.float64]:
    top_p = TOP_P if wishes.top_p is None else wishes.top_p
    if wishes.top_k and wishes.top_k < len(p):
        p[p < np.partition(p, -wishes.top_k)[-wishes.top_k]] = 0
    if wishes.min_p:
        p[p < wishes.min_p * p.max()] = 0
    if top_p < 1:
        # Only tokens above the mean of what could be left out can matter: sort those alone.
        likely = np.flatnonzero(p > (1 - top_p) / len(p))
        order = likely[np.argsort(-p[likely], kind="stable")]
        keep = order[: int(np.searchsorted(np.cumsum(p[order]), top_p * p.sum())) + 1]
        kept = np.zeros_like(p)
        kept[keep] = p[keep]
        p = kept
    p /= p.sum()
    return p
