"""What leaks out of a stream before it is stopped, what benign streams suffer, and what a word costs."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.metrics import share
from benchmarks.text_measures.accuracy import figures
from benchmarks.text_measures.data import contrastive, passages
from benchmarks.text_measures.systems import Stack
from gensafe.core import plugins
from gensafe.core.errors import SafetyBlocked
from gensafe.core.types import Modality, Stage, Verdict
from gensafe.safety.policy import Policy
from gensafe.safety.rule import StreamParameters
from gensafe.safety.runner import SafetyRunner
from gensafe.safety.streaming import StreamGate

HARM: Final = frozenset(("vcr", "hte", "sxc", "ssh", "tox", "iwp", "ncr"))
HOLD_BACKS: Final = (0, 20, 40, 60, 100)
STEPS: Final = (5, 10, 20)
TIMED: Final = 6  # streams


class _Remembering(SafetyRunner):
    """Judges each text once, so that several hold-backs can be compared on the same streams."""

    def __init__(self, policy: Policy, stack: Stack) -> None:
        super().__init__(policy, {Modality.TEXT: stack.classifiers}, timeout_s=120)
        self.memory: dict[tuple[str, bool], Verdict] = {}

    def judge(self, item: Any, stage: Stage, *, streaming: bool = False) -> Verdict:
        """As SafetyRunner, with a memory."""
        key = (item.text, streaming)
        if key not in self.memory:
            self.memory[key] = super().judge(item, stage, streaming=streaming)
        return self.memory[key]


def mixed_streams(calm: Sequence[str], unsafe: Sequence[str], seed: int = 5) -> Iterator[tuple[str, str, str]]:
    """(before, two unsafe sentences, after): passages of a novel into which something is put."""
    draw = random.Random(seed)
    for text in calm:
        words = text.split()
        at = draw.randrange(5, len(words) - 10)
        yield " ".join(words[:at]), draw.choice(unsafe) + " " + draw.choice(unsafe), " ".join(words[at:])


def streams(shared: Path, policy: Policy, stack: Stack, count: int) -> dict[str, Any]:
    """The leak table by hold-back and step, benign streams stopped, processor time per word."""
    calm = passages(shared / "eval" / "benign_books" / "3261.txt", 4 * count, 120, 160, 21)
    unsafe = [r["text"] for r in contrastive() if set(r["labels"]) & HARM]
    mixed = list(mixed_streams(calm[:count], unsafe))
    runner = _Remembering(policy, stack)
    usual = policy.stream
    print("\nstreams: leaks by hold-back and step (words)")
    table = [_leaks(runner, _like(usual, hold, usual.step_words), mixed) for hold in HOLD_BACKS]
    table += [_leaks(runner, _like(usual, usual.hold_back_words, step), mixed) for step in STEPS]
    wrong = [bool(push(runner, usual, t)[1]) for t in calm[count:]]
    stopped = share(sum(wrong), len(wrong))
    each = _cost(policy, calm[:TIMED])
    print(f"  benign streams stopped: {stopped};  {each:.2f} ms a word")
    return {
        "table": table,
        "benign_streams": len(wrong),
        "benign_stopped": figures(stopped),
        "ms_per_word": round(each, 2),
    }


def _like(usual: StreamParameters, hold: int, step: int) -> StreamParameters:
    """The policy's parameters with another hold-back; the window grows where it must."""
    window = max(usual.window_words, (hold + 2 * step) * 4 // 3 + 2)
    return StreamParameters(window, hold, step, usual.hold_back_sentences)


def _leaks(runner: SafetyRunner, parameters: StreamParameters, mixed: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    caught = clean = late = words = 0
    for before, bad, after in mixed:
        text = f"{before} {bad} {after}"
        released, how = push(runner, parameters, text)
        if how:
            caught += 1
            late += how == "end"
            leaked = len(text[len(before) + 1 : released].split())
            words += leaked
            clean += leaked == 0
    row = {
        "hold_back": parameters.hold_back_words, "step": parameters.step_words, "window": parameters.window_words,
        "streams": len(mixed), "caught": caught, "zero_leak": clean, "only_at_the_end": late, "words_leaked": words,
    }  # fmt: skip
    print(
        f"  hold-back {row['hold_back'] or 'all'}, step {row['step']}: {caught}/{len(mixed)} caught, no leaked word "
        f"{clean}, only at the end {late}"
    )
    return row


def push(runner: SafetyRunner, parameters: StreamParameters, text: str) -> tuple[int, str]:
    """(characters that had left when it was stopped, "" | "stream" | "end")."""
    gate = StreamGate(runner, parameters)
    try:
        for word in re.findall(r"\S+\s*", text):
            gate.push(word)
    except SafetyBlocked:
        return gate.released, "stream"
    try:
        gate.finish()
    except SafetyBlocked:
        return gate.released, "end"
    return gate.released, ""


def _cost(policy: Policy, texts: Sequence[str]) -> float:
    """Processor ms a word of streams that pass, the judgement at the end included; nothing kept from before."""
    stack = [plugins.load("gensafe.classifiers", n) for n in policy.classifiers[Modality.TEXT]]
    runner = SafetyRunner(policy, {Modality.TEXT: stack}, timeout_s=120)
    words = 0
    begin = time.process_time()
    for text in texts:
        push(runner, policy.stream, text)
        words += len(text.split())
    return (time.process_time() - begin) * 1000 / words
