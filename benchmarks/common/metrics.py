"""Ranking metrics with bootstrap intervals; numpy only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
Metric = Callable[[NDArray[np.bool_], Scores], float]


def average_precision(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Area under the precision-recall curve as a step function (average precision); ties are one step."""
    order = np.argsort(-scores, kind="stable")
    y, s = labels[order], scores[order]
    last = np.append(np.diff(s) != 0, True)  # the end of each group of equal scores
    hits = np.cumsum(y)[last]
    seen = np.flatnonzero(last) + 1
    gained = np.diff(np.concatenate([[0], hits]))
    return float(np.sum(gained * hits / seen) / max(1, y.sum()))


def auroc(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Area under the ROC curve by ranks, ties counted half."""
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if not positives or not negatives:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))


@dataclass(frozen=True)
class Interval:
    """A figure with the 2.5 % and 97.5 % bootstrap quantiles."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap(metric: Metric, labels: NDArray[np.bool_], scores: Scores, rounds: int = 200, seed: int = 1) -> Interval:
    """``metric(labels, scores)`` with an interval over resampled rows."""
    draw = np.random.default_rng(seed)
    values = []
    for _ in range(rounds):
        rows = draw.integers(0, len(labels), len(labels))
        if labels[rows].any() and not labels[rows].all():
            values.append(metric(labels[rows], scores[rows]))
    low, high = np.quantile(values, (0.025, 0.975)) if values else (float("nan"), float("nan"))
    return Interval(metric(labels, scores), float(low), float(high))


def share(hits: int, total: int) -> Interval:
    """A proportion with its 95 % Wilson interval."""
    if not total:
        return Interval(float("nan"), float("nan"), float("nan"))
    z, p = 1.96, hits / total
    centre = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z * np.sqrt(p * (1 - p) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return Interval(p, max(0.0, float(centre - half)), min(1.0, float(centre + half)))
