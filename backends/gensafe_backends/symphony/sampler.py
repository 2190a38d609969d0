"""The one sampler: float64 arithmetic and a counter-based generator, shared by every engine.

Engines differ in speed; they must not differ in what they draw. The sampler therefore takes plain logits, works in
float64, breaks ties towards the lower token id and takes its randomness from Philox4x32-10 (Salmon et al., "Parallel
random numbers: as easy as 1, 2, 3", SC 2011): the number drawn for step ``n`` is a function of ``(seed, n)`` alone, so
that neither threads, batches nor retries can shift the stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from gensafe.core.errors import BackendError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gensafe.core.ports import SamplingMark

_M0: Final = 0xD2511F53  # multiplier of Philox4x32: Salmon et al. 2011
_M1: Final = 0xCD9E8D57  # multiplier of Philox4x32: Salmon et al. 2011
_W0: Final = 0x9E3779B9  # Weyl constant, the golden ratio: Salmon et al. 2011
_W1: Final = 0xBB67AE85  # Weyl constant, sqrt(3) - 1: Salmon et al. 2011
_U32: Final = 0xFFFFFFFF  # mask of 32 bits


def philox4x32(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Philox4x32-10: four 32-bit words for a 128-bit counter under a 64-bit key."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & _U32, (p0 >> 32) ^ c3 ^ k1, p0 & _U32
        k0, k1 = (k0 + _W0) & _U32, (k1 + _W1) & _U32
    return c0, c1, c2, c3


def uniform(seed: int, step: int, stream: int = 0) -> float:
    """The ``step``-th number of ``stream`` under ``seed``: uniform on [0, 1) with 53 bits.

    Args:
        seed: Any integer; its low 64 bits are the key.
        step: Index of the draw, 0 or more.
        stream: Separates independent uses of one seed.
    """
    counter = (step & _U32, (step >> 32) & _U32, stream & _U32, 0)
    a, b, _, _ = philox4x32(counter, (seed & _U32, (seed >> 32) & _U32))
    return ((a >> 5) * 67108864 + (b >> 6)) / 9007199254740992.0


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How to draw. ``temperature`` 0 = greedy (argmax, lowest id on ties); ``top_p`` in (0, 1]."""

    temperature: float = 0.0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not (0.0 <= self.temperature <= 10.0) or not (0.0 < self.top_p <= 1.0):
            raise BackendError(
                f"temperature {self.temperature} or top_p {self.top_p} out of range",
                fix="0 <= temperature <= 10, 0 < top_p <= 1",
            )


def probabilities(
    logits: NDArray[np.float32] | NDArray[np.float64], params: SamplingParams, allowed: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Turn logits into the distribution that is sampled.

    Args:
        logits: (n,) scores.
        params: Temperature and nucleus; temperature 0 gives a one-hot.
        allowed: (n,) grammar mask; None = all.

    Returns:
        (n,) float64 that sums to 1.

    Raises:
        BackendError: no candidate is left, or the logits are not finite.
    """
    x = np.asarray(logits, dtype=np.float64)
    if allowed is not None:
        x = np.where(allowed, x, -np.inf)
    top = float(x.max(initial=-np.inf))
    if not np.isfinite(top) or np.isnan(x).any():
        raise BackendError("the model gave no usable score for any allowed token")
    if params.temperature == 0.0:
        p = np.zeros_like(x)
        p[int(np.argmax(x))] = 1.0
        return p
    p = np.exp((x - top) / params.temperature)
    p /= p.sum()
    if params.top_p < 1.0:
        # The smallest set of likeliest tokens that holds top_p of the mass; a stable sort keeps ties in id order.
        order = np.argsort(-p, kind="stable")
        mass = np.cumsum(p[order])
        keep = order[: int(np.searchsorted(mass, params.top_p, side="left")) + 1]
        cut = np.zeros_like(p)
        cut[keep] = p[keep]
        p = cut / cut.sum()
    return p


def draw(p: NDArray[np.float64], u: float) -> int:
    """Invert the distribution function in id order: the first index whose cumulative mass exceeds ``u``."""
    mass = np.cumsum(p)
    index = int(np.searchsorted(mass, u * mass[-1], side="right"))
    if index >= len(p) or p[index] == 0.0:  # u at the very top after rounding: the last token with any mass
        index = int(np.flatnonzero(p)[-1])
    return index


class Sampler:
    """Draws token after token under one seed.

    Args:
        seed: The request's seed.
        params: Defaults for every draw; ``choose`` can override them per span.
        stream: Separates independent uses of one seed.
    """

    def __init__(self, seed: int, params: SamplingParams | None = None, *, stream: int = 0) -> None:
        self.seed = seed
        self.params = params or SamplingParams()
        self.stream = stream
        self.step = 0

    def choose(
        self,
        logits: NDArray[np.float32] | NDArray[np.float64],
        *,
        allowed: NDArray[np.bool_] | None = None,
        params: SamplingParams | None = None,
    ) -> int:
        """Draw an index into ``logits`` freely (no mark)."""
        p = probabilities(logits, params or self.params, allowed)
        return self._free(p, params or self.params)

    def choose_marked(
        self,
        logits: NDArray[np.float32] | NDArray[np.float64],
        mark: SamplingMark | None,
        context: Sequence[int],
        *,
        allowed: NDArray[np.bool_] | None = None,
        params: SamplingParams | None = None,
    ) -> tuple[int, bool]:
        """Draw a *text* token, letting ``mark`` choose where it wants to.

        Args:
            logits: (vocabulary,) scores over the whole vocabulary.
            mark: The keyed choice, or None.
            context: Token ids of the text written so far, oldest first.
            allowed: (vocabulary,) grammar mask.
            params: Override of the defaults.

        Returns:
            The token id, and whether the mark chose it among several (a sole candidate carries no mark).

        Raises:
            BackendError: the mark chose a token that has no probability.
        """
        p = probabilities(logits, params or self.params, allowed)
        if mark is not None:
            chosen = mark.choose(context, p)
            if chosen is not None:
                if not 0 <= chosen < len(p) or p[chosen] <= 0.0:
                    raise BackendError(f"sampling mark {mark.scheme!r} chose a token outside the distribution")
                self.step += 1
                return int(chosen), bool(p[chosen] < 1.0)
        return self._free(p, params or self.params), False

    def _free(self, p: NDArray[np.float64], params: SamplingParams) -> int:
        u = uniform(self.seed, self.step, self.stream)
        self.step += 1
        return int(np.argmax(p)) if params.temperature == 0.0 else draw(p, u)
