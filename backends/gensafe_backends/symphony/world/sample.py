"""Random scenes. Every function takes a numpy Generator and nothing else that varies: one seed, one world."""

from __future__ import annotations

import hashlib

import numpy as np

from gensafe_backends.symphony.world.scene import (
    COLOURS,
    LAYOUTS,
    PLACES,
    SHAPES,
    WORDS,
    Bars,
    Board,
    Scene,
    Sign,
    Thing,
)

COLOUR_NAMES = tuple(COLOURS)
PAIRS = ((3, 5), (3, 5), (1, 7))  # side by side, or one above the other


def held_out(*parts: object) -> bool:
    """Whether a combination is kept out of training (one in ten, by a fixed hash)."""
    return hashlib.sha256(repr(parts).encode()).digest()[0] < 26


def board_held_out(board: Board) -> bool:
    """A board is held out if any of its (colour, shape, place) triples is."""
    return any(held_out("board", t.colour, t.shape, t.place) for t in board.things)


def sample_board(rng: np.random.Generator) -> Board:
    """One to three shapes at places of their own, or one to six equal ones in the layout of dice."""
    colour, shape = str(rng.choice(COLOUR_NAMES)), str(rng.choice(SHAPES))
    kind = rng.random()
    if kind < 0.12:
        return Board((Thing(4, colour, shape, "huge"),))
    if kind < 0.34:
        places: tuple[int, ...] = LAYOUTS[int(rng.integers(2, 7))]
        return Board(tuple(Thing(p, colour, shape) for p in places))
    count = int(rng.choice((1, 2, 3), p=(0.3, 0.42, 0.28)))
    chosen = sorted(int(p) for p in rng.choice(len(PLACES), size=count, replace=False))
    if count == 2 and rng.random() < 0.35:  # the pairs that may be asked for without naming places
        chosen = list(PAIRS[int(rng.integers(len(PAIRS)))])
    things = tuple(
        Thing(
            p,
            str(rng.choice(COLOUR_NAMES)),
            str(rng.choice(SHAPES)),
            "small" if rng.random() < 0.25 else "medium",
        )
        for p in chosen
    )
    return Board(things)


def sample_crowd(rng: np.random.Generator) -> Board:
    """Four to six different shapes: many combinations at once, for learning what, how coloured and where apart."""
    places = sorted(int(p) for p in rng.choice(len(PLACES), size=int(rng.integers(4, 7)), replace=False))
    sizes = ("medium", "medium", "medium", "small")
    things = [
        Thing(p, str(rng.choice(COLOUR_NAMES)), str(rng.choice(SHAPES)), sizes[int(rng.integers(4))]) for p in places
    ]
    return Board(tuple(things))


def sample_sign(rng: np.random.Generator) -> Sign:
    """A number or a short word."""
    text = str(rng.choice(WORDS)) if rng.random() < 0.3 else str(rng.integers(0, 100))
    return Sign(text, str(rng.choice(COLOUR_NAMES)))


def sample_bars(rng: np.random.Generator) -> Bars:
    """A bar chart of two to four bars of different colours."""
    count = int(rng.integers(2, 5))
    colours = rng.choice(COLOUR_NAMES, size=count, replace=False)
    return Bars(tuple((str(c), int(rng.integers(1, 7))) for c in colours))


def sample_scene(rng: np.random.Generator) -> Scene:
    """A picture's scene: mostly boards."""
    kind = rng.random()
    if kind < 0.7:
        return sample_board(rng)
    return sample_sign(rng) if kind < 0.87 else sample_bars(rng)
