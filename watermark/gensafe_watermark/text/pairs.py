"""Many texts at once: which tokens are scored, each different (context, token) pair listed once.

The null tests of thousands of texts need this: hashing text by text would spend minutes on phrases that all share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Pairs:
    """Everything that is scored in many texts, each different (context, token) pair once."""

    contexts: NDArray[np.int64]  # (c, h) the different contexts
    context_of_pair: NDArray[np.int64]  # (p,)
    token_of_pair: NDArray[np.int64]  # (p,)
    pair: NDArray[np.int64]  # (n,) pair of every scored token
    owner: NDArray[np.int64]  # (n,) its text
    counts: NDArray[np.int64]  # (texts,) scored tokens


def score_all(texts: Sequence[Sequence[int]], h: int) -> Pairs:
    """What ``statistics.score_tokens`` would score in each text, without common passages left out yet."""
    lengths = np.array([len(t) for t in texts], np.int64)
    flat = np.fromiter((token for t in texts for token in t), np.int64, int(lengths.sum()))
    owner = np.repeat(np.arange(len(texts)), lengths)
    nothing = np.zeros(0, np.int64)
    if len(flat) <= h:
        return Pairs(np.zeros((0, h), np.int64), nothing, nothing, nothing, nothing, np.zeros(len(texts), np.int64))
    # 1. number the different tokens, then the different contexts, one more token at a time: no code overflows
    _, token = np.unique(flat, return_inverse=True)
    size, last = int(token.max()) + 1, len(flat) - h
    code = token[:last]
    for i in range(1, h):
        _, code = np.unique(code * size + token[i : last + i], return_inverse=True)
    # 2. windows that lie in one text, each context of a text at its first occurrence only
    inside = np.flatnonzero(owner[:last] == owner[h:])
    _, first = np.unique(owner[inside] * (int(code.max()) + 1) + code[inside], return_index=True)
    at = np.sort(inside[first])
    # 3. the different contexts and pairs among them
    _, where, context = np.unique(code[at], return_index=True, return_inverse=True)
    _, sample, pair = np.unique(context * size + token[at + h], return_index=True, return_inverse=True)
    return Pairs(
        contexts=np.stack([flat[at[where] + i] for i in range(h)], axis=1),
        context_of_pair=context[sample],
        token_of_pair=flat[at[sample] + h],
        pair=pair,
        owner=owner[at],
        counts=np.bincount(owner[at], minlength=len(texts)),
    )
