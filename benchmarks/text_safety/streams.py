"""What leaks out of a stream before it is stopped, what benign streams suffer, and what a word costs."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.common.metrics import share
from benchmarks.text_safety.accuracy import figures
from benchmarks.text_safety.data import contrastive, passages
from benchmarks.text_safety.systems import Stack
from gensafe.core import plugins
from gensafe.core.errors import SafetyBlocked
from gensafe.core.types import Modality, Stage, Verdict
from gensafe.safety.cards import WEIGHTS
from gensafe.safety.policy import Policy
from gensafe.safety.rule import StreamParameters
from gensafe.safety.runner import SafetyRunner
from gensafe.safety.streaming import StreamGate
from gensafe.safety.wordpiece import WordPiece

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
    wrong = [bool(push(runner, usual, t)[2]) for t in calm[count:]]
    stopped = share(sum(wrong), len(wrong))
    each, token = _cost(policy, calm[:TIMED])
    print(f"  benign streams stopped: {stopped};  {each:.2f} ms a word, {token:.2f} ms a token")
    return {
        "table": table,
        "benign_streams": len(wrong),
        "benign_stopped": figures(stopped),
        "ms_per_word": round(each, 2),
        "ms_per_token": round(token, 2),
    }


def _like(usual: StreamParameters, hold: int, step: int) -> StreamParameters:
    """The policy's parameters with another hold-back; the window grows where it must."""
    window = max(usual.window_words, (hold + 2 * step) * 4 // 3 + 2)
    return StreamParameters(window, hold, step, usual.hold_back_sentences)


def _leaks(runner: SafetyRunner, parameters: StreamParameters, mixed: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    """Streams stopped before their harm was even pushed are counted by themselves: those were false alarms."""
    row = {
        "hold_back": parameters.hold_back_words, "step": parameters.step_words, "window": parameters.window_words,
        "streams": len(mixed), "caught": 0, "zero_leak": 0, "only_at_the_end": 0, "words_leaked": 0, "too_early": 0,
    }  # fmt: skip
    for before, bad, after in mixed:
        released, pushed, how = push(runner, parameters, f"{before} {bad} {after}")
        if how and pushed <= len(before) + 1:
            row["too_early"] += 1
        elif how:
            leaked = len(bad[: max(0, released - len(before) - 1)].split())
            row["caught"] += 1
            row["only_at_the_end"] += how == "end"
            row["words_leaked"] += leaked
            row["zero_leak"] += leaked == 0
    print(
        f"  hold-back {row['hold_back'] or 'all'}, step {row['step']}: {row['caught']}/{len(mixed)} caught, no leaked "
        f"word {row['zero_leak']}, only at the end {row['only_at_the_end']}, stopped before the harm {row['too_early']}"
    )
    return row


def push(runner: SafetyRunner, parameters: StreamParameters, text: str) -> tuple[int, int, str]:
    """(characters that had left, characters that were pushed when it was stopped, "" | "stream" | "end")."""
    gate = StreamGate(runner, parameters)
    pushed = 0
    try:
        for word in re.findall(r"\S+\s*", text):
            pushed += len(word)
            gate.push(word)
    except SafetyBlocked:
        return gate.released, pushed, "stream"
    try:
        gate.finish()
    except SafetyBlocked:
        return gate.released, pushed, "end"
    return gate.released, pushed, ""


def _cost(policy: Policy, texts: Sequence[str]) -> tuple[float, float]:
    """Processor ms a word and a token of streams, the judgement at the end included; nothing kept from before."""
    stack = [plugins.load("gensafe.classifiers", n) for n in policy.classifiers[Modality.TEXT]]
    runner = SafetyRunner(policy, {Modality.TEXT: stack}, timeout_s=120)
    pieces = WordPiece((WEIGHTS / "text_encoder.vocab.txt").read_text(encoding="utf-8").splitlines())
    words = sum(len(t.split()) for t in texts)
    tokens = sum(len(pieces.encode(t)) for t in texts)
    begin = time.process_time()
    for text in texts:
        push(runner, policy.stream, text)
    spent = (time.process_time() - begin) * 1000
    return spent / words, spent / tokens
