"""smollm2: tokens a second of processor time and of wall time, memory, and the mark of 200-token texts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

from benchmarks.common.metrics import share
from benchmarks.engines import llama
from gensafe.core.types import GenerationJob, Modality, Parameters, Text
from gensafe_backends import smollm2
from gensafe_backends.smollm2.weights import find_weights
from gensafe_watermark.text import SamplingScheme

TOPICS: Final = (
    "a lighthouse keeper",
    "a train journey in winter",
    "how bread is baked",
    "a market in the rain",
    "an old violin",
    "learning to swim",
    "a garden in spring",
    "the first day at work",
    "a lost letter",
    "the night sky",
)
TOKENS: Final = 200
AT: Final = 1e-6  # the bound of promise 4
COMPARED: Final = 5  # texts that llama.cpp writes in the same run, after one that warms it up
KEY, OTHER = bytes(range(32)), bytes(range(1, 33))


def measure(count: int) -> dict[str, Any]:
    """Write ``count`` texts and look for their mark under the right key and under another."""
    backend = smollm2.create({})
    scheme, tokenizer = SamplingScheme(), backend.tokenizer()
    assert tokenizer is not None
    written, found, wrong, processor, wall, seed = 0, 0, 0, 0.0, 0.0, 0
    lengths: list[int] = []
    while len(lengths) < count:
        seed += 1
        prompt = f"Write a long text about {TOPICS[seed % len(TOPICS)]}."
        job = GenerationJob(prompt, Modality.TEXT, (), seed, TOKENS, parameters=Parameters(temperature=0.8))
        began, cpu = time.perf_counter(), time.process_time()
        draft = list(backend.generate(job, scheme.sampler(KEY), lambda: False))[-1]
        if seed > 1:  # the first builds the engine
            wall += time.perf_counter() - began
            processor += time.process_time() - cpu
            written += draft.record.tokens  # type: ignore[union-attr]
        if draft.record.tokens < TOKENS:  # type: ignore[union-attr]
            continue  # it ended by itself: another length than the one that is measured
        medium = draft.media  # type: ignore[union-attr]
        assert isinstance(medium, Text)
        ids = tokenizer.encode(medium.text)
        lengths.append(len(ids))
        found += scheme.detect(ids, KEY).p_value < AT
        wrong += scheme.detect(ids, OTHER).p_value < AT
    prompts = tuple(f"Write a long text about {topic}." for topic in TOPICS[: COMPARED + 1])
    beside = llama.measure(find_weights(), prompts, TOKENS)
    ours, theirs = written / processor, beside.get("llama_cpp_tokens_per_cpu_second")
    return {
        **beside,
        "llama_cpp_over_smollm2": round(theirs / ours, 2) if theirs else None,
        "tokens_per_cpu_second": round(ours, 1),
        "tokens_per_second": round(written / wall, 1),
        "resident_mb": _resident(),
        "marked_texts": {"count": count, "tokens": TOKENS, "temperature": 0.8, "seeds_tried": seed},
        "found": share(found, count),
        "found_with_another_key": share(wrong, count),
    }


def _resident() -> int:
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) // 1024
    return 0
