"""From head logits to calibrated category scores.

score(c) = sigmoid(a . z + b), where z holds, for each model in the ensemble, the logits of the category's own head, of
the ``any`` head and of the teacher head; a and b were fitted by logistic regression on families of texts that no model
was trained on (Platt scaling, over several inputs). So scores of different categories are comparable and their maximum
ranks texts by "anything at all".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Calibration:
    """``weight``: (categories, 3 * models); ``bias``, ``ceiling``: (categories,); ``heads``: with ``any`` and ``apc``.

    A ceiling below 1 says that a category rests on too few examples to be sure of anything.
    """

    categories: tuple[str, ...]
    heads: tuple[str, ...]
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    ceiling: NDArray[np.float32]

    def scores(self, logits: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """(batch, categories) scores in 0..1 from each model's (batch, heads) logits."""
        z = inputs(self.categories, self.heads, logits)
        total = np.einsum("bci,ci->bc", z, self.weight) + self.bias
        return np.asarray(np.minimum(1 / (1 + np.exp(-np.clip(total, -30, 30))), self.ceiling), np.float32)


def inputs(
    categories: Sequence[str], heads: Sequence[str], logits: Sequence[NDArray[np.float32]]
) -> NDArray[np.float32]:
    """(batch, categories, 3 * models): own head, ``any``, ``apc`` of each model, clipped to +-12."""
    own = [heads.index(c) for c in categories]
    both = [heads.index("any"), heads.index("apc")]
    parts = []
    for z in logits:
        z = np.clip(z, -12, 12)
        shared = np.repeat(z[:, None, both], len(own), axis=1)
        parts.append(np.concatenate([z[:, own][:, :, None], shared], axis=2))
    return np.concatenate(parts, axis=2)
