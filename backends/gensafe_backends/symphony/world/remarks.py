"""A film and a spoken remark about it: the script as revised, a frame that shows the new way, and the film made again.

A remark is one to three spoken words: a colour, "star", a direction, in this order. What it does not name stays.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from gensafe_backends.symphony.world.captions import pick
from gensafe_backends.symphony.world.clip import Clip
from gensafe_backends.symphony.world.scene import Board, Thing
from gensafe_backends.symphony.world.sound import Sound

COLOUR_WORDS: Final = ("red", "green", "blue", "yellow")  # the colours the speech synthesiser can say
WAY_WORDS: Final = ("left", "right", "up", "down")
SHAPE_WORD: Final = "star"
SCRIPT_REQUESTS: Final = ("", "script", "what is the new script")
FRAME_REQUESTS: Final = ("", "frame", "draw the new frame")
FILM_REQUESTS: Final = ("", "film it again", "make the new film")
_ACROSS: Final = ("left", "right", "bounce across")
# first and last place of a lane, as indices of ``scene.PLACES``
_ENDS: Final = {
    (True, "first"): (0, 2), (True, "centre"): (3, 5), (True, "last"): (6, 8),
    (False, "first"): (0, 6), (False, "centre"): (1, 7), (False, "last"): (2, 8),
}  # fmt: skip


def revise(film: Clip, words: tuple[str, ...]) -> Clip | None:
    """The film after a remark; None if the words are not a remark.

    A new direction on the other axis leads through the middle: a lane along the top means nothing to what moves up.
    """
    order = [0 if w in COLOUR_WORDS else 1 if w == SHAPE_WORD else 2 if w in WAY_WORDS else 3 for w in words]
    if not words or 3 in order or order != sorted(set(order)):
        return None
    for word in words:
        if word in COLOUR_WORDS:
            film = replace(film, colour=word)
        elif word == SHAPE_WORD:
            film = replace(film, shape=word)
        else:
            turned = (word in _ACROSS) is not (film.motion in _ACROSS)
            film = Clip(film.colour, film.shape, word, "centre" if turned else film.lane)
    return film


def sample_remark(film: Clip, rng: np.random.Generator) -> tuple[Sound, Clip]:
    """A remark that changes the film, and the film after it."""
    while True:
        parts = [pick(rng, COLOUR_WORDS), SHAPE_WORD, pick(rng, WAY_WORDS)]
        said = tuple(w for w, wanted in zip(parts, rng.random(3) < (0.55, 0.3, 0.55), strict=True) if wanted)
        after = revise(film, said)
        if after is not None and after != film:
            return Sound("words", said), after


def frame(film: Clip) -> Board:
    """A frame with the way drawn in: small where the shape starts, larger where it ends; bouncing, at both walls."""
    first, last = _ENDS[film.motion in _ACROSS, film.lane]
    sizes = ("medium", "medium") if film.motion.startswith("bounce") else ("small", "medium")
    if film.motion in ("left", "up"):
        sizes = sizes[::-1]
    return Board(tuple(Thing(p, film.colour, film.shape, z) for p, z in zip((first, last), sizes, strict=True)))
