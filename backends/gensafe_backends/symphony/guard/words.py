"""Words as the guard compares them, and what the procedural world says about them.

A *term* is one to four words in their plain form: lower case, singular, a digit as its name ("7" is "seven"; "42"
stays, a longer number is read digit by digit). All frequencies are those of the world's own descriptions, from fixed
seeds.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Final

import numpy as np

from gensafe.core.types import Modality
from gensafe_backends.symphony.world import captions, sample, stories
from gensafe_backends.symphony.world.clip import sample_clip
from gensafe_backends.symphony.world.sound import sample_sound

Term = tuple[str, ...]
LONGEST: Final = 4  # words; see above
WORLD_SEED: Final = 77  # arbitrary; fixed, so that the frequencies are always the same
WORLD_ITEMS: Final = 1500  # of each kind: prompts with their descriptions
SURE: Final = 0.98  # of the prompts with a term, how many must describe the same thing for the term to mean it
SEEN: Final = 5  # such prompts at least
LITTLE: Final = frozenset(("a", "an", "and", "at", "in", "of", "on", "the", "to", "with"))
_WORD: Final = re.compile(r"[a-z]+|[0-9]+")


@dataclass(frozen=True, slots=True)
class Word:
    """A plain word and where it stood: character offsets [start, end)."""

    plain: str
    start: int
    end: int


def words(text: str) -> list[Word]:
    """The plain words of a text, in order."""
    found = []
    for m in _WORD.finditer(text.lower() if text.isascii() else _lower(text)):
        for n, piece in enumerate(m[0] if m[0].isdigit() and len(m[0]) > 2 else [m[0]]):
            single = len(piece) == 1 and piece.isdigit()
            start = m.start() + (n if m[0].isdigit() and len(m[0]) > 2 else 0)
            plain = captions.NUMBERS[int(piece)] if single else _singular(piece)
            found.append(Word(plain, start, start + len(piece)))
    return found


def _lower(text: str) -> str:
    """Lower case without changing the number of characters."""
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def _singular(word: str) -> str:
    if word.endswith("xes"):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def term(text: str) -> Term:
    """A term from its text; empty if there is no word in it."""
    return tuple(w.plain for w in words(text))


def terms(text: str, longest: int = 2) -> frozenset[Term]:
    """Every run of one to ``longest`` words."""
    plain = [w.plain for w in words(text)]
    return frozenset(tuple(plain[i : i + n]) for n in range(1, longest + 1) for i in range(len(plain) - n + 1))


def places(text: str, wanted: Iterable[Term]) -> list[tuple[int, int]]:
    """Character offsets of every occurrence of a wanted term."""
    found, chosen = words(text), set(wanted)
    plain = [w.plain for w in found]
    return [
        (found[i].start, found[i + n - 1].end)
        for n in range(1, LONGEST + 1)
        for i in range(len(plain) - n + 1)
        if tuple(plain[i : i + n]) in chosen
    ]


def spellings(wanted: Term) -> Iterator[str]:
    """The ways a term may be written in a description: plural, digit, name."""
    options = []
    for word in wanted:
        more = [word, word + ("es" if word.endswith("x") else "s")]
        if word in captions.NUMBERS:
            more = [word, str(captions.NUMBERS.index(word))]
        options.append(more)
    yield from (" ".join(chosen) for chosen in product(*options))


@lru_cache(maxsize=1)
def world_pairs() -> tuple[tuple[Modality, str, str], ...]:
    """(kind, one way to ask for it, its description) of random media of the world; a text describes itself."""
    rng = np.random.default_rng(WORLD_SEED)
    pairs: list[tuple[Modality, str, str]] = []
    for _ in range(WORLD_ITEMS):
        scene, sound, clip = sample.sample_scene(rng), sample_sound(rng), sample_clip(rng)
        pairs.append((Modality.IMAGE, captions.scene_prompt(scene, rng), captions.describe_scene(scene)))
        pairs.append((Modality.AUDIO, captions.sound_prompt(sound, rng), captions.describe_sound(sound)))
        pairs.append((Modality.VIDEO, captions.clip_prompt(clip, rng), captions.describe_clip(clip)))
    for _ in range(WORLD_ITEMS // 10):
        told = stories.story(rng)
        pairs += [(Modality.TEXT, part, part) for part in told.split(". ")[:10]]
    return tuple(pairs)


@lru_cache(maxsize=1)
def frequencies() -> dict[Modality, tuple[int, Counter[Term]]]:
    """Of each kind of item: how many there were, and in how many descriptions (or texts) each term stands."""
    counted: dict[Modality, tuple[int, Counter[Term]]] = {m: (0, Counter()) for m in Modality}
    for kind, asked, described in world_pairs():
        for medium, found in ((kind, terms(described)), (Modality.TEXT, meant(asked))):
            count, table = counted[medium]
            table.update(found)
            counted[medium] = count + 1, table
    return counted


@lru_cache(maxsize=1)
def meanings() -> dict[Term, frozenset[Term]]:
    """Term of a prompt -> the terms that nearly every description of such a prompt holds.

    Stories count too: a word that also stands where no description says the same (a "box") means it less surely.
    """
    alone: Counter[Term] = Counter()
    both: Counter[tuple[Term, Term]] = Counter()
    for _, asked, described in world_pairs():
        said, shown = terms(asked), terms(described)
        alone.update(said)
        both.update(product(said, shown))
    found: dict[Term, set[Term]] = {}
    for (a, b), n in both.items():
        if alone[a] >= SEEN and n >= SURE * alone[a]:
            found.setdefault(a, set()).add(b)
    return {a: frozenset(b) for a, b in found.items()}


def meant(text: str) -> frozenset[Term]:
    """The terms of a text and all they mean in the world: "disc" also gives "circle"."""
    said, known = terms(text), meanings()
    return said.union(*(known.get(t, frozenset()) for t in said))


def told_as(wanted: Term) -> Term:
    """How descriptions put a term: itself, or, if none holds it, the most telling term that it always means."""
    in_descriptions: Counter[Term] = Counter()
    for kind, (_, table) in frequencies().items():
        if kind is not Modality.TEXT:
            in_descriptions.update(table)
    options = meanings().get(wanted, frozenset())
    if in_descriptions[wanted] or not options:
        return wanted
    return min(options, key=lambda t: (not telling(t), len(t), in_descriptions[t], t))


def said_as(wanted: Iterable[Term]) -> frozenset[Term]:
    """The terms a text may say one of ``wanted`` with: themselves and whatever always means one of them."""
    chosen = frozenset(wanted)
    length = max(map(len, chosen), default=1)
    ways = {a for a, means in meanings().items() if means & chosen and len(a) <= length and telling(a)}
    return chosen | {a for a in ways if not any(_inside(b, a) for b in chosen | ways if b != a)}


def telling(some: Term) -> bool:
    """Whether a term neither begins nor ends with a little word."""
    return some[0] not in LITTLE and some[-1] not in LITTLE


def _inside(part: Term, whole: Term) -> bool:
    return any(whole[i : i + len(part)] == part for i in range(len(whole) - len(part) + 1))
