"""Exact null distribution of the Gumbel-max score, and what a text of a given length could show at best.

Under an unmarked text every scored ``-log(1 - r)`` is exponential with mean 1, so the sum of ``n`` is Gamma(n, 1): no
normal approximation, which is wrong below p = 1e-2 (Fernandez et al., "Three Bricks", 2023).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc, gammainccinv

from gensafe_watermark.sampling import context_key, sampling_key, uniforms_at
from gensafe_watermark.text.common import NO_PASSAGES, Passages

GAIN_PER_NAT = math.pi**2 / 6 - 1  # least mean excess per nat of entropy ("Three Bricks")
SPREAD = math.pi**2 / 6  # variance bound of one score of a marked token
_POWER_Z = 1.2816  # a marked text passes with probability 0.9 at least


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of the tokens that count: each context once, at its first occurrence (what the sampler marks)."""

    positions: NDArray[np.int64]  # (n,) index of the token in the text
    scores: NDArray[np.float64]  # (key ids, n) -log(1 - r)


def score_tokens(
    tokens: Sequence[int], key: bytes, h: int, key_shifts: Sequence[int], common: Passages = NO_PASSAGES
) -> Scored:
    """Score a text under every key id; passages in ``common`` are left out."""
    secret = sampling_key(key)
    seen: set[tuple[int, ...]] = set()
    positions: list[int] = []
    keys: list[tuple[int, int]] = []
    for i in range(h, len(tokens)):
        window = tuple(tokens[i - h : i])
        if window in seen:
            continue
        seen.add(window)
        if (*window, tokens[i]) in common:
            continue
        positions.append(i)
        keys.append(context_key(secret, window))
    at = np.array(positions, np.int64)
    chosen = np.array([tokens[i] for i in positions], np.int64)
    r = uniforms_at(np.array(keys, np.uint64).reshape(-1, 2), chosen, np.array(key_shifts, np.uint64))
    return Scored(positions=at, scores=-np.log1p(-r))


def p_values(scores: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """P(Gamma(count, 1) >= score): the exact chance that unmarked text scores this high."""
    p: NDArray[np.float64] = gammaincc(float(count), scores)
    return p


def windows(count: int, sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ranges [start, end) of scored tokens to test: all of them, then each size at half-overlapping steps."""
    if count:
        yield 0, count
    for size in sorted({s for s in sizes if s < count}):
        starts = (*range(0, count - size, max(1, size // 2)), count - size)
        for start in dict.fromkeys(starts):
            yield start, start + size


def decidable(count: int, tests: int, bits_per_token: float, threshold: float) -> bool:
    """Whether marked text of ``count`` scored tokens at that entropy would pass with probability >= 0.9.

    Args:
        count: Scored tokens.
        tests: Windows x key ids that the threshold is divided by.
        bits_per_token: Mean entropy of the next-token distribution the writer sampled from.
        threshold: Corrected p-value that counts as present.
    """
    if count == 0:
        return False
    needed = float(gammainccinv(count, threshold / max(tests, 1)))
    mean = count * (1 + GAIN_PER_NAT * bits_per_token * math.log(2))
    return needed <= mean - _POWER_Z * math.sqrt(SPREAD * count)


def unigram_bits(tokens: Sequence[int]) -> float:
    """Plug-in entropy of the token histogram in bits: an upper bound on what this text's wording can have left free."""
    if not tokens:
        return 0.0
    _, counts = np.unique(np.asarray(tokens), return_counts=True)
    share = counts / counts.sum()
    return float(-(share * np.log2(share)).sum())
