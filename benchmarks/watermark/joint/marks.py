"""One keyed sampler for picture, sound and film tokens, and its test: the text mark's scheme with the place as context.

A text mark hashes the last three tokens. A picture of 64 mostly equal patches has almost no different contexts, and a
context that is read back wrongly loses its token; so here the context is the place in the medium alone. Every medium
under one key id is then drawn with the same numbers: the price is that one prompt under one key id gives one answer, so
the key id (16 of them) is taken from the seed. Keys differ per medium; scores of several media add up before the test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc

from gensafe_backends.symphony.sampler import Sampler, SamplingParams, probabilities
from gensafe_backends.symphony.sequence import place_range
from gensafe_watermark import prf
from gensafe_watermark.sampling import KEY_IDS, GumbelMark, context_key, sampling_key, uniforms_at

if TYPE_CHECKING:
    from gensafe.core.ports import SamplingMark
    from gensafe_backends.symphony.config import SymphonyConfig
    from gensafe_backends.symphony.vocab import ModalityId

Stock = frozenset[tuple[int, int]]  # (place, token) that most unmarked media hold: not scored


def entropy(p: NDArray[np.float64]) -> float:
    """Bits."""
    some = p[p > 0]
    return float(-(some * np.log2(some)).sum())


class ListeningSampler(Sampler):
    """Notes the entropy of text draws."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.bits: list[float] = []

    def choose_marked(
        self,
        logits: NDArray[np.float32] | NDArray[np.float64],
        mark: SamplingMark | None,
        context: Sequence[int],
        *,
        allowed: NDArray[np.bool_] | None = None,
        params: SamplingParams | None = None,
    ) -> tuple[int, bool]:
        """As the base does."""
        self.bits.append(entropy(probabilities(logits, params or self.params, allowed)))
        return super().choose_marked(logits, mark, context, allowed=allowed, params=params)


class KeyedSampler(Sampler):
    """A ``Sampler`` that draws media tokens by key (or freely, with ``key`` None) and notes what was open.

    Args:
        seed: As for ``Sampler``; gives the key id too.
        key: The medium's key.
    """

    def __init__(self, seed: int, key: bytes | None) -> None:
        super().__init__(seed)
        self.bits: list[float] = []  # entropy of every draw
        self._mark = None if key is None else GumbelMark(key, h=1, key_shift=seed % KEY_IDS)

    def choose(
        self,
        logits: NDArray[np.float32] | NDArray[np.float64],
        *,
        allowed: NDArray[np.bool_] | None = None,
        params: SamplingParams | None = None,
    ) -> int:
        """Draw the token of the next place."""
        p = probabilities(logits, params or self.params, allowed)
        self.bits.append(entropy(p))
        picked = None if self._mark is None else self._mark.choose([len(self.bits) - 1], p)
        return super().choose(logits, allowed=allowed, params=params) if picked is None else picked


def medium_key(key: bytes, modality: ModalityId) -> bytes:
    """Keys of different media are independent."""
    return prf.derive(key, "joint", modality.name.lower())


@cache
def _place_key(key: bytes, place: int) -> tuple[int, int]:
    return context_key(sampling_key(key), (place,))


@dataclass(frozen=True, slots=True)
class Evidence:
    """Sums of scores per key id over ``count`` tokens; evidence of several media adds up with ``+``."""

    count: int = 0
    sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros(KEY_IDS))

    def __add__(self, other: Evidence) -> Evidence:
        return Evidence(self.count + other.count, self.sums + other.sums)

    @property
    def p_value(self) -> float:
        """Exact for unmarked media (a Gamma sum), times the number of key ids."""
        if not self.count:
            return 1.0
        return float(min(1.0, KEY_IDS * gammaincc(self.count, self.sums.max())))


def evidence(
    ids: Sequence[int], modality: ModalityId, config: SymphonyConfig, key: bytes, stock: Stock = frozenset()
) -> Evidence:
    """Score a medium's ids (global, as the tokenizer gives them) under every key id."""
    secret = medium_key(key, modality)
    places = [n for n, token in enumerate(ids) if (n, token) not in stock]
    if not places:
        return Evidence()
    keys = np.array([_place_key(secret, n) for n in places], np.uint64)
    tokens = np.array([ids[n] - place_range(modality, n, config).start for n in places], np.int64)
    r = uniforms_at(keys, tokens, np.arange(KEY_IDS, dtype=np.uint64))
    return Evidence(len(places), -np.log1p(-r).sum(axis=1))


def stock_of(media: Iterable[Sequence[int]], share: float = 0.1) -> Stock:
    """(place, token) pairs that at least ``share`` of unmarked media hold: they tell one key's luck, not a mark."""
    found = list(media)
    counts = Counter((n, token) for ids in found for n, token in enumerate(ids))
    return frozenset(pair for pair, times in counts.items() if times >= share * len(found))
