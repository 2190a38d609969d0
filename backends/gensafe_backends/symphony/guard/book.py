"""What ``gensafe concept`` asks for; entry point ``symphony`` of ``gensafe.concepts``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gensafe.core.types import Media
from gensafe_backends.symphony.guard.concept import Concept, from_json
from gensafe_backends.symphony.guard.learn import register, renew, world_rate
from gensafe_backends.symphony.guard.reader import Reader, open_reader
from gensafe_backends.symphony.understand import known_words


class ConceptBook:
    """Makes and explains concept files; it keeps nothing and writes nothing."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def register(
        self,
        name: str,
        words: Sequence[str],
        like: Sequence[tuple[str, Media]],
        unlike: Sequence[tuple[str, Media]],
    ) -> str:
        """Contents of the file of a new concept; see ``learn.register``."""
        return register(name, self._reader, words=words, like=like, unlike=unlike).to_json()

    def renew(self, text: str, where: str) -> str:
        """Contents of a concept's file, learned again for these weights; see ``learn.renew``."""
        return renew(from_json(text, where), self._reader).to_json()

    def explain(self, text: str, where: str) -> Mapping[str, Any]:
        """What a concept's file says, for a person."""
        concept = from_json(text, where)
        return {
            "name": concept.name,
            "words": [" ".join(t) for t in concept.given],
            "found in descriptions by": [" ".join(t) for t in concept.shown],
            "found in texts by": [" ".join(t) for t in concept.said],
            "words the model lacks": sorted({w for term in concept.given for w in term} - known_words()),
            "examples": _counts(concept, wanted=True),
            "counter-examples": _counts(concept, wanted=False),
            "share of the world": {m.value: round(rate, 4) for m, rate in world_rate(concept).items()},
            "usable": concept.weights in ("", self._reader.digest),
        }


def _counts(concept: Concept, *, wanted: bool) -> dict[str, int]:
    counts: dict[str, int] = {}
    for example in concept.examples:
        if example.wanted is wanted:
            kind = example.span.modality.name.lower()
            counts[kind] = counts.get(kind, 0) + 1
    return counts


def create(options: Mapping[str, str]) -> ConceptBook:
    """Entry point. Options: ``weights``, ``engine``, as the classifiers have them.

    Raises:
        ConfigError, SafetyUnavailable: as ``open_reader``.
    """
    return ConceptBook(open_reader(options.get("weights", ""), options.get("engine", "auto")))
