"""Processor time of each classifier, one thread."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.text_measures.data import contrastive
from gensafe.core.ports import Classifier
from gensafe.core.types import Stage, Text


def latency(classifiers: Sequence[Classifier]) -> dict[str, Any]:
    """Processor milliseconds per sentence and per about 100 words, median and 99 %; no text is seen twice."""
    rows = [r["text"] for r in contrastive("train")]
    single, long = rows[:200], [" ".join(rows[i : i + 9]) for i in range(200, 470, 9)]
    found = {}
    print("\nprocessor time, ms (median / 99 %)")
    for classifier in classifiers:
        classifier.assess(Text("warm up"), Stage.STANDALONE)
        entry = {}
        for name, texts in (("sentence", single), ("100_words", long)):
            times = []
            for text in texts:
                begin = time.thread_time()
                classifier.assess(Text(text), Stage.STANDALONE)
                times.append((time.thread_time() - begin) * 1000)
            entry[name] = [round(float(np.median(times)), 3), round(float(np.quantile(times, 0.99)), 3)]
        found[classifier.name] = entry
        print(f"  {classifier.name:16} sentence {entry['sentence']}  about 100 words {entry['100_words']}")
    return found
