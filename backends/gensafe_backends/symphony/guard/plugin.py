"""``text_concepts``, ``image_concepts``, ``audio_concepts``, ``video_concepts``: registered concepts, medium by medium.

Options: ``concepts`` = "[category=]FILE,..." (files of ``gensafe concept register``; the category is ``lst`` unless one
is named), ``stages`` = which of prompt, input, output, standalone are examined (default: all but prompt), ``weights``
(a bundle directory; default: the one that ships), ``engine`` (auto | native | numpy).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gensafe.core.errors import ConfigError, SafetyUnavailable
from gensafe.core.ports import Card
from gensafe.core.types import (
    Assessment,
    Audio,
    ClassifierId,
    Coverage,
    Finding,
    Image,
    Media,
    Modality,
    Span,
    Stage,
    Text,
)
from gensafe_backends.symphony.guard.concept import Concept, load
from gensafe_backends.symphony.guard.gate import Look, look, strange
from gensafe_backends.symphony.guard.reader import Reader, open_reader
from gensafe_backends.symphony.guard.words import places
from gensafe_backends.symphony.understand import known_words

VERSION: Final = "1"
FOUND_FROM: Final = 0.1  # probability; benchmarks.symphony.guard measures misses and false alarms at this value
SCORES: Final = (0.6, 0.85)  # of findings, from barely to surely: all of it is "review" under the default policy
OUTSIDE: Final = 0.3  # score of "unc": noted by the default policy, held by one that lowers the threshold
MAX_CHARS: Final = 2_000_000  # characters; the same limit as in ``text_rules``: more than this is refused, never cut
DEFAULT_STAGES: Final = "input,output,standalone"
UNITS: Final = {
    Modality.TEXT: "characters",
    Modality.IMAGE: "pixels",
    Modality.AUDIO: "samples",
    Modality.VIDEO: "frames",
}
PART: Final = "registered concepts, in media of Symphony's own world"
CARD: Final = Path(__file__).with_name("card.json")


class Concepts:
    """Registered concepts in one medium, as a Classifier.

    Args:
        modality: The medium.
        watched: Each concept with the category its findings have.
        reader: The model.
        stages: Where to look.
    """

    def __init__(
        self, modality: Modality, watched: tuple[tuple[str, Concept], ...], reader: Reader, stages: frozenset[Stage]
    ) -> None:
        self.modality, self.name = modality, f"{modality.value}_concepts"
        self._watched, self._reader, self._stages = watched, reader, stages
        state = hashlib.sha256(reader.digest.encode("ascii"))
        for category, concept in watched:
            state.update(f"\n{category}={concept.to_json()}".encode())
        self._digest = "sha256:" + state.hexdigest()

    def identity(self) -> ClassifierId:
        """The digest is over the bundle and the concepts."""
        return ClassifierId(self.name, VERSION, self._digest)

    def card(self) -> Card:
        """The one card of all four, with the categories in use."""
        data = json.loads(CARD.read_text(encoding="utf-8"))
        categories = {"unc", *(category for category, _ in self._watched)}
        return Card(
            name=self.name,
            version=VERSION,
            modality=self.modality,
            categories=tuple(sorted(categories)),
            summary=data["summary"],
            trained_on=tuple(data["trained_on"]),
            measured=dict(data["measured"]),
            not_covered=tuple(data["not_covered"]),
            weights_digest=self._digest,
            partial={**dict.fromkeys(sorted(categories), PART), "unc": "what lies outside Symphony's own world"},
        )

    def assess(self, item: Media, stage: Stage) -> Assessment:
        """Look for every watched concept. Nothing is claimed about an item outside the model's world.

        Raises:
            SafetyUnavailable: another medium, too long a text, or the model failed.
        """
        if item.modality is not self.modality:
            raise SafetyUnavailable(f"{self.name} reads {self.modality}")
        total = _size(item)
        if stage not in self._stages:
            return Assessment((), (self._coverage(0, total),))
        if isinstance(item, Text) and len(item.text) > MAX_CHARS:
            raise SafetyUnavailable(f"a text of more than {MAX_CHARS} characters is not examined")
        seen = Look((), strange(item.text)) if isinstance(item, Text) else look(item, self._reader.tokenizer)
        findings = self._in_text(item) if isinstance(item, Text) else self._in_media(seen)
        if seen.outside:
            note = f"outside the world of {self._reader.engine.config.name}: not examined ({seen.outside})"
            findings = (*findings, Finding("unc", OUTSIDE, self.name, note))
        return Assessment(findings, (self._coverage(0 if seen.outside else total, total),))

    def _coverage(self, examined: int, total: int) -> Coverage:
        return Coverage(self.name, UNITS[self.modality], examined, total)

    def _in_text(self, item: Text) -> tuple[Finding, ...]:
        """Terms are found in any text; that none is found says something about texts of the world only."""
        found = []
        for category, concept in self._watched:
            spans = tuple(Span(a, b) for a, b in sorted(places(item.text, concept.said)))
            if spans:
                found.append(Finding(category, SCORES[1], self.name, f"concept {concept.name}", spans))
        return tuple(found)

    def _in_media(self, seen: Look) -> tuple[Finding, ...]:
        if seen.outside:
            return ()
        readings = [self._reader.read(span) for span in seen.spans]
        found = []
        for category, concept in self._watched:
            sure = max(self._reader.score(r, concept.shown) for r in readings)
            if sure >= FOUND_FROM:
                low, high = SCORES
                score = round(low + (high - low) * (sure - FOUND_FROM) / (1.0 - FOUND_FROM), 4)
                found.append(Finding(category, score, self.name, f"concept {concept.name}"))
        return tuple(found)


def _size(item: Media) -> int:
    if isinstance(item, Text):
        return len(item.text)
    if isinstance(item, Image):
        return int(item.pixels.shape[0] * item.pixels.shape[1])
    return int(item.samples.size) if isinstance(item, Audio) else len(item.frames)


def _create(modality: Modality, options: Mapping[str, str]) -> Concepts:
    names = [n.strip() for n in options.get("concepts", "").split(",") if n.strip()]
    if not names:
        raise ConfigError("names no concept to watch for", field="concepts", fix='concepts = "FILE,..."')
    try:
        stages = frozenset(Stage(s.strip()) for s in options.get("stages", DEFAULT_STAGES).split(","))
    except ValueError:
        raise ConfigError("prompt, input, output or standalone, separated by commas", field="stages") from None
    reader = open_reader(options.get("weights", ""), options.get("engine", "auto"))
    known_words()  # collected now: the first text must not wait for it
    watched = []
    for name in names:
        category, equals, path = name.partition("=")
        concept = load(path if equals else name)
        concept.check(reader.digest)
        watched.append((category if equals else "lst", concept))
    return Concepts(modality, tuple(watched), reader, stages)


def create_text(options: Mapping[str, str]) -> Concepts:
    """Entry point. Options: see the module.

    Raises:
        ConfigError: an option or a concept file is not usable, or a concept was learned by other weights.
        SafetyUnavailable: the bundle or the engine is not usable.
    """
    return _create(Modality.TEXT, options)


def create_image(options: Mapping[str, str]) -> Concepts:
    """Entry point; as ``create_text``."""
    return _create(Modality.IMAGE, options)


def create_audio(options: Mapping[str, str]) -> Concepts:
    """Entry point; as ``create_text``."""
    return _create(Modality.AUDIO, options)


def create_video(options: Mapping[str, str]) -> Concepts:
    """Entry point; as ``create_text``."""
    return _create(Modality.VIDEO, options)
