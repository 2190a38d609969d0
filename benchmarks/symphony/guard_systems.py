"""What ``benchmarks.symphony.guard`` compares: items with what every system knows of them, and the systems' scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.symphony import guard_plain as plain
from benchmarks.symphony import guard_sets as sets
from gensafe.core.types import Modality, Text
from gensafe_backends.symphony.guard import learn, words
from gensafe_backends.symphony.guard.concept import Concept, Example
from gensafe_backends.symphony.guard.gate import look
from gensafe_backends.symphony.guard.reader import Reader, Reading
from gensafe_backends.symphony.model.engine import Feeder
from gensafe_backends.symphony.sequence import TokenSpan, prompt_ids
from gensafe_backends.symphony.understand import normalise

SEED: Final = 940_000_000  # of the items; any number would do
MEDIA: Final = tuple(Modality)
LAYER: Final = 3  # of the hidden states: the best of five in a first look
Vector = NDArray[np.float64]


@dataclass(eq=False)
class Known:
    """An item with everything the systems need to know of it."""

    item: sets.Item
    span: TokenSpan
    outside: str
    reading: Reading | None  # None for texts
    terms: frozenset[words.Term]
    state: Vector
    plain: Mapping[str, Vector]
    scores: dict[str, float] = field(default_factory=dict)


def know(item: sets.Item, reader: Reader) -> Known:
    """Read one item."""
    seen = look(item.media, reader.tokenizer)
    span = seen.spans[0]
    text = item.media.text if isinstance(item.media, Text) else ""
    reading = None if text else reader.read(span)
    found = words.meant(text) if reading is None else words.terms(reading.text)
    engine: Any = reader.engine
    ids = prompt_ids([span], engine.config)
    hidden = engine.states(Feeder(engine.config).push(ids), engine.new_cache())
    return Known(item, span, seen.outside, reading, found, hidden[LAYER, 2:-1].mean(axis=0), plain.features(item.media))


@dataclass(frozen=True, eq=False)
class Pool:
    """Items of one medium: to learn from, to calibrate on, to test on."""

    examples: list[Known]
    others: list[Known]
    tested: list[Known]


def pools(reader: Reader, count: int) -> dict[Modality, Pool]:
    """All items, read."""
    found = {}
    for medium in MEDIA:
        known = [know(i, reader) for i in sets.items(medium, count, count // 4, SEED)]
        order = np.random.default_rng(1).permutation(len(known))
        found[medium] = Pool(*([known[i] for i in order[n::3]] for n in range(3)))
    return found


# --- systems: concept, examples -> a score for every item -------------------------------------------------------------

Score = Callable[[Known], float]


def by_concept(reader: Reader, concept: Concept, *, hard: bool = False) -> Score:
    """The shipped guard's score; ``hard``: whether a term stands in the description."""

    def score(k: Known) -> float:
        if k.reading is None:
            assert isinstance(k.item.media, Text)
            return float(bool(words.places(k.item.media.text, concept.said)))
        if hard:
            return float(bool(words.terms(k.reading.text) & set(concept.shown)))
        return reader.score(k.reading, concept.shown)

    return score


def learned(reader: Reader, name: str, examples: Sequence[Known]) -> Concept:
    """What the guard makes of examples whose readings are known already; the name says nothing."""
    seen = [learn.Seen(learn.KINDS[k.span.modality], k.terms) for k in examples]
    shown = learn.explain(seen, frozenset(), ("concept",), round(learn.LEFT * len(seen)))
    shown = shown or [("nothing",)]
    kept = (Example(examples[0].span, True),)
    return Concept("x", (), tuple(shown), tuple(words.said_as(shown)), kept, reader.digest, reader.tokenizer_digest)


def by_states(pool: Mapping[Modality, Pool]) -> Callable[[Sequence[Known]], Score]:
    """Shrinkage LDA on mean hidden states, each medium centred on its own background: cosine to the examples' mean."""
    centre = {m: np.mean([k.state for k in p.others], axis=0) for m, p in pool.items()}
    white = _whitening([k.state - centre[m] for m, p in pool.items() for k in p.others])
    placed: dict[Known, Vector] = {}
    for medium, p in pool.items():
        for k in (*p.examples, *p.tested):
            z = white @ (k.state - centre[medium])
            placed[k] = z / (np.linalg.norm(z) + 1e-9)

    def make(examples: Sequence[Known]) -> Score:
        target = np.mean([placed[k] for k in examples], axis=0)
        return lambda k: float(placed[k] @ target)

    return make


def _whitening(rows: list[Vector]) -> Vector:
    covariance = np.cov(np.array(rows).T)
    size = len(covariance)
    covariance = 0.8 * covariance + 0.2 * np.trace(covariance) / size * np.eye(size)
    return np.asarray(np.linalg.cholesky(np.linalg.inv(covariance)).T)


def by_head(pool: Pool, name: str) -> Score:
    """A ridge classifier on mean hidden states, taught the true labels of everything that is not tested."""
    taught = [*pool.examples, *pool.others]
    x = np.stack([k.state for k in taught]).astype(np.float64)
    y = np.array([name in k.item.concepts for k in taught]) * 2.0 - 1.0
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-6
    z = (x - mean) / spread
    weights = np.linalg.solve(z.T @ z + 30.0 * np.eye(z.shape[1]), z.T @ (y - y.mean()))
    return lambda k: float((k.state - mean) / spread @ weights)


def by_neighbour(kind: str, examples: Sequence[Known]) -> Score:
    """Likeness to the nearest example by a plain feature; what has no such feature is like nothing."""
    own = [k.plain[kind] for k in examples if kind in k.plain]
    if not own:
        return lambda _: 0.0
    return lambda k: max(plain.likeness(kind, k.plain[kind], e) for e in own) if kind in k.plain else 0.0


def by_word_list(name: str) -> Score:
    """A list of words on texts."""
    wanted = [tuple(w.split()) for w in sets.WORD_LISTS[name]]

    def score(k: Known) -> float:
        if not isinstance(k.item.media, Text):
            return 0.0
        said = normalise(k.item.media.text).split()
        return float(any(tuple(said[i : i + len(w)]) == w for w in wanted for i in range(len(said))))

    return score
