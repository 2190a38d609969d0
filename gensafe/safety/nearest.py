"""How like an operator's examples a text is: cosine similarity of sentence embeddings, the nearest example counts.

The embedding is the one all-MiniLM-L6-v2 was trained to give (Reimers and Gurevych 2019): the mean of the last layer
over the tokens, which is one block of the features the encoder returns, scaled to length 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.safety.custom import CustomCategory
from gensafe.safety.normalize import normalize

BLOCK: Final = slice(768, 1152)  # of the pooled features: the mean of layer 6
Vector = NDArray[np.float32]


def unit(features: NDArray[np.float32]) -> Vector:
    """(384,) embedding of length 1 from one row of pooled features."""
    block = features[BLOCK].astype(np.float32)
    return np.asarray(block / max(float(np.linalg.norm(block)), 1e-9), np.float32)


@dataclass(frozen=True)
class Nearest:
    """The examples of one category, embedded; ``but_not`` has no rows if there are no counter-examples."""

    name: str
    examples: NDArray[np.float32]
    but_not: NDArray[np.float32]

    @classmethod
    def of(cls, category: CustomCategory, embed: Callable[[str], Vector]) -> Nearest:
        """Embed the examples of ``category``."""

        def rows(texts: tuple[str, ...]) -> NDArray[np.float32]:
            return np.stack([embed(normalize(t).text) for t in texts]) if texts else np.zeros((0, 384), np.float32)

        return cls(category.name, rows(category.examples), rows(category.but_not))

    def score(self, vectors: NDArray[np.float32]) -> tuple[float, int]:
        """(similarity in 0..1 of the row most like an example, its index); 0 where a counter-example is nearer."""
        likeness = (vectors @ self.examples.T).max(1)
        if len(self.but_not):
            likeness = np.where((vectors @ self.but_not.T).max(1) > likeness, 0.0, likeness)
        best = int(likeness.argmax())
        return float(np.clip(likeness[best], 0.0, 1.0)), best
