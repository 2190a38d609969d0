"""Ranking, operating points, calibration: how well scores and labels agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.common.metrics import Interval, auroc, average_precision, bootstrap, share
from benchmarks.text_safety.sets import Row
from benchmarks.text_safety.systems import Scores, System, any_score, flagged
from gensafe.core.types import Modality, Stage
from gensafe.safety.policy import Policy

DEFAULT = "default stack"


def figures(interval: Interval) -> list[float]:
    """[value, low, high], rounded for the file."""
    return [round(float(v), 4) for v in (interval.value, interval.low, interval.high)]


def measure(name: str, rows: list[Row], systems: Mapping[str, System], policy: Policy) -> dict[str, Any]:
    """One set under every system."""
    labels = np.array([bool(r.harmful) for r in rows])
    result: dict[str, Any] = {"n": len(rows), "positive": int(labels.sum())}
    print(f"\n{name}: {len(rows)} texts, {labels.sum()} harmful")
    if labels.all() or not labels.any():
        print("  only one kind of label: no curve")
    for system, run in systems.items():
        scores = run([r.text for r in rows])
        top = np.array([any_score(s) for s in scores])
        entry: dict[str, Any] = {}
        if labels.any() and not labels.all():
            precision = bootstrap(average_precision, labels, top)
            entry["auprc"] = figures(precision)
            entry["auroc"] = round(auroc(labels, top), 4)
            entry["recall_at_fpr"] = {f: round(recall_at(labels, top, float(f)), 4) for f in ("0.01", "0.05", "0.1")}
            print(
                f"  {system:20} AUPRC {precision}  AUROC {entry['auroc']:.3f}  recall at 1/5/10 % FPR "
                + " / ".join(f"{v:.2f}" for v in entry["recall_at_fpr"].values())
            )
        if system == DEFAULT:
            entry["operating"] = operating(scores, labels, policy)
            entry["categories"] = per_category(rows, scores)
        result[system] = entry
    return result


def recall_at(labels: Any, scores: Any, rate: float) -> float:
    """Recall at the lowest threshold with a false-alarm rate of at most ``rate``."""
    if not (~labels).any():
        return float("nan")
    threshold = np.quantile(scores[~labels], 1 - rate)
    return float((scores[labels] > threshold).mean())


def operating(scores: Scores, labels: Any, policy: Policy) -> dict[str, Any]:
    """Precision, recall and false alarms at the default policy's thresholds."""
    found = {}
    for level in ("review", "block"):
        hit = np.array([flagged(s, policy, level) for s in scores])
        recall = share(int((hit & labels).sum()), int(labels.sum()))
        alarms = share(int((hit & ~labels).sum()), int((~labels).sum()))
        precision = float((hit & labels).sum() / max(1, hit.sum()))
        found[level] = {"recall": figures(recall), "false_alarms": figures(alarms), "precision": round(precision, 4)}
        print(f"    at the {level} thresholds: recall {recall}  false alarms {alarms}  precision {precision:.3f}")
    return found


def known(rows: Sequence[Row], scores: Scores, category: str) -> Iterator[tuple[bool, float]]:
    """(is it this category, its score) of the rows where that is known: labelled so, or not harmful at all."""
    for row, found in zip(rows, scores, strict=True):
        if category in row.categories or row.harmful is False:
            yield bool(row.categories.get(category, False)), found.get(category, 0.0)


def per_category(rows: Sequence[Row], scores: Scores) -> dict[str, Any]:
    """Area under the curve of each category that has at least ten of both kinds of label."""
    found = {}
    for category in sorted({c for r in rows for c in r.categories}):
        pairs = list(known(rows, scores, category))
        y, s = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
        if y.sum() >= 10 and (~y).sum() >= 10:
            ap = bootstrap(average_precision, y, s)
            entry = {"n": len(y), "positive": int(y.sum()), "auprc": figures(ap), "auroc": round(auroc(y, s), 4)}
            found[category] = entry
            print(f"      {category}: {y.sum()} of {len(y)}  AUPRC {ap}  AUROC {entry['auroc']:.3f}")
    return found


def thresholds(rows: Sequence[Row], calm: Sequence[str], run: System, policy: Policy) -> dict[str, Any]:
    """Per category and level: threshold, recall, false alarms (labelled rows and ``calm`` texts), precision."""
    rows = [*rows, *(Row(t, False, {}) for t in calm)]
    scores = run([r.text for r in rows])
    found: dict[str, Any] = {}
    print(f"\nthe default policy's thresholds, category by category ({len(rows)} texts of all sets together)")
    for category in sorted({c for s in scores for c in s}):
        pairs = list(known(rows, scores, category))
        y, s = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
        rule = policy.rule(category, Modality.TEXT, Stage.PROMPT)
        entry: dict[str, Any] = {"positive": int(y.sum()), "negative": int((~y).sum())}
        for level, threshold in (("review", rule.review), ("block", rule.block)):
            hit = s >= threshold
            recall, alarms = share(int((hit & y).sum()), int(y.sum())), share(int((hit & ~y).sum()), int((~y).sum()))
            entry[level] = {
                "threshold": threshold,
                "recall": figures(recall) if y.any() else None,
                "precision": round(float((hit & y).sum() / hit.sum()), 4) if y.any() and hit.any() else None,
                "false_alarms": figures(alarms),
            }
            print(f"  {category} {level:6} {threshold:.2f}  recall {recall}  false alarms {alarms}")
        found[category] = entry
    return found


def reliability(rows: Sequence[Row], run: System) -> dict[str, Any]:
    """Ten bins of the any-category score: mean score against the share that is harmful; expected calibration error."""
    top = np.array([any_score(s) for s in run([r.text for r in rows])])
    labels = np.array([bool(r.harmful) for r in rows])
    bins = []
    print("\nreliability over all sets (any category)")
    for i in range(10):
        inside = (top >= i / 10) & (top < (i + 1) / 10 if i < 9 else top <= 1.0)
        if inside.any():
            bins.append(
                [round(float(top[inside].mean()), 3), round(float(labels[inside].mean()), 3), int(inside.sum())]
            )
            score, harmful, count = bins[-1]
            print(f"  score {score:.2f}  harmful {harmful:.2f}  {'#' * round(40 * harmful):40} {count}")
    error = sum(abs(a - b) * n for a, b, n in bins) / max(1, len(rows))
    print(f"  expected calibration error {error:.3f}")
    return {"bins_score_harmful_n": bins, "expected_calibration_error": round(error, 4)}
