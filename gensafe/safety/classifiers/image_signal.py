"""``image_signal``: a blank or white-noise picture is a failed output. Looks at every pixel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import SafetyUnavailable
from gensafe.core.types import Assessment, Coverage, Finding, Image, Stage
from gensafe.media.shrink import shrink
from gensafe.safety.classifiers.one_kind import OneKind
from gensafe.safety.signals.still import is_blank, is_noise

NAME: Final = "image_signal"
VERSION: Final = "1"
# pixels a side: the cells that ``still.is_blank`` asks for, where noise averages out and a small shape does not
CELL: Final = 8
BLANK_SCORE: Final = 1.0  # a fact, not an estimate; blocked under the default policy
NOISE_SCORE: Final = 0.6  # held for review under the default policy, since noise can be wanted; by eye, not measured
ELSEWHERE_SCORE: Final = 0.2  # a blank picture somebody hands in is no failure of ours


class ImageSignal(OneKind[Image]):
    """Signal checks as a Classifier."""

    name, version, reads = NAME, VERSION, Image

    def judge(self, item: Image, stage: Stage) -> Assessment:
        """Check one picture.

        Raises:
            SafetyUnavailable: not uint8 (H, W, 3).
        """
        pixels = item.pixels
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
            raise SafetyUnavailable("an image is uint8 (H, W, 3)")
        area = pixels.shape[0] * pixels.shape[1]
        return Assessment(picture_findings(pixels, stage), (Coverage(NAME, "pixels", area, area),))


def picture_findings(pixels: NDArray[np.uint8], stage: Stage) -> tuple[Finding, ...]:
    """Blank and white-noise findings for uint8 (H, W, 3) pixels; they weigh only where the picture is our output."""
    ours = stage is Stage.OUTPUT
    height, width = (max(2, -(-side // CELL)) for side in pixels.shape[:2])
    if is_blank(shrink(pixels[None], height, width)[0]):
        return (Finding("bad", BLANK_SCORE if ours else ELSEWHERE_SCORE, NAME, "the image is one plain colour"),)
    if is_noise(pixels):
        return (Finding("bad", NOISE_SCORE if ours else ELSEWHERE_SCORE, NAME, "the image is white noise"),)
    return ()


def create(options: Mapping[str, str]) -> ImageSignal:
    """Entry point; takes no options."""
    return ImageSignal()
