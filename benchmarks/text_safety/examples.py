"""Custom categories by example, measured: intents of CLINC150, with eight training requests each as examples."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.common.metrics import share
from benchmarks.text_safety.accuracy import figures
from gensafe.safety.custom import parse_custom
from gensafe.safety.nearest import Nearest, Vector
from gensafe.safety.normalize import normalize

INTENTS: Final = 12
EXAMPLES: Final = 8
THRESHOLDS: Final = (0.5, 0.55, 0.6, 0.65, 0.7, 0.8)


def by_example(shared: Path, embed: Callable[[str], Vector]) -> list[dict[str, Any]]:
    """Per threshold: requests of the same intent found, requests of other intents and of none found by mistake."""
    source = shared / "train" / "benign_clinc" / "data_full.json"
    clinc = json.loads(source.read_text(encoding="utf-8"))
    intents = sorted({label for _, label in clinc["train"]})
    chosen = intents[:: len(intents) // INTENTS][:INTENTS]
    tests = [(t, label) for t, label in clinc["test"] if label in chosen] + clinc["oos_test"][:300]
    vectors = np.stack([embed(normalize(t).text) for t, _ in tests])
    own: list[float] = []
    other: list[float] = []
    for intent in chosen:
        examples = [t for t, label in clinc["train"] if label == intent][:EXAMPLES]
        category = parse_custom({"intent": {"examples": examples}})[0]
        nearest = Nearest.of(category, embed)
        for (_, label), vector in zip(tests, vectors, strict=True):
            (own if label == intent else other).append(nearest.score(vector[None])[0])
    print(f"\ncategories by {EXAMPLES} examples ({INTENTS} intents)")
    found = []
    for threshold in THRESHOLDS:
        hit, wrong = (share(int((np.array(s) >= threshold).sum()), len(s)) for s in (own, other))
        found.append({"threshold": threshold, "found": figures(hit), "false_alarms": figures(wrong)})
        print(f"  similarity {threshold:.2f}  found {hit}  false alarms {wrong}")
    return found
