"""``text_encoder``: the linear screen and a compact sentence encoder, calibrated together.

The encoder is all-MiniLM-L6-v2 (Apache-2.0) as int8 ONNX, frozen; the heads over its layers and over cues of the
wording (``gensafe.safety.cues``) were trained on the sources of the screen. See docs/safety-text.md for what it adds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gensafe.core.digest import sha256
from gensafe.core.errors import ConfigError, SafetyUnavailable
from gensafe.core.ports import Card
from gensafe.core.types import Assessment, ClassifierId, Coverage, Finding, Media, Modality, Span, Stage
from gensafe.safety.cards import WEIGHTS, read_card
from gensafe.safety.classifiers.text_language import create as create_language
from gensafe.safety.classifiers.text_screen import (
    REPORT,
    Piece,
    checked_text,
    load_screen,
    metadata,
    report,
    sentences,
    windows,
    word_spans,
    wordless,
)
from gensafe.safety.cues import WIDTH, cues
from gensafe.safety.custom import CustomCategory, custom_option
from gensafe.safety.cuts import WINDOW
from gensafe.safety.encoder import Encoder, Heads
from gensafe.safety.ensemble import Calibration
from gensafe.safety.nearest import Nearest, unit
from gensafe.safety.normalize import Normalized
from gensafe.safety.unfinished import sentence_due, windows_due
from gensafe.safety.variants import readings

NAME: Final = "text_encoder"
VERSION: Final = "4"
ALWAYS: Final = "always"
WHEN_UNSURE: Final = "when unsure"
MEMORY: Final = 4096  # pieces whose logits are kept: a stream shows the same sentence to many windows
SUSPECTS: Final = 2  # sentences; chosen for speed, what fewer or more of them find was not measured
SUSPICIOUS: Final = 0.10
"""What the screen says by itself of an unfinished piece that is read at once; the rest is read once it is complete. Of
the sets in benchmarks.text_safety 36 % of the benign pieces score that high. At 0.25 one harmful stream of 60 more was
missed, so the lower value was chosen, on these same streams."""
SURE: Final = 0.10
"""Below this the screen by itself is sure, for ``encoder = "when unsure"``: 1 % of the harmful texts of the sets in
benchmarks.text_safety that the default policy stops are then missed, and 64 % of the benign pieces are not read."""
SUSPECTS_PER: Final = 8  # sentences for each further one; chosen for speed as well, not measured


@dataclass(frozen=True, slots=True)
class _Read:
    """What the encoder made of a piece of text: (heads,) logits and (384,) embedding."""

    logits: NDArray[np.float32]
    vector: NDArray[np.float32]


class TextEncoder:
    """Screen and encoder together as a Classifier.

    Args:
        folder: Holds text_screen.safetensors, text_encoder.safetensors, text_encoder.onnx and text_encoder.vocab.txt.
        encoder: Makes the encoder from the model's bytes and its vocabulary.
        custom: Categories of the operator's own; those with examples are compared.
        thrifty: Leave pieces to the screen alone where it is sure that they are harmless (``SURE``).

    Raises:
        SafetyUnavailable: a file is missing, damaged, or not the one the heads were trained on.
    """

    name = NAME
    modality = Modality.TEXT

    def __init__(
        self,
        folder: Path = WEIGHTS,
        encoder: Callable[[bytes, Sequence[str]], Encoder] = Encoder,
        custom: Sequence[CustomCategory] = (),
        *,
        thrifty: bool = False,
    ) -> None:
        self._thrifty = thrifty
        screen = load_screen(folder / "text_screen.safetensors")
        self._screen = screen.model
        self._alone = screen.calibration
        try:
            from safetensors.numpy import load

            data = (folder / "text_encoder.safetensors").read_bytes()
            model = (folder / "text_encoder.onnx").read_bytes()
            vocabulary = (folder / "text_encoder.vocab.txt").read_bytes()
            tensors, meta = load(data), metadata(data)
            heads, categories = tuple(meta["heads"].split()), tuple(meta["categories"].split())
            self._calibration = Calibration(
                categories, heads, tensors["calibration"], tensors["calibration_bias"], tensors["calibration_ceiling"]
            )
            self._heads = Heads(tensors["w1"], tensors["b1"], tensors["w2"], tensors["b2"])
            fits = meta["encoder"] == sha256(model) and meta["screen"] == screen.digest and heads == self._screen.heads
            self._cues = int(meta.get("cues", "0"))  # how many the heads read after the features; 0 = none
            fits = fits and self._cues in (0, WIDTH)
        except Exception as error:
            raise SafetyUnavailable(f"the weights of text_encoder cannot be read: {type(error).__name__}") from error
        if not fits:
            raise SafetyUnavailable("the weights of text_encoder were not trained for this encoder and screen")
        self._encoder = encoder(model, vocabulary.decode("utf-8").splitlines())
        self._remembered = lru_cache(maxsize=MEMORY)(self._piece)
        self._screened = lru_cache(maxsize=MEMORY)(self._screen.logits)
        self._nearest = tuple(Nearest.of(c, self.embedding) for c in custom if c.examples)
        self._language = create_language({})
        self._digest = sha256(data + vocabulary)  # the heads' file names the encoder and the screen by digest

    def identity(self) -> ClassifierId:
        """The digest covers heads, vocabulary and, through the heads' metadata, the encoder and the screen."""
        return ClassifierId(NAME, VERSION, self._digest)

    def card(self) -> Card:
        """The card in docs/cards."""
        return read_card(NAME)

    def assess(self, item: Media, stage: Stage) -> Assessment:
        """Score every window of every reading, and the sentences the screen points at; the highest score counts.

        Raises:
            SafetyUnavailable: not a text, longer than MAX_CHARS, or the runtime failed.
        """
        return self._assess(checked_text(item), finished=True)

    def assess_unfinished(self, item: Media, stage: Stage) -> Assessment:
        """As ``assess``, but the end of the text is read later.

        The piece that it ends in is read once the screen by itself suspects it, it cannot grow any more, or ``UNREAD``
        characters of it are unread. Without this the encoder would read the end of a stream again at every step.

        Raises:
            SafetyUnavailable: as ``assess``.
        """
        return self._assess(checked_text(item), finished=False)

    def _assess(self, text: str, *, finished: bool) -> Assessment:
        found = readings(text)
        due = [(r, w) for r in found for w in self._windows(r, finished=finished)]
        pieces: list[Piece] = [(r, start, end) for r, (start, end, _) in due]
        whole = len(pieces)
        pieces += self._suspects([(r, *s) for r in found for s in sentences(r.text)])
        over = np.array([now for _, (_, _, now) in due] + [finished or self._over(*p) for p in pieces[whole:]])
        texts = [r.text[a:b] for r, a, b in pieces]
        screened = np.stack([self._screened(t) for t in texts])
        read = over.copy()
        if self._thrifty:
            read &= self._alone.scores([screened]).max(1) >= SURE
        scores = np.zeros((len(pieces), len(self._calibration.categories)), np.float32)
        if read.any():  # the others say nothing yet
            encoded = self._encoded([t for t, now in zip(texts, read, strict=True) if now])
            scores[read] = self._calibration.scores([screened[read], encoded])
        foreign = self._foreign(text, pieces)
        scores[foreign] = 0.0  # no score of one language says anything about another; text_language reports the passage
        scores[wordless(texts)] = 0.0
        findings = [*report(NAME, self._calibration.categories, scores, pieces, whole, self._spans)]
        if self._nearest:  # a category can be about anything, so no sentence is left out
            every = [p for p, now in zip(pieces, over[:whole], strict=False) if now]
            alone = ((r, *s) for r in found for s in sentences(r.text))
            every += [p for p in alone if finished or self._over(*p)]
            if every:
                findings += self._alike(every)
        return Assessment(tuple(findings), (Coverage(NAME, "characters", len(text), len(text)),))

    def _windows(self, reading: Normalized, *, finished: bool) -> Iterator[tuple[int, int, bool]]:
        """(start, end, whether the encoder reads it now)."""
        cuts = windows(reading.text, WINDOW)
        if finished:
            return ((start, end, True) for start, end in cuts)
        return windows_due(reading, cuts, WINDOW, self._suspicious)

    def _over(self, reading: Normalized, start: int, end: int) -> bool:
        return sentence_due(reading, start, end, self._suspicious)

    def _suspicious(self, text: str) -> bool:
        """Whether the screen by itself sees enough in ``text`` to have it read before it is complete."""
        return float(self._alone.scores([self._screened(text)[None]]).max()) >= SUSPICIOUS

    def _foreign(self, text: str, pieces: list[Piece]) -> NDArray[np.bool_]:
        """(pieces,) whether at least half of a piece lies in passages of a language other than English."""
        passages = [span for span, _, _ in self._language.uncovered(text)]
        found = np.zeros(len(pieces), bool)
        for row, (reading, start, end) in enumerate(pieces if passages else ()):
            where = reading.span(start, end)
            inside = sum(max(0, min(p.end, where.end) - max(p.start, where.start)) for p in passages)
            found[row] = 2 * inside >= where.end - where.start > 0
        return found

    def embedding(self, text: str) -> NDArray[np.float32]:
        """(384,) sentence embedding of (normalised) ``text``, of length 1."""
        return self._remembered(text).vector

    def _alike(self, pieces: list[Piece]) -> Iterator[Finding]:
        """For each category with examples, the piece that is most like one of them."""
        vectors = np.stack([self.embedding(r.text[a:b]) for r, a, b in pieces])
        for category in self._nearest:
            score, best = category.score(vectors)
            if score >= REPORT:
                reading, start, end = pieces[best]
                where = (reading.span(start, end),) if end > start else ()
                yield Finding(category.name, score, NAME, "like an example", where)

    def _suspects(self, pieces: list[Piece]) -> list[Piece]:
        """The sentences that the screen by itself finds worst: SUSPECTS, and one more for every SUSPECTS_PER."""
        count = SUSPECTS + len(pieces) // SUSPECTS_PER
        if len(pieces) <= count:
            return pieces
        logits = np.stack([self._screened(r.text[a:b]) for r, a, b in pieces])
        worst = self._alone.scores([logits]).max(1)
        return [pieces[i] for i in sorted(np.argsort(-worst, kind="stable")[:count])]

    def _encoded(self, texts: list[str]) -> NDArray[np.float32]:
        """(len(texts), heads) logits; a piece's do not depend on what it is scored beside, nor on what came before."""
        return np.stack([self._remembered(text).logits for text in texts])

    def _piece(self, text: str) -> _Read:
        """The highest logits over the token windows of ``text`` (almost always one), and its embedding.

        One window at a time: in a batch the int8 scales are shared, which moves scores by up to 0.15, and short pieces
        would be padded to the longest.
        """
        features = np.concatenate([self._encoder.features([ids]) for ids in self._encoder.windows(text)])
        wording = np.repeat(cues(text)[None, : self._cues], len(features), axis=0)
        logits = self._heads.logits(np.concatenate([features, wording], axis=1))
        return _Read(logits.max(0), unit(features.mean(0)))

    def _spans(self, reading: Normalized, start: int, end: int, category: str) -> tuple[Span, ...]:
        return word_spans(self._screen, reading, start, end, category)


@lru_cache(maxsize=2)
def _shared(thrifty: bool) -> TextEncoder:
    return TextEncoder(thrifty=thrifty)


def create(options: Mapping[str, str]) -> TextEncoder:
    """Entry point.

    Options: ``encoder`` = "always" (the default) or "when unsure", which leaves to the screen alone what it is sure
    about; ``custom``: JSON of custom categories, of which only those with examples matter here.

    Without such categories one instance is shared: its weights are large.

    Raises:
        ConfigError: unusable options.
        SafetyUnavailable: the weights cannot be read.
    """
    when = options.get("encoder", ALWAYS)
    if when not in (ALWAYS, WHEN_UNSURE):
        raise ConfigError(f"must be {ALWAYS!r} or {WHEN_UNSURE!r}", field="encoder")
    custom = [c for c in custom_option(options) if c.examples]
    if custom:
        return TextEncoder(custom=custom, thrifty=when == WHEN_UNSURE)
    return _shared(when == WHEN_UNSURE)
