"""``image_hashlist``: is this picture on an operator's PDQ block list, turned, mirrored or cropped as it may be?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.ports import Card
from gensafe.core.types import Assessment, Coverage, Finding, Image, Stage
from gensafe.safety.classifiers.one_kind import OneKind, with_listed
from gensafe.safety.signals.hashlist import read_lists
from gensafe.safety.signals.pdq_index import MATCH_BITS, QUALITY_MIN, PdqIndex
from gensafe.safety.signals.pdq_views import CROP_BITS, crop_hashes, dihedral_hashes

NAME: Final = "image_hashlist"
VERSION: Final = "2"
CROP_SCORE: Final = 0.8  # a likely crop is for a person to look at; within 31 bits it is a match like any other


class ImageHashlist(OneKind[Image]):
    """Looks a picture up in block lists.

    Args:
        index: The listed hashes.
    """

    name, version, reads = NAME, VERSION, Image

    def __init__(self, index: PdqIndex) -> None:
        self._index = index

    def card(self) -> Card:
        """With the categories of the lists that are loaded."""
        return with_listed(super().card(), self._index.entries)

    def judge(self, item: Image, stage: Stage) -> Assessment:
        """Compare with every listed hash."""
        count = len(self._index.entries)
        return Assessment(self.look_up(item.pixels), (Coverage(NAME, "listed hashes", count, count),))

    def look_up(self, pixels: NDArray[np.uint8], *, crops: bool = True) -> tuple[Finding, ...]:
        """One finding for each category with a match; none for a picture too plain to hash (quality below 50).

        Args:
            pixels: uint8 (H, W, 3).
            crops: Look for cropped copies too, where the picture itself is not found.
        """
        if not self._index.entries:
            return ()
        digests, quality = dihedral_hashes(pixels)
        if quality < QUALITY_MIN:
            return ()
        found: dict[str, Finding] = {}
        for hit in self._index.search(digests):
            detail = f"{hit.distance} bits from {hit.entry.label}"
            found.setdefault(hit.entry.category, Finding(hit.entry.category, 1.0, NAME, detail))
        if crops and not found:
            for hit in self._index.search(crop_hashes(pixels), CROP_BITS):
                score = 1.0 if hit.distance <= MATCH_BITS else CROP_SCORE
                detail = f"as a crop, {hit.distance} bits from {hit.entry.label}"
                found.setdefault(hit.entry.category, Finding(hit.entry.category, score, NAME, detail))
        return tuple(found.values())


def create(options: Mapping[str, str]) -> ImageHashlist:
    """Entry point.

    Args:
        options: ``lists`` = "[category=]path,..." (docs/safety-media.md); without it the classifier finds nothing.

    Raises:
        ConfigError: a list cannot be read.
    """
    return ImageHashlist(PdqIndex(read_lists(options.get("lists", ""))))
