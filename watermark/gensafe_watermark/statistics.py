"""False-positive bounds: every attempt a detector makes is counted, and the bound follows from the count.

Two kinds of evidence. A *record* is a payload whose 40-bit MAC holds: an unmarked medium gives one with probability at
most candidates / 2^40 (union bound; the MAC is a random function of the key). *Presence* is a correlation score against
a keyed pattern: Gaussian under the null, with a Bonferroni factor for every hypothesis searched.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy import optimize, special, stats

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

PRESENCE_P: Final = 1e-6
"""The operating point of ``MarkLevel.PRESENT``."""


def p_value(attempts: int, list_size: int = 8, mac_bits: int = 40) -> float:
    """Probability bound that unmarked input yields an authenticated payload in ``attempts`` list decodings."""
    return min(1.0, attempts * list_size / 2.0**mac_bits)


def presence_p(z: float, hypotheses: float, roughness: float = 0.0) -> float:
    """Probability bound that the best of ``hypotheses`` null correlations reaches ``z`` standard deviations.

    With ``roughness`` > 0 each hypothesis is itself the maximum over a smooth periodic two-dimensional Gaussian field
    (every shift of a pattern): the bound is the expected number of its peaks above ``z``,
    roughness / (2 pi)^(3/2) z exp(-z^2 / 2) (Adler and Taylor, "Random Fields and Geometry", 2007), where roughness is
    the square root of the determinant of the covariance of the field's gradient, times the field's area.
    """
    if roughness <= 0:
        return float(min(1.0, hypotheses * special.ndtr(-z)))
    if z <= 1:
        return 1.0
    return float(min(1.0, hypotheses * roughness * z * math.exp(-z * z / 2) / (2 * math.pi) ** 1.5))


def presence_threshold(hypotheses: float, p: float = PRESENCE_P, roughness: float = 0.0) -> float:
    """The ``z`` at which ``presence_p`` falls to ``p``."""
    return float(optimize.brentq(lambda z: math.log(presence_p(z, hypotheses, roughness) / p), 1.0, 35.0))


class GumbelTail(NamedTuple):
    """Extreme-value fit of null maxima: P(score > x) = 1 - exp(-exp(-(x - location) / scale))."""

    location: float
    scale: float
    trials: int

    def p(self, score: float) -> float:
        """Probability that a null score exceeds ``score``."""
        return float(-math.expm1(-math.exp(-(score - self.location) / self.scale)))

    def threshold(self, p: float) -> float:
        """The score exceeded with probability ``p``."""
        return self.location - self.scale * math.log(-math.log1p(-p))


def fit_gumbel(scores: ArrayLike) -> GumbelTail:
    """Maximum-likelihood Gumbel fit of null scores (each the best over one medium's search)."""
    values = np.asarray(scores, float)
    location, scale = stats.gumbel_r.fit(values)
    return GumbelTail(float(location), float(scale), values.size)


def proportion_interval(hits: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson interval of a proportion; with no hits its upper end is about 3.7 / trials at 95 %."""
    if not 0 <= hits <= trials or trials == 0:
        raise ValueError("need 0 <= hits <= trials and at least one trial")
    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else float(special.betaincinv(hits, trials - hits + 1, tail))
    high = 1.0 if hits == trials else float(special.betaincinv(hits + 1, trials - hits, 1 - tail))
    return low, high
