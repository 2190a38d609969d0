"""From a few examples to terms: the shortest account of what they have in common.

Every example is read into terms. A term that stands in a share ``q`` of the world's descriptions of that medium
explains an example with ``log2(1 / q)`` bits; terms are taken greedily, each for the bits it explains less what it
costs to say and what it leaves, until the examples are explained (minimum description length, Rissanen 1978). Terms of
counter-examples are out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log2
from typing import Final

from gensafe.core.errors import ConfigError, InvalidRequest
from gensafe.core.types import Media, Modality
from gensafe_backends.symphony.guard.concept import Concept, Example
from gensafe_backends.symphony.guard.gate import look
from gensafe_backends.symphony.guard.reader import Reader
from gensafe_backends.symphony.guard.words import (
    Term,
    frequencies,
    meant,
    said_as,
    telling,
    term,
    terms,
    told_as,
    world_pairs,
)
from gensafe_backends.symphony.sequence import TokenSpan
from gensafe_backends.symphony.vocab import ModalityId

PAIR_COST: Final = 3.0  # bits that a term of two words costs more than one of one word
NAME_BITS: Final = 4.0  # that the concept's own name is worth where it is one of the terms
LEFT_BITS: Final = 4.0  # that an example costs which a term leaves to the next one
TERM_COST: Final = 1.0  # bits that a term must explain beyond its cost to be taken at all
LEFT: Final = 0.1  # share of the examples that may stay unexplained: the model misreads some
KINDS: Final = {
    ModalityId.TEXT: Modality.TEXT,
    ModalityId.IMAGE: Modality.IMAGE,
    ModalityId.AUDIO: Modality.AUDIO,
    ModalityId.VIDEO: Modality.VIDEO,
}


@dataclass(frozen=True, slots=True)
class Seen:
    """An example as the model reads it."""

    kind: Modality
    terms: frozenset[Term]


def register(
    name: str,
    reader: Reader,
    *,
    words: Sequence[str] = (),
    like: Sequence[tuple[str, Media]] = (),
    unlike: Sequence[tuple[str, Media]] = (),
) -> Concept:
    """Learn a concept.

    Args:
        name: What it is called; if it is a word of the world, it weighs in.
        reader: Reads the examples.
        words: Words or phrases (up to four words) that say it.
        like: Examples, each with a label for errors.
        unlike: Counter-examples.

    Raises:
        ConfigError: neither words nor examples, or a name or word that cannot be used.
        InvalidRequest: an example lies outside the world, or the examples have nothing in common.
    """
    if not words and not like:
        raise ConfigError("a concept needs words or examples", field="like", fix="--word WORD or --like FILE")
    for word in words:
        if not term(word):
            raise ConfigError(f"{word!r} holds no word", field="word")
    examples = [*(_example(label, item, True, reader) for label, item in like)]
    examples += [_example(label, item, False, reader) for label, item in unlike]
    return fit(name, reader, tuple(term(w) for w in words), examples)


def renew(concept: Concept, reader: Reader) -> Concept:
    """Learn a concept again from what its file keeps, for the weights of ``reader``.

    Raises:
        ConfigError: its examples were turned into ids by another tokenizer.
    """
    if concept.tokenizer and concept.tokenizer != reader.tokenizer_digest:
        raise ConfigError(
            f"the examples of {concept.name} were kept by another tokenizer",
            field="concepts",
            fix="gensafe concept register, with the files",
        )
    return fit(concept.name, reader, concept.given, concept.examples)


def fit(name: str, reader: Reader, given: tuple[Term, ...], examples: Iterable[Example]) -> Concept:
    """The concept of given terms and examples."""
    kept = tuple(examples)
    shown = {told_as(t) for t in given}
    found = [(e, see(e.span, reader)) for e in kept]
    out = frozenset().union(*(s.terms for e, s in found if not e.wanted))
    left = [s for e, s in found if e.wanted and not s.terms & shown]
    wanted = sum(e.wanted for e in kept)
    shown |= set(explain(left, out, term(name), round(LEFT * wanted)))
    if not shown:
        raise InvalidRequest("the examples have nothing in common that counter-examples lack", field="like")
    bound = (reader.digest, reader.tokenizer_digest) if kept else ("", "")
    return Concept(name, given, tuple(sorted(shown)), tuple(sorted(said_as({*shown, *given}))), kept, *bound)


def see(span: TokenSpan, reader: Reader) -> Seen:
    """The terms of one example: of its text, or of its description."""
    kind = KINDS[span.modality]
    if kind is Modality.TEXT:
        return Seen(kind, meant(reader.tokenizer.decode_text(span.ids)))
    return Seen(kind, terms(reader.read(span).text))


def explain(examples: Sequence[Seen], out: frozenset[Term], name: Term, spare: int) -> list[Term]:
    """The terms to take, best first, until at most ``spare`` examples are left over."""
    counted = frequencies()
    left, chosen = list(examples), list[Term]()

    def bits(t: Term) -> tuple[float, float]:
        """What a term explains less what it costs: without and with what it leaves."""
        gained, open_ = NAME_BITS * (t == name) - PAIR_COST * (len(t) - 1), 0
        for seen in left:
            if t in seen.terms:
                count, table = counted[seen.kind]
                gained += log2((count + 1) / (table[t] + 0.5))
            else:
                open_ += 1
        return gained - LEFT_BITS * open_, gained

    while len(left) > spare:
        options = sorted(t for t in {t for seen in left for t in seen.terms} - out if telling(t))
        if not options:
            break
        best = max(options, key=bits)
        if bits(best)[1] < TERM_COST:
            break
        chosen.append(best)
        left = [seen for seen in left if best not in seen.terms]
    return chosen


def world_rate(concept: Concept) -> dict[Modality, float]:
    """The share of the world's own items of each kind that hold the concept: what it would stop if it stopped all."""
    wanted = set(concept.shown)
    rates = {}
    for kind, described in _descriptions().items():
        rates[kind] = sum(bool(wanted & found) for found in described) / max(1, len(described))
    return rates


def _descriptions() -> dict[Modality, list[frozenset[Term]]]:
    found: dict[Modality, list[frozenset[Term]]] = {m: [] for m in Modality}
    for kind, asked, described in world_pairs():
        found[kind].append(terms(described))
        if kind is not Modality.TEXT:
            found[Modality.TEXT].append(meant(asked))
    return found


def _example(label: str, item: Media, wanted: bool, reader: Reader) -> Example:
    seen = look(item, reader.tokenizer)
    if seen.outside:
        raise InvalidRequest(f"{label} lies outside the model's world: {seen.outside}", field="like")
    if len(seen.spans) > 1:
        raise InvalidRequest(f"{label} has channels that differ", field="like", fix="give each by itself")
    return Example(seen.spans[0], wanted)
