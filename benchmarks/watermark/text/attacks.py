"""The 13 token-level text attacks: edits, cuts, pasting into other text, shuffling."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int64]
Attack = Callable[[Tokens, int, np.random.Generator], Tokens]


def substitute(share: float) -> Attack:
    """Replace tokens by random ones."""

    def attack(x: Tokens, size: int, rng: np.random.Generator) -> Tokens:
        hit = rng.random(len(x)) < share
        return np.where(hit, rng.integers(0, size, len(x)), x)

    return attack


def delete(share: float) -> Attack:
    """Drop tokens."""
    return lambda x, size, rng: x[rng.random(len(x)) >= share]


def insert(share: float) -> Attack:
    """Put random tokens between."""

    def attack(x: Tokens, size: int, rng: np.random.Generator) -> Tokens:
        where = np.flatnonzero(rng.random(len(x)) < share)
        return np.insert(x, where, rng.integers(0, size, len(where)))

    return attack


def crop(start: float, share: float) -> Attack:
    """Keep one stretch."""
    return lambda x, size, rng: x[int(start * len(x)) : int((start + share) * len(x))]


def paste(share: float) -> Attack:
    """Hide the text in unrelated text, of which it then makes up ``share``."""

    def attack(x: Tokens, size: int, rng: np.random.Generator) -> Tokens:
        other = np.minimum((rng.pareto(1.1, int(len(x) / share) - len(x)) * 5).astype(np.int64), size - 1)
        at = int(rng.integers(0, len(other) + 1))
        return np.concatenate([other[:at], x, other[at:]])

    return attack


def shuffle(length: int) -> Attack:
    """Cut into pieces of ``length`` tokens and put them into random order."""

    def attack(x: Tokens, size: int, rng: np.random.Generator) -> Tokens:
        parts = [x[i : i + length] for i in range(0, len(x), length)]
        return np.concatenate([parts[i] for i in rng.permutation(len(parts))])

    return attack


def attacks() -> dict[str, Attack]:
    """Name -> attack, in the order of the tables."""
    return {
        "none": lambda x, size, rng: x,
        "substitute 10 %": substitute(0.1),
        "substitute 30 %": substitute(0.3),
        "substitute 50 %": substitute(0.5),
        "delete 10 %": delete(0.1),
        "delete 30 %": delete(0.3),
        "insert 20 %": insert(0.2),
        "middle half": crop(0.25, 0.5),
        "first quarter": crop(0.0, 0.25),
        "pasted, 1/4": paste(0.25),
        "pasted, 1/10": paste(0.1),
        "shuffled by 20": shuffle(20),
        "substitute 20 %, delete 10 %": lambda x, size, rng: delete(0.1)(substitute(0.2)(x, size, rng), size, rng),
    }
