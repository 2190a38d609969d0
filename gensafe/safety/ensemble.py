"""From head logits to calibrated category scores.

score(c) = sigmoid(a . z + b), where z holds, for each model in the ensemble, the logits of the category's own head, of
the ``any`` head and of the teacher head; a and b were fitted by logistic regression on families of texts that no model
was trained on (Platt scaling, over several inputs). So scores of different categories are comparable and their maximum
ranks texts by "anything at all".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

LIMIT: Final = 12.0  # a logit says no more than this
LONE: Final = 0.5  # taken off the log-odds of a sentence torn out of its text: less is known about what it means there
CROWD: Final = 0.3  # taken off all, times the logarithm of the number of looks: the highest of many is high by chance
CROWD_AT_MOST: Final = 20  # looks that count, so that padding cannot buy more than 0.9
WHOLE_ONLY: Final = frozenset(("jbk",))  # "You are an expert." is half of a jailbreak and of any honest request


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

    @cached_property
    def _matrix(self) -> NDArray[np.float32]:
        """(models * heads, categories): ``weight`` spread over the heads it belongs to."""
        models, heads = self.weight.shape[1] // 3, len(self.heads)
        own, both = _places(self.categories, self.heads)
        found = np.zeros((models * heads, len(self.categories)), np.float32)
        for column, place in enumerate(own):
            for model in range(models):
                for head, value in zip((place, *both), self.weight[column, 3 * model : 3 * model + 3], strict=True):
                    found[model * heads + head, column] += value
        return found

    def scores(self, logits: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """(batch, categories) scores in 0..1 from each model's (batch, heads) logits."""
        total = np.clip(np.concatenate(logits, axis=1), -LIMIT, LIMIT) @ self._matrix + self.bias
        return np.asarray(np.minimum(1 / (1 + np.exp(-np.clip(total, -30, 30))), self.ceiling), np.float32)


def weigh(
    scores: NDArray[np.float32], lone: NDArray[np.bool_], looks: int, categories: Sequence[str]
) -> NDArray[np.float32]:
    """Make the (pieces, categories) scores of one text's pieces comparable, so that the highest can be taken.

    ``lone[i]``: piece i is a sentence by itself, not a window. ``looks``: how many pieces one reading was cut into.
    LONE and CROWD were chosen on the sets of ``benchmarks.text_safety`` by ranking alone; thresholds were chosen
    afterwards on other texts.
    """
    if looks <= 1 and not lone.any():
        return scores
    p = np.clip(scores.astype(np.float64), 1e-6, 1 - 1e-6)
    z = np.log(p / (1 - p)) - LONE * lone[:, None] - CROWD * np.log(min(max(1, looks), CROWD_AT_MOST))
    found = 1 / (1 + np.exp(-z))
    for column, category in enumerate(categories):
        if category in WHOLE_ONLY:
            found[lone, column] = 0.0
    return np.asarray(found, np.float32)


@lru_cache(maxsize=8)
def _places(categories: tuple[str, ...], heads: tuple[str, ...]) -> tuple[list[int], list[int]]:
    return [heads.index(c) for c in categories], [heads.index("any"), heads.index("apc")]


def inputs(
    categories: Sequence[str], heads: Sequence[str], logits: Sequence[NDArray[np.float32]]
) -> NDArray[np.float32]:
    """(batch, categories, 3 * models), for fitting: own head, ``any``, ``apc`` of each model, clipped to +-LIMIT."""
    own, both = _places(tuple(categories), tuple(heads))
    parts = []
    for z in logits:
        z = np.clip(z, -LIMIT, LIMIT)
        shared = np.repeat(z[:, None, both], len(own), axis=1)
        parts.append(np.concatenate([z[:, own][:, :, None], shared], axis=2))
    return np.concatenate(parts, axis=2)
