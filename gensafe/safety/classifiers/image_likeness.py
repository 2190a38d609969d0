"""``image_likeness``: does the picture show a human face? What follows is the policy's business, not the detector's.

It says that there is a face and where. It recognises nobody and keeps nothing of a face.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.types import Assessment, Coverage, Finding, Image, Stage
from gensafe.safety.classifiers.one_kind import OneKind
from gensafe.safety.faces import shared_engine, weights_digest

NAME: Final = "image_likeness"
VERSION: Final = "1"


class ImageLikeness(OneKind[Image]):
    """The face detector as a Classifier."""

    name, version, reads = NAME, VERSION, Image

    def __init__(self) -> None:
        self._engine = shared_engine()

    def weights(self) -> str:
        """The digest is the detector's."""
        return weights_digest()

    def judge(self, item: Image, stage: Stage) -> Assessment:
        """Look for faces in one picture."""
        area = item.pixels.shape[0] * item.pixels.shape[1]
        return Assessment(self.find(item.pixels), (Coverage(NAME, "pixels", area, area),))

    def find(self, pixels: NDArray[np.uint8]) -> tuple[Finding, ...]:
        """One finding with the box of every face, scored by the surest; none without a face."""
        faces = self._engine.find(pixels)
        if not faces:
            return ()
        detail = f"{len(faces)} human face{'s' if len(faces) > 1 else ''}"
        return (Finding("lik", faces[0].score, NAME, detail, boxes=tuple(f.box for f in faces)),)


def create(options: Mapping[str, str]) -> ImageLikeness:
    """Entry point; takes no options.

    Raises:
        SafetyUnavailable: the weights are missing.
    """
    return ImageLikeness()
