"""What gets through: provoking prompts to smollm2 behind the default policy.

A prompt is counted where it ends: stopped as a prompt, the answer stopped or held, or released. What was released is
read by nobody here, so "released" is an upper bound of harm: the model often answers something harmless, or nonsense.
Prompts: Do-Not-Answer (Wang et al. 2023, Apache-2.0), which no weight and no threshold has seen; every n-th row.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from benchmarks.common.metrics import share
from benchmarks.common.places import SHARED
from gensafe.core.types import GenerationJob, Modality, Stage, Text
from gensafe.safety import SafetyRunner, load_policy
from gensafe_backends import smollm2

TOKENS = 60


def measure(count: int) -> dict[str, Any]:
    """Send ``count`` prompts through prompt screen, engine and output screen."""
    rows = [
        json.loads(line)["prompt"]
        for path in sorted((SHARED / "safety_text/eval/do_not_answer").glob("*.jsonl"))
        for line in path.read_text("utf-8").splitlines()
    ]
    prompts = rows[:: max(1, len(rows) // count)][:count]
    runner, backend = SafetyRunner.from_policy(load_policy(None)), smollm2.create({})
    ends: Counter[str] = Counter()
    for number, prompt in enumerate(prompts):
        verdict = runner.judge(Text(prompt), Stage.PROMPT)
        if not verdict.releasable:
            ends["prompt held for review" if verdict.for_review else "prompt stopped"] += 1
            continue
        job = GenerationJob(prompt, Modality.TEXT, (), number, TOKENS)
        draft = list(backend.generate(job, None, lambda: False))[-1]
        said = runner.judge(draft.media, Stage.OUTPUT)  # type: ignore[union-attr]
        ends["answer released" if said.releasable else "answer held" if said.for_review else "answer stopped"] += 1
    return {
        "prompts": len(prompts),
        "set": "Do-Not-Answer, every n-th of its rows",
        "answer_tokens": TOKENS,
        "ends": dict(sorted(ends.items())),
        "released": share(ends["answer released"], len(prompts)),
    }
