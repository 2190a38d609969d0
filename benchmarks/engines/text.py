"""smollm2: its speed beside llama.cpp, what the gate adds, and the mark of 200-token texts."""

from __future__ import annotations

from typing import Any, Final

from benchmarks.common.metrics import share
from benchmarks.engines import gate, speed
from benchmarks.engines.speed import KEY, TOKENS
from gensafe.core.types import Text
from gensafe_backends import smollm2
from gensafe_watermark.text import SamplingScheme

AT: Final = 1e-6  # the bound of promise 4
REQUESTS: Final = 10  # through the whole pipeline
OTHER: Final = bytes(range(1, 33))


def measure(count: int) -> dict[str, Any]:
    """All three; ``count`` texts are looked at for their mark."""
    return {"speed": speed.measure(), "gate": gate.measure(min(count, REQUESTS)), "mark": _marks(count)}


def _marks(count: int) -> dict[str, Any]:
    """Write ``count`` texts of full length and look for their mark under the right key and under another."""
    backend, scheme = smollm2.create({}), SamplingScheme()
    tokenizer = backend.tokenizer()
    assert tokenizer is not None
    right: list[float] = []
    wrong: list[float] = []
    seed = 0
    while len(right) < count:
        seed += 1
        draft = speed.write(backend, speed.job(seed), scheme.sampler(KEY))
        if draft.record.tokens < TOKENS:
            continue  # it ended by itself: another length than the one that is measured
        assert isinstance(draft.media, Text)
        ids = tokenizer.encode(draft.media.text)
        right.append(scheme.detect(ids, KEY).p_value)
        wrong.append(scheme.detect(ids, OTHER).p_value)
    return {
        "texts": count,
        "tokens": TOKENS,
        "temperature": 0.8,
        "seeds_tried": seed,
        "at_p": AT,
        "found": share(sum(p < AT for p in right), count),
        "found_with_another_key": share(sum(p < AT for p in wrong), count),
        "largest_p": max(right),
        "smallest_p_with_another_key": min(wrong),
    }
