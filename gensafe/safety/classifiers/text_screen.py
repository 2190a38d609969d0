"""``text_screen``: a linear model over hashed n-grams, fast, with spans from its own weights."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.digest import sha256
from gensafe.core.errors import SafetyUnavailable
from gensafe.core.ports import Card
from gensafe.core.types import Assessment, ClassifierId, Coverage, Finding, Media, Modality, Span, Stage, Text
from gensafe.safety.cards import WEIGHTS, read_card
from gensafe.safety.cuts import next_start
from gensafe.safety.ensemble import Calibration, weigh
from gensafe.safety.linear import LinearScreen
from gensafe.safety.minors import explicit, mentions_minor
from gensafe.safety.normalize import Normalized
from gensafe.safety.variants import readings

NAME: Final = "text_screen"
VERSION: Final = "4"
FILE: Final = "text_screen.safetensors"
WINDOW: Final = 700  # characters, about 120 words: longer texts are scored in windows that overlap by half
REPORT: Final = 0.05  # scores below this are not reported
SPAN_FROM: Final = 0.5  # probability from which words are shown: likelier than not
MAX_SPANS: Final = 5  # words shown for one finding, enough for a reader to see why; chosen by eye, not measured
MAX_CHARS: Final = 2_000_000  # characters; the same limit as in ``text_rules``: more than this is refused, never cut
FEWEST_LETTERS: Final = 2  # a lone emoji or sign was scored as hate at .47, a lone letter at .24
SEXUAL: Final = ("sxc", "src")
CONJUNCTION: Final = 0.98  # the score of a rule, not of a model: see gensafe.safety.minors


_SENTENCE: Final = re.compile(r"[^.!?\n。！？]{1,240}[.!?\n。！？]{0,8}|[.!?\n。！？]{1,240}")
SHORT: Final = 16  # characters; shorter sentences go with the next one


@dataclass(frozen=True)
class ScreenWeights:
    """What the weights file holds."""

    model: LinearScreen
    calibration: Calibration
    digest: str


def load_screen(path: Path = WEIGHTS / FILE) -> ScreenWeights:
    """Read the weights file.

    Raises:
        SafetyUnavailable: missing, damaged or of another version.
    """
    try:
        from safetensors.numpy import load

        data = path.read_bytes()
        tensors = load(data)
        meta = metadata(data)
        heads, categories = tuple(meta["heads"].split()), tuple(meta["categories"].split())
        calibration = Calibration(
            categories, heads, tensors["calibration"], tensors["calibration_bias"], tensors["calibration_ceiling"]
        )
        return ScreenWeights(LinearScreen.from_tensors(tensors, heads), calibration, sha256(data))
    except Exception as error:
        raise SafetyUnavailable(f"the weights of text_screen cannot be read: {type(error).__name__}") from error


def metadata(data: bytes) -> dict[str, str]:
    """The string metadata in the header of a safetensors file."""
    length = int.from_bytes(data[:8], "little")
    found: dict[str, str] = json.loads(data[8 : 8 + length])["__metadata__"]
    return found


def windows(text: str, size: int = WINDOW) -> Iterator[tuple[int, int]]:
    """[start, end) windows over ``text`` that overlap by half and begin at words; together they cover everything."""
    start = 0
    while True:
        end = min(len(text), start + size)
        yield start, end
        if end == len(text):
            return
        start = next_start(text, start, size)


def sentences(text: str) -> list[tuple[int, int]]:
    """[start, end) of the sentences of ``text`` (at most about 240 characters each), [] if it is a single one.

    One harmful sentence in a calm paragraph is diluted in every window; by itself it is not.
    """
    found: list[tuple[int, int]] = []
    start = 0
    for m in _SENTENCE.finditer(text):
        if m.end() - start >= SHORT:
            found.append((start, m.end()))
            start = m.end()
    if start < len(text) and found:
        found.append((start, len(text)))
    return found if len(found) > 1 else []


class TextScreen:
    """The linear screen as a Classifier."""

    name = NAME
    modality = Modality.TEXT

    def __init__(self, weights: ScreenWeights) -> None:
        self._model = weights.model
        self._calibration = weights.calibration
        self._digest = weights.digest

    def identity(self) -> ClassifierId:
        """With the digest of the weights file."""
        return ClassifierId(NAME, VERSION, self._digest)

    def card(self) -> Card:
        """The card in docs/cards."""
        return read_card(NAME)

    def assess(self, item: Media, stage: Stage) -> Assessment:
        """Score every window and every sentence of every reading; a category's score is the highest.

        Raises:
            SafetyUnavailable: not a text, or longer than MAX_CHARS.
        """
        text = checked_text(item)
        found = readings(text)
        whole = [(r, *w) for r in found for w in windows(r.text)]
        pieces = [*whole, *((r, *s) for r in found for s in sentences(r.text))]
        logits = np.stack([self._model.logits(r.text[a:b]) for r, a, b in pieces])
        scores = self._calibration.scores([logits])
        scores[wordless([r.text[a:b] for r, a, b in pieces])] = 0.0
        return Assessment(
            tuple(report(NAME, self._calibration.categories, scores, pieces, len(whole), self._spans)),
            (Coverage(NAME, "characters", len(text), len(text)),),
        )

    def _spans(self, reading: Normalized, start: int, end: int, category: str) -> tuple[Span, ...]:
        return word_spans(self._model, reading, start, end, category)


Piece = tuple[Normalized, int, int]


def wordless(texts: list[str]) -> NDArray[np.bool_]:
    """(len(texts),) whether a piece has fewer than FEWEST_LETTERS letters: no model was taught what that means."""
    return np.array([sum(map(str.isalpha, t[:1000])) < FEWEST_LETTERS for t in texts])


def checked_text(item: Media) -> str:
    """The text of ``item``.

    Raises:
        SafetyUnavailable: not a text, or longer than MAX_CHARS.
    """
    if not isinstance(item, Text):
        raise SafetyUnavailable("this classifier reads text")
    if len(item.text) > MAX_CHARS:
        raise SafetyUnavailable(f"a text of more than {MAX_CHARS} characters is not examined")
    return item.text


def report(
    name: str,
    categories: tuple[str, ...],
    scores: NDArray[np.float32],
    pieces: list[Piece],
    whole: int,
    spans: Any,  # noqa: ANN401 - a callable (reading, start, end, category) -> spans
) -> Iterator[Finding]:
    """Findings for the best piece of each category, and ``cse`` where a sexual score meets a mention of a minor.

    The first ``whole`` pieces are windows, the others sentences by themselves.
    """
    looks = sum(r is pieces[0][0] for r, _, _ in pieces)
    weighed = weigh(scores, np.arange(len(pieces)) >= whole, looks, categories)
    rows = weighed.argmax(0)
    for column in np.flatnonzero(weighed.max(0) >= REPORT):
        category, best = categories[column], int(rows[column])
        score = float(weighed[best, column])
        where = spans(*pieces[best], category) if score >= SPAN_FROM else ()
        yield Finding(category, score, name, "", where)
    sexual = [i for i, c in enumerate(categories) if c in SEXUAL]
    for row, (reading, start, end) in enumerate(pieces):
        score = float(scores[row, sexual].max())
        part = reading.text[start:end]
        if mentions_minor(part) and (score >= SPAN_FROM or explicit(part)):
            yield Finding("cse", CONJUNCTION, name, "sexual content beside a minor", (reading.span(start, end),))
            return


def word_spans(model: LinearScreen, reading: Normalized, start: int, end: int, category: str) -> tuple[Span, ...]:
    """Up to MAX_SPANS words of the window that add most to the category's logit, as offsets in the source."""
    text = reading.text[start:end]
    share = model.contributions(text, model.heads.index(category))
    words: list[tuple[float, int, int]] = []
    position = 0
    for word in text.split(" "):
        if word:
            words.append((float(share[position : position + len(word)].sum()), position, position + len(word)))
        position += len(word) + 1
    words.sort(reverse=True)
    kept = [w for w in words[:MAX_SPANS] if w[0] > 0 and w[0] >= 0.25 * words[0][0]]
    return tuple(sorted((reading.span(start + a, start + b) for _, a, b in kept), key=lambda s: s.start))


def create(options: Mapping[str, str]) -> TextScreen:
    """Entry point; no options.

    Raises:
        SafetyUnavailable: the weights cannot be read.
    """
    return TextScreen(load_screen())
