"""Instructions that change one thing of a board and keep the rest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gensafe_backends.symphony.world.captions import pick
from gensafe_backends.symphony.world.sample import COLOUR_NAMES
from gensafe_backends.symphony.world.scene import SHAPES, Board, Thing


def _name(thing: Thing, board: Board) -> str:
    """The shortest name that fits this thing alone, or nothing."""
    if sum(t.shape == thing.shape for t in board.things) == 1:
        return thing.shape
    if sum((t.shape, t.colour) == (thing.shape, thing.colour) for t in board.things) == 1:
        return f"{thing.colour} {thing.shape}"
    return ""


def sample_edit(board: Board, rng: np.random.Generator) -> tuple[str, Board]:
    """An instruction and the board after it. Equal things are changed all together ("make them blue")."""
    named = [t for t in board.things if _name(t, board)]
    colour = pick(rng, COLOUR_NAMES)
    if not named:
        return f"make them {colour}", Board(tuple(replace(t, colour=colour) for t in board.things))
    target = named[int(rng.integers(len(named)))]
    name = _name(target, board)
    kind = rng.random()
    if kind < 0.6:
        after = replace(target, colour=colour)
        words = pick(rng, (f"make the {name} {colour}", f"paint the {name} {colour}", f"turn the {name} {colour}"))
    elif kind < 0.8 or len(board.things) == 1:
        shape = pick(rng, SHAPES)
        after = replace(target, shape=shape)
        words = f"turn the {name} into a {shape}"
    else:
        return pick(rng, (f"remove the {name}", f"take away the {name}")), Board(
            tuple(t for t in board.things if t != target)
        )
    return words, Board(tuple(after if t == target else t for t in board.things))
