"""``image_nudity``: sexual acts and nudity in pictures, photographed or drawn.

It judges the whole picture and cannot say where. It knows no ages: nothing here finds abuse of children.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.types import Assessment, Coverage, Finding, Image, Stage
from gensafe.safety.classifiers.one_kind import OneKind
from gensafe.safety.nudity import shared_engine, weights_digest

NAME: Final = "image_nudity"
VERSION: Final = "1"
CURVE: Final = ((0.0, 0.5, 0.8, 1.0), (0.0, 0.30, 0.36, 1.0))
"""Porn + Hentai of the network -> score. The default policy of pictures holds sxc from 0.30 and blocks it from 0.36,
where the words read in a picture are blocked too. 0.5 and 0.8 were chosen on false alarms: the highest of 208 harmless
photographs is 0.36 (benchmarks.media_safety nudity); no explicit picture could be had to choose them on misses."""
LEAST: Final = 0.2  # Porn + Hentai below this is not worth a note
SUGGESTIVE: Final = 0.5  # Sexy from here is noted
SUGGESTIVE_SCORE: Final = 0.25  # below the default threshold: swimwear is no reason to hold a picture


class ImageNudity(OneKind[Image]):
    """The nudity network as a Classifier."""

    name, version, reads = NAME, VERSION, Image

    def __init__(self) -> None:
        self._engine = shared_engine()

    def weights(self) -> str:
        """The digest is the network's."""
        return weights_digest()

    def judge(self, item: Image, stage: Stage) -> Assessment:
        """Judge one picture."""
        area = item.pixels.shape[0] * item.pixels.shape[1]
        return Assessment(self.find(item.pixels), (Coverage(NAME, "pixels", area, area),))

    def find(self, pixels: NDArray[np.uint8]) -> tuple[Finding, ...]:
        """At most one finding for explicit and one for suggestive content."""
        shares = self._engine.scores(pixels)
        explicit = min(1.0, shares["porn"] + shares["hentai"])
        found = []
        if explicit >= LEAST:
            kind = "explicit photograph" if shares["porn"] >= shares["hentai"] else "explicit drawing"
            found.append(Finding("sxc", round(float(np.interp(explicit, *CURVE)), 4), NAME, kind))
        if shares["sexy"] >= SUGGESTIVE:
            found.append(Finding("sxc", round(SUGGESTIVE_SCORE * shares["sexy"], 4), NAME, "suggestive"))
        return tuple(found)


def create(options: Mapping[str, str]) -> ImageNudity:
    """Entry point; takes no options.

    Raises:
        SafetyUnavailable: the weights are missing.
    """
    return ImageNudity()
