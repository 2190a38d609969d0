"""``image_text``: text, QR and bar codes in a picture, judged by the whole text stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.errors import SafetyUnavailable
from gensafe.core.ports import Card
from gensafe.core.types import Assessment, Box, ClassifierId, Coverage, Finding, Image, Media, Modality, Stage
from gensafe.safety.classifiers.stack_card import card_with_text
from gensafe.safety.ocr.engine import shared_engine, weights_digest
from gensafe.safety.signals.codes import read_codes

if TYPE_CHECKING:
    from gensafe.safety.text import TextStack

NAME: Final = "image_text"
VERSION: Final = "1"
# white pixels around; ISO/IEC 18004 asks for 4 modules, so modules of up to 3 pixels get all of theirs
QUIET_ZONE: Final = 12


class ImageText:
    """Reads a picture and hands the words to the text classifiers.

    Args:
        stack: The text classifiers.
    """

    name = NAME
    modality = Modality.IMAGE

    def __init__(self, stack: TextStack) -> None:
        self._stack = stack
        self._engine = shared_engine()

    def identity(self) -> ClassifierId:
        """The digest covers both OCR models; the text classifiers name themselves in their findings."""
        return ClassifierId(NAME, VERSION, weights_digest())

    def card(self) -> Card:
        """The card in docs/cards, with the categories of the text classifiers in use."""
        return card_with_text(NAME, self._stack)

    def assess(self, item: Media, stage: Stage) -> Assessment:
        """Read one picture.

        Raises:
            SafetyUnavailable: not a picture, or a text classifier failed.
        """
        if not isinstance(item, Image):
            raise SafetyUnavailable("image_text reads images")
        findings = self.read(item.pixels, stage)
        area = item.pixels.shape[0] * item.pixels.shape[1]
        return Assessment(findings, (Coverage(NAME, "pixels", area, area),))

    def read(self, pixels: NDArray[np.uint8], stage: Stage) -> tuple[Finding, ...]:
        """Findings of the text stack on all words and codes of uint8 (H, W, 3) pixels, with boxes in place of spans.

        The lines are judged together, as one text: what is written over two lines is still one sentence.
        """
        pieces = [(line.text, line.box) for line in self._engine.read(pixels)]
        pieces += [(code.text, code.box) for code in read_codes(_with_margin(pixels))]
        if not pieces:
            return ()
        text = "\n".join(piece for piece, _ in pieces)
        assessed = self._stack.assess(text, stage)
        return tuple(_in_picture(finding, pieces, pixels.shape) for finding in assessed.findings)


def _with_margin(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A code needs a quiet zone around it; a picture may end where the code ends."""
    return np.pad(pixels, ((QUIET_ZONE, QUIET_ZONE), (QUIET_ZONE, QUIET_ZONE), (0, 0)), constant_values=255)


def _in_picture(finding: Finding, pieces: list[tuple[str, Box]], shape: tuple[int, ...]) -> Finding:
    """Replace character spans by the boxes of the lines they lie in; without spans, all boxes."""
    boxes = []
    at = 0
    for text, box in pieces:
        start, end = at, at + len(text)
        at = end + 1
        if not finding.spans or any(s.start < end and s.end > start for s in finding.spans):
            boxes.append(box)
    detail = f"in text read from the image: {finding.detail}" if finding.detail else "in text read from the image"
    return replace(finding, classifier=NAME, detail=detail, spans=(), boxes=tuple(boxes))


def create(options: Mapping[str, str]) -> ImageText:
    """Entry point.

    Args:
        options: ``custom`` (JSON), the operator's own categories, is handed on; ``classifiers`` = names of the text
            classifiers to use, separated by commas (default: those of ``gensafe.safety.text``).

    Raises:
        SafetyUnavailable: the OCR weights or a text classifier are missing.
    """
    from gensafe.safety.text import TextStack

    names = tuple(n.strip() for n in options.get("classifiers", "").split(",") if n.strip())
    return ImageText(TextStack(options, names))
