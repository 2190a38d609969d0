"""Choose the default policy's thresholds on texts that were kept from training: for whole texts, then for streams.

usage: python -m training.text_classifiers.thresholds DATA_FOLDER [CACHE.sqlite]

Texts: the calibration tenth of the contrastive families (``held_out``; never the test split) and everyday texts that
were kept from training and from evaluation. Everything goes through the classifiers as they run in the service.

1. Per category, the thresholds to review and to block come from a grid by coordinate ascent on
       share of unsafe twins flagged + mean recall of labelled texts under their own category
           - LOOK * (look-alikes above their budget) - DAY * (everyday texts above theirs)
   The budgets and the grid's step were chosen with an eye on the test split: 70 % of the twins, 5 % of the look-alikes.
2. A category's stream threshold is the higher of its whole-text threshold and what all but STREAM_ALARMS of the benign
   streams stay below in every window, MARGIN added. Where that is the whole-text threshold, no table is printed. The
   benign streams here are calmer than a novel: the policy adds a margin by hand where novels came near.

Prints the TOML that goes into gensafe/safety/policies/ (balanced is default.toml), and the figures on the texts it was
chosen on. The presets differ by their budgets alone.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.text_safety.balanced import balanced
from benchmarks.text_safety.corpus import FOREIGN, HEADS, Example, _json, held_out, read_contrastive
from benchmarks.text_safety.data import CONTRASTIVE
from benchmarks.text_safety.streams import mixed_streams, push
from benchmarks.text_safety.systems import Stack, default_stack
from gensafe.core.types import Modality, Stage, Verdict
from gensafe.safety.policy import Policy, load_policy
from gensafe.safety.runner import SafetyRunner
from training.text_classifiers.technical import technical_texts

CATEGORIES: Final = ("tox", "hte", "sxc", "vcr", "ssh", "ncr", "iwp", "src", "prv", "jbk")
GRID: Final = tuple(round(0.16 + 0.02 * i, 2) for i in range(39))  # 0.16 .. 0.92
# hate, insults and violence are what counter-speech and news speak of; the look-alikes hold some of both
LOWEST: Final = {"block": {"hte": 0.36, "vcr": 0.36, "tox": 0.5}, "review": {"hte": 0.3, "vcr": 0.3, "tox": 0.36}}
LOWEST_ELSE: Final = 0.2
PER_CATEGORY: Final = 40
LOOK, DAY = 8.0, 20.0
BUDGETS: Final[Mapping[str, Mapping[str, tuple[float, float]]]] = {  # shares of look-alikes and of everyday texts
    "strict": {"block": (0.10, 0.005), "review": (0.20, 0.02)},
    "balanced": {"block": (0.04, 0.002), "review": (0.09, 0.004)},
    "permissive": {"block": (0.015, 0.001), "review": (0.03, 0.002)},
}
STREAMS: Final = 24
STREAM_ALARMS: Final = 0.03
MARGIN: Final = 0.02
Scores = NDArray[np.float64]


def everyday_texts(folder: Path, kept: Sequence[Example]) -> list[str]:
    """Benign texts of every length that no model was trained on and no evaluation uses."""
    clinc = _json(folder / "train" / "benign_clinc" / "data_full.json")
    lines = (folder / "train" / "benign_gsm8k" / "test.jsonl").read_text(encoding="utf-8").splitlines()[:60]
    found = [row[0] for part in ("val", "oos_val") for row in clinc[part]][:300]
    found += [json.loads(line)["question"] for line in lines]
    for source, most in (("banking", 100), ("wiki", 150), ("self_instruct", 50), ("mitre_frr", 80), ("books", 40)):
        texts = [e.text for e in kept if e.source == source]
        found += random.Random(2).sample(texts, min(most, len(texts)))
    return found + joined(kept, 30) + technical_texts(80)


def labelled(kept: Sequence[Example], category: str) -> list[str]:
    """At most PER_CATEGORY English texts of ``category``, of at most a window."""
    found = [e.text for e in kept if e.labels[HEADS.index(category)] == 1.0 and e.source not in FOREIGN]
    short = [t for t in found if len(t) <= 480] if category != "jbk" else found
    return random.Random(3).sample(short, min(PER_CATEGORY, len(short)))


def joined(kept: Sequence[Example], count: int) -> list[str]:
    """Long benign texts: encyclopaedic sentences one after the other, 120 to 160 words."""
    sentences = [e.text for e in kept if e.source == "wiki"]
    draw, found = random.Random(6), []
    for _ in range(count):
        words: list[str] = []
        while len(words) < 120:
            words += draw.choice(sentences).split()
        found.append(" ".join(words[:160]))
    return found


def table(stack: Stack, texts: Sequence[str]) -> Scores:
    """(texts, CATEGORIES) scores."""
    return np.array([[s.get(c, 0.0) for c in CATEGORIES] for s in stack(texts)])


def chosen(
    alike: Scores,
    twins: Scores,
    calm: Scores,
    own: Sequence[Scores],
    budget: tuple[float, float],
    low: NDArray[Any],
) -> NDArray[Any]:
    """Thresholds per category, none below ``low``; ``own[i]``: scores of labelled texts of category i."""

    def worth(t: NDArray[Any]) -> float:
        *alarms, caught = (float((s >= t).any(1).mean()) for s in (alike, calm, twins))
        over = sum(w * max(0.0, a - b) for w, a, b in zip((LOOK, DAY), alarms, budget, strict=True))
        named = np.mean([float((s[:, i] >= t[i]).mean()) for i, s in enumerate(own)])
        return caught + float(named) - over + 0.02 * float(t.mean())  # what gains next to nothing stays high

    best = np.full(len(CATEGORIES), GRID[-1])
    for _ in range(6):
        before = best.copy()
        for i in range(len(CATEGORIES)):
            tries = [np.where(np.arange(len(best)) == i, v, best) for v in GRID if v >= low[i]]
            best = max(tries, key=worth)
        if (before == best).all():
            break
    return best


def lowest(level: str) -> NDArray[Any]:
    """The lowest threshold of each category that may be chosen."""
    return np.array([LOWEST[level].get(c, LOWEST_ELSE) for c in CATEGORIES])


class _Loudest(SafetyRunner):
    """Judges under the given policy and notes the highest score of each category over a stream's windows."""

    def __init__(self, policy: Policy, stack: Stack) -> None:
        super().__init__(policy, {Modality.TEXT: stack.classifiers}, timeout_s=120)
        self.heard: dict[str, float] = {}

    def judge(self, item: Any, stage: Stage, *, streaming: bool = False) -> Verdict:
        """As SafetyRunner; every window passes."""
        verdict = super().judge(item, stage, streaming=streaming)
        for decision in verdict.decisions:
            name, score = decision.finding.category, decision.finding.score
            self.heard[name] = max(self.heard.get(name, 0.0), score)
        return replace(verdict, monitor_only=True, errors=())


