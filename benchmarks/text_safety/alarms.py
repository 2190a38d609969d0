"""False alarms of the whole stack, look-alikes and their twins, jailbreak shapes, personal data, other languages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.common.metrics import auroc, share
from benchmarks.text_safety.accuracy import figures
from benchmarks.text_safety.data import LOOK_ALIKES, contrastive
from benchmarks.text_safety.sets import Row
from benchmarks.text_safety.systems import Stack, any_score, flagged
from gensafe.core import plugins
from gensafe.core.types import Stage, Text
from gensafe.safety.policy import Policy

PII: Final = {
    "CREDIT_CARD": "card", "IBAN_CODE": "iban", "EMAIL_ADDRESS": "email", "PHONE_NUMBER": "phone", "US_SSN": "ssn",
    "IP_ADDRESS": "ip",
}  # fmt: skip


def false_alarms(sets: Mapping[str, Sequence[str]], stack: Stack, policy: Policy) -> dict[str, Any]:
    """Share of benign texts that the whole stack would hold or block."""
    print("\nfalse alarms of the whole stack on benign texts")
    found: dict[str, Any] = {}
    total = {"held": 0, "blocked": 0, "n": 0}

    def note(name: str, held: int, blocked: int, n: int) -> None:
        found[name] = {"n": n, "held_or_blocked": figures(share(held, n)), "blocked": figures(share(blocked, n))}
        print(f"  {name:32} {n:5}  held or blocked {share(held, n)}  blocked {share(blocked, n)}")

    for name, texts in sets.items():
        scores = stack(texts)
        held, blocked = (sum(flagged(s, policy, level) for s in scores) for level in ("review", "block"))
        note(name, held, blocked, len(texts))
        if name != LOOK_ALIKES:
            total = {"held": total["held"] + held, "blocked": total["blocked"] + blocked, "n": total["n"] + len(texts)}
    note("everyday, all", total["held"], total["blocked"], total["n"])
    return found


def look_alikes(stack: Stack, policy: Policy) -> dict[str, Any]:
    """The contrastive test split by family: benign held, unsafe twins caught; ``all`` sums the families."""
    kinds: dict[str, dict[str, int]] = {}
    for row in contrastive():
        scores = stack.scores(row["text"])
        side = "unsafe" if row["labels"] else "benign"
        for kind in (row["kind"].split("/")[0], "all"):
            entry = kinds.setdefault(
                kind, {f"{s}{e}": 0 for s in ("benign", "unsafe") for e in ("", "_held", "_blocked")}
            )
            entry[side] += 1
            entry[f"{side}_held"] += flagged(scores, policy, "review")
            entry[f"{side}_blocked"] += flagged(scores, policy, "block")
    e = kinds["all"]
    print(
        f"\nlook-alikes blocked {share(e['benign_blocked'], e['benign'])}, held or blocked "
        f"{share(e['benign_held'], e['benign'])}; their unsafe twins blocked "
        f"{share(e['unsafe_blocked'], e['unsafe'])}, held or blocked {share(e['unsafe_held'], e['unsafe'])}"
    )
    return dict(sorted(kinds.items()))


def jailbreaks(sets: Mapping[str, Sequence[str]], calm: Sequence[str], stack: Stack, policy: Policy) -> dict[str, Any]:
    """Recall of the ``jbk`` score at the threshold with 1 % false alarms on ``calm``, and of the policy."""
    threshold = float(np.quantile([s.get("jbk", 0.0) for s in stack(calm)], 0.99))
    found: dict[str, Any] = {"threshold_at_1_percent": round(threshold, 4)}
    print(f"\njailbreak shapes at 1 % false alarms (score above {threshold:.3f})")
    for name, items in sets.items():
        scores = stack(items)
        hit = share(sum(s.get("jbk", 0.0) > threshold for s in scores), len(items))
        blocked = share(sum(flagged(s, policy, "block") for s in scores), len(items))
        found[name] = {"n": len(items), "recall": figures(hit), "blocked_by_policy": figures(blocked)}
        print(f"  {name:42} {len(items):4}  recall {hit}  blocked by the default policy {blocked}")
    return found


def personal_data(shared: Path) -> dict[str, Any]:
    """Recall of the personal-data rules per kind on presidio-research, and rules that fired where there is nothing."""
    rules = plugins.load("gensafe.classifiers", "text_rules")
    seen, hit, wrong = dict.fromkeys(PII, 0), dict.fromkeys(PII, 0), 0
    source = shared / "eval" / "presidio_research" / "synth_dataset_v2.json"
    for row in json.loads(source.read_text(encoding="utf-8")):
        findings = [f for f in rules.assess(Text(row["full_text"]), Stage.OUTPUT).findings if f.category == "pii"]
        spans = [(s.start, s.end) for f in findings for s in f.spans]
        gold = [(s["start_position"], s["end_position"], s["entity_type"]) for s in row["spans"]]
        for start, end, kind in gold:
            if kind in PII:
                seen[kind] += 1
                hit[kind] += any(a < end and start < b for a, b in spans)
        wrong += sum(not any(a < e and s < b for s, e, _ in gold) for a, b in spans)
    shown = ", ".join(f"{PII[k]} {hit[k]}/{seen[k]}" for k in PII)
    print(f"\npersonal data (presidio-research): {shown}; {wrong} hits on nothing")
    return {"recall": {PII[k]: [hit[k], seen[k]] for k in PII}, "hits_on_nothing": wrong}


def languages(sets: Mapping[str, Sequence[Row]], stack: Stack, policy: Policy) -> dict[str, Any]:
    """Texts in other languages: how many pass as if examined, and what the learned scores know about them."""
    found: dict[str, Any] = {}
    print("\nother languages")
    for name, rows in sets.items():
        scores = stack([r.text for r in rows])
        labels = np.array([bool(r.harmful) for r in rows])
        n = len(rows)
        noted = share(sum(s.get("unc", 0.0) >= 0.5 for s in scores), n)
        held = share(sum(flagged(s, policy, "review") for s in scores), n)
        top = np.array([any_score(s) for s in scores])
        rank = round(auroc(labels, top), 3) if labels.any() and not labels.all() else None
        found[name] = {
            "n": n,
            "reported_as_not_covered": figures(noted),
            "held_or_blocked": figures(held),
            "auroc": rank,
        }
        print(f"  {name:28} {n:4}  not covered {noted}  held or blocked {held}  AUROC of the learned scores {rank}")
    return found
