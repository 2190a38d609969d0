"""Processor time of each classifier, one thread."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from benchmarks.text_safety.data import contrastive
from gensafe.core import plugins
from gensafe.core.ports import Classifier
from gensafe.core.types import Stage, Text
from gensafe.safety.classifiers.text_encoder import TextEncoder

ROUNDS: Final = 3


def latency(names: Sequence[str]) -> dict[str, Any]:
    """Processor milliseconds per sentence and per about 100 words: median and 99 % over the texts.

    A text's time is the shortest of ROUNDS, each by a new instance that remembers nothing: what others do with the
    machine's caches meanwhile is not the classifier's.
    """
    rows = [r["text"] for r in contrastive("train")]
    sets = {"sentence": rows[:150], "100_words": [" ".join(rows[i : i + 9]) for i in range(200, 380, 9)]}
    found = {}
    print("\nprocessor time, ms (median / 99 %)")
    for name in names:
        times = {kind: np.full(len(texts), np.inf) for kind, texts in sets.items()}
        for _ in range(ROUNDS):
            classifier = _fresh(name)
            classifier.assess(Text("warm up"), Stage.STANDALONE)
            for kind, texts in sets.items():
                for i, text in enumerate(texts):
                    begin = time.thread_time()
                    classifier.assess(Text(text), Stage.STANDALONE)
                    times[kind][i] = min(times[kind][i], (time.thread_time() - begin) * 1000)
        entry = {k: [round(float(np.median(t)), 3), round(float(np.quantile(t, 0.99)), 3)] for k, t in times.items()}
        found[name] = entry
        print(f"  {name:16} sentence {entry['sentence']}  about 100 words {entry['100_words']}")
    return found


def _fresh(name: str) -> Classifier:
    made: Classifier = TextEncoder() if name == "text_encoder" else plugins.load("gensafe.classifiers", name)
    return made
