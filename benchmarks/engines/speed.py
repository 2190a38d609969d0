"""smollm2 beside llama.cpp: each topic is written plain, marked and by llama.cpp in turn, so that one run compares.

Processor time, not wall time, decides: other work on the machine slows all three alike.
"""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from benchmarks.engines import llama
from gensafe.core.ports import Backend, SamplingMark
from gensafe.core.types import Draft, GenerationJob, Modality, Parameters
from gensafe.engines.process import ProcessBackend
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
KEY: Final = bytes(range(32))


def job(number: int) -> GenerationJob:
    """The ``number``-th text: a topic, its seed, ``TOKENS`` tokens at temperature 0.8."""
    prompt = f"Write a long text about {TOPICS[number % len(TOPICS)]}."
    return GenerationJob(prompt, Modality.TEXT, (), number, TOKENS, parameters=Parameters(temperature=0.8))


def write(backend: Backend, one: GenerationJob, mark: SamplingMark | None = None) -> Draft:
    """Run a job to its end."""
    draft = list(backend.generate(one, mark, lambda: False))[-1]
    assert isinstance(draft, Draft)
    return draft


def measure() -> dict[str, Any]:
    """Tokens a second of processor time of the three, their ratios, and the memory of the engine's own process."""
    backend, mark = smollm2.create({}), SamplingScheme().sampler(KEY)
    rates: dict[str, list[float]] = {"plain": [], "marked": [], "llama_cpp": []}
    walls: list[float] = []
    with ExitStack() as opened:
        other = opened.enter_context(llama.server(find_weights())) if llama.name() else None
        for number in range(len(TOPICS) + 1):
            round_ = {}
            for kind, which in (("plain", None), ("marked", mark)):
                began, cpu = time.perf_counter(), time.process_time()
                tokens = write(backend, job(number), which).record.tokens
                round_[kind] = tokens / (time.process_time() - cpu)
                if kind == "plain" and number:
                    walls.append(tokens / (time.perf_counter() - began))
            if other:
                tokens, spent = other.write(job(number).prompt, number, TOKENS)
                round_["llama_cpp"] = tokens / spent
            if number:  # the first warms up
                for kind, rate in round_.items():
                    rates[kind].append(rate)
    ratios = [theirs / ours for theirs, ours in zip(rates["llama_cpp"], rates["plain"], strict=False)]
    return {
        "texts": len(TOPICS),
        "tokens_each": TOKENS,
        "tokens_per_cpu_second": {kind: _middle(each) for kind, each in rates.items() if each},
        "tokens_per_second": _middle(walls),
        "llama_cpp": llama.name() or "not installed",
        "llama_cpp_over_smollm2": _middle(ratios) if ratios else None,
        "resident_mb": _resident(),
    }


def _middle(values: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(values), 2), "low": round(min(values), 2), "high": round(max(values), 2)}


def _resident() -> int:
    """Of the engine's own process after one text, in MiB."""
    isolated = ProcessBackend("smollm2", {})
    try:
        write(isolated, job(1))
        lines = Path(f"/proc/{isolated.pid}/status").read_text("ascii").splitlines()
    finally:
        isolated.close()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024