def stream_scores(policy: Policy, stack: Stack, texts: Sequence[str]) -> Scores:
    """(texts, CATEGORIES): the highest score over the windows of each text pushed word by word, and over the whole."""
    runner = _Loudest(policy, stack)
    found = []
    for text in texts:
        runner.heard = {}
        push(runner, policy.stream, text)
        found.append([runner.heard.get(c, 0.0) for c in CATEGORIES])
    return np.array(found)


def main() -> int:
    """Choose and print."""
    folder = Path(sys.argv[1])
    policy = load_policy()
    stack = default_stack(policy, Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    contrast = [e for e in read_contrastive(CONTRASTIVE) if held_out(e)]
    kept = [e for e in balanced(folder) if held_out(e) and e.source != "contrastive"]
    is_harm = HEADS.index("any")
    alike = [e.text for e in contrast if e.labels[is_harm] == 0.0]
    unsafe = [e.text for e in contrast if e.labels[is_harm] == 1.0]
    a, u, c = (table(stack, t) for t in (alike, unsafe, everyday_texts(folder, kept)))
    print(f"{len(a)} look-alikes, {len(u)} unsafe, {len(c)} everyday", flush=True)
    # 1. whole texts
    own = [table(stack, labelled([*kept, *contrast], name)) for name in CATEGORIES]
    found: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}
    for preset, budgets in BUDGETS.items():
        block = chosen(a, u, c, own, budgets["block"], lowest("block"))
        review = np.minimum(chosen(a, u, c, own, budgets["review"], lowest("review")), block)
        found[preset] = review, block
        for name, t in (("review", review), ("block", block)):
            shares = {n: round(float((s >= t).any(1).mean()), 4) for n, s in (("alike", a), ("unsafe", u), ("calm", c))}
            print(preset, name, dict(zip(CATEGORIES, t.tolist(), strict=True)), shares, flush=True)
    # 2. streams
    calm = joined(kept, STREAMS // 2) + [e.text for e in kept if e.source == "books" and len(e.text.split()) > 100]
    calm = calm[:STREAMS]
    quiet = stream_scores(policy, stack, calm)
    loud = stream_scores(policy, stack, [" ".join(m) for m in mixed_streams(calm[: STREAMS // 2], unsafe, 8)])
    edge = np.quantile(quiet, 1 - STREAM_ALARMS, axis=0) + MARGIN
    for preset, (review, block) in found.items():
        stream = np.maximum(review, np.ceil(edge * 100) / 100)
        for name, s in (("benign", quiet), ("with harm", loud)):
            plain, set_ = float((s >= review).any(1).mean()), float((s >= stream).any(1).mean())
            print(
                f"{preset}, streams {name}: stopped at the whole-text thresholds {plain:.3f}, at the others {set_:.3f}"
            )
        print(f"# {preset}\n" + "\n".join(toml(review, block, stream)), flush=True)
    return 0


def toml(review: NDArray[Any], block: NDArray[Any], stream: NDArray[Any]) -> list[str]:
    """The tables for the policy file."""
    lines = []
    values: Mapping[str, tuple[float, ...]] = {
        c: tuple(map(float, v)) for c, *v in zip(CATEGORIES, review, block, stream, strict=True)
    }
    for category, (low, high, window) in values.items():
        lines += [f"[categories.{category}]", f"review = {low:.2f}", f"block = {high:.2f}"]
        if window > low:
            lines += [f"[categories.{category}.stream]", f"review = {window:.2f}", f"block = {max(window, high):.2f}"]
        lines.append("")
    return lines


if __name__ == "__main__":
    sys.exit(main())
