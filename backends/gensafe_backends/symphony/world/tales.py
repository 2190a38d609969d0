"""Tales across media: two or three sentences, each of which speaks of a picture, a sound or a film."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from gensafe_backends.symphony.world.captions import describe_clip, describe_scene, describe_sound, pick
from gensafe_backends.symphony.world.checkers import parse_clip, parse_scene, parse_sound
from gensafe_backends.symphony.world.clip import Clip, sample_clip
from gensafe_backends.symphony.world.sample import COLOUR_NAMES
from gensafe_backends.symphony.world.scene import PLACES, SHAPES, Board, Thing
from gensafe_backends.symphony.world.sound import NOTES, Sound
from gensafe_backends.symphony.world.speech import SPOKEN
from gensafe_backends.symphony.world.stories import HEROINES, NAMES

Event: TypeAlias = Board | Sound | Clip
_VERBS: Final[dict[type[Event], str]] = {Board: "drew", Sound: "heard", Clip: "saw"}
REQUESTS: Final[dict[type[Event], str]] = {Board: "draw it", Sound: "play it", Clip: "film it"}
_THEN: Final = ("", "Then ", "At last ")
_SENTENCE: Final = re.compile(r"(?:Then |At last )?(\w+) (drew|heard|saw) (.+)")


@dataclass(frozen=True, slots=True)
class Tale:
    """Who, and what came one after another: at most one picture of one shape, one sound, one film."""

    name: str
    events: tuple[Event, ...]


def tell(tale: Tale) -> str:
    """The tale in words."""
    pronoun = "she" if tale.name in HEROINES else "he"
    lines = []
    for n, event in enumerate(tale.events):
        if isinstance(event, Board):
            what = describe_scene(event)
        else:
            what = describe_sound(event) if isinstance(event, Sound) else describe_clip(event)
        lines.append(f"{_THEN[n]}{pronoun if n else tale.name} {_VERBS[type(event)]} {what}.")
    return " ".join(lines)


def plain(tale: Tale) -> str:
    """The tale as prompts are written: small letters, no stops."""
    return tell(tale).lower().replace(".", "")


def parse(text: str) -> Tale | None:
    """The tale a text of ``tell`` tells, letter case and full stops aside; None if it is not one.

    A bouncing shape's start and direction are not in its caption: of the films it fits, the first is given.
    """
    lines = re.split(r" (?=then |at last )", text.lower().replace(".", "").strip())
    name, events = "", list[Event]()
    for n, line in enumerate(lines):
        found = _SENTENCE.fullmatch(line.replace("then ", "Then ", 1).replace("at last ", "At last ", 1))
        if found is None:
            return None
        kind = {"drew": Board, "heard": Sound, "saw": Clip}[found[2]]
        event = {Board: parse_scene, Sound: parse_sound, Clip: parse_clip}[kind](found[3])
        if not isinstance(event, Board | Sound | Clip) or not isinstance(event, kind) or n >= len(_THEN):
            return None
        events.append(event)
        name = name or found[1].capitalize()
    tale = Tale(name, tuple(events))
    told = plain(tale) if name in NAMES and 2 <= len(events) <= 3 else ""
    return tale if told == text.lower().replace(".", "").strip() else None


def sample_tale(rng: np.random.Generator, *, in_order: bool = False) -> Tale:
    """A random tale; ``in_order`` tells picture, sound and film in this order."""
    kinds = [Board, Sound, Clip]
    order = [kinds[i] for i in rng.permutation(3)[: 2 if rng.random() < 0.5 else 3]]
    if in_order:
        order.sort(key=kinds.index)
    return Tale(pick(rng, NAMES), tuple(_event(kind, rng) for kind in order))


def _event(kind: type[Event], rng: np.random.Generator) -> Event:
    if kind is Board:
        size = "small" if rng.random() < 0.25 else "medium"
        return Board((Thing(int(rng.integers(len(PLACES))), pick(rng, COLOUR_NAMES), pick(rng, SHAPES), size),))
    if kind is Clip:
        return sample_clip(rng)
    if rng.random() < 0.5:
        return Sound("words", tuple(str(w) for w in rng.choice(SPOKEN, size=int(rng.integers(1, 4)))))
    return Sound("melody", tuple(str(n) for n in rng.choice(tuple(NOTES), size=int(rng.integers(2, 5)))))


def request(name: str) -> str:
    """How the tale of handed-in media is asked for."""
    return f"a tale of {name.lower()}"
