"""Two small language models to sample from: one of exact entropy, one learned from real books."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float64]


class RandomModel:
    """A stationary random model whose mean next-token entropy is set by a temperature found by bisection.

    Args:
        size: Vocabulary.
        bits: Mean entropy in bits per token.
        seed: Which model.
    """

    def __init__(self, size: int = 2000, bits: float = 3.0, seed: int = 0) -> None:
        self.size = size
        bank = np.random.default_rng(seed).normal(size=(509, size))
        low, high = 0.1, 20.0
        for _ in range(40):
            scale = (low * high) ** 0.5
            p = np.exp(bank * scale - (bank * scale).max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            self.entropy = float(-(p * np.log2(np.maximum(p, 1e-300))).sum(1).mean())
            low, high = (scale, high) if self.entropy > bits else (low, scale)
        self._bank = p

    def probabilities(self, context: list[int]) -> Probabilities:
        """Next-token distribution after ``context`` (two tokens at least)."""
        row: Probabilities = self._bank[(context[-1] * 31 + context[-2] * 17) % len(self._bank)]
        return row


class TrigramModel:
    """Interpolated trigram model over words (absolute discounting), learned from plain text.

    Args:
        tokens: Training tokens.
        size: Vocabulary.
    """

    _DISCOUNT = 0.75

    def __init__(self, tokens: list[int], size: int) -> None:
        self.size = size
        counts = np.bincount(tokens, minlength=size) + 0.1
        self._one = counts / counts.sum()
        self._two: dict[int, Counter[int]] = defaultdict(Counter)
        self._three: dict[tuple[int, int], Counter[int]] = defaultdict(Counter)
        for a, b, c in zip(tokens, tokens[1:], tokens[2:], strict=False):
            self._two[b][c] += 1
            self._three[a, b][c] += 1

    def probabilities(self, context: list[int]) -> Probabilities:
        """Next-token distribution after ``context`` (two tokens at least)."""
        p = self._discounted(self._one, self._two.get(context[-1]))
        return self._discounted(p, self._three.get((context[-2], context[-1])))

    def _discounted(self, backoff: Probabilities, seen: Counter[int] | None) -> Probabilities:
        if not seen:
            return backoff
        total = seen.total()
        p = backoff * (self._DISCOUNT * len(seen) / total)
        p[list(seen)] += (np.array(list(seen.values())) - self._DISCOUNT) / total
        return np.asarray(p / p.sum())


def words(paths: Iterable[Path]) -> list[str]:
    """Lower-case words and punctuation of text and JSON-lines files, in order."""
    found: list[str] = []
    for path in sorted(paths):
        content = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".jsonl":  # values only: the keys would stand in every text
            records = [json.loads(line) for line in content.splitlines() if line.strip()]
            content = " ".join(v for record in records for v in record.values() if isinstance(v, str))
        found += re.findall(r"[a-z']+|[.,;:!?]", content.lower())
    return found


def number(found: list[str], size: int) -> list[int]:
    """Token ids by frequency rank; the last id stands for all rarer words."""
    rank = {word: i for i, (word, _) in enumerate(Counter(found).most_common(size - 1))}
    return [rank.get(word, size - 1) for word in found]
