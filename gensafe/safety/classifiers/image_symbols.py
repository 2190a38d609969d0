"""``image_symbols``: symbols of National Socialist organisations. A find is for a person: no shape says what it means.

The hooked cross is sacred to Hindus, Buddhists and Jains, and all three stand in schoolbooks and museums. So the score
never says more than "look at this".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.types import Assessment, Box, Coverage, Finding, Image, Stage
from gensafe.safety.classifiers.one_kind import OneKind
from gensafe.safety.symbols import shared_engine, weights_digest

NAME: Final = "image_symbols"
VERSION: Final = "1"
SCORE: Final = 0.48  # in the default policy between "review" and "block" of hte: no find blocks by itself


class ImageSymbols(OneKind[Image]):
    """The symbol detector as a Classifier."""

    name, version, reads = NAME, VERSION, Image

    def __init__(self) -> None:
        self._engine = shared_engine()

    def weights(self) -> str:
        """The digest is the detector's."""
        return weights_digest()

    def judge(self, item: Image, stage: Stage) -> Assessment:
        """Look for the symbols in one picture."""
        area = item.pixels.shape[0] * item.pixels.shape[1]
        return Assessment(self.find(item.pixels), (Coverage(NAME, "pixels", area, area),))

    def find(self, pixels: NDArray[np.uint8]) -> tuple[Finding, ...]:
        """One finding for each kind of symbol, with the boxes of all of its places."""
        boxes: dict[str, list[Box]] = {}
        for symbol in self._engine.find(pixels):
            boxes.setdefault(symbol.kind, []).append(symbol.box)
        return tuple(Finding("hte", SCORE, NAME, kind, boxes=tuple(found)) for kind, found in boxes.items())


def create(options: Mapping[str, str]) -> ImageSymbols:
    """Entry point; takes no options.

    Raises:
        SafetyUnavailable: the weights are missing.
    """
    return ImageSymbols()
