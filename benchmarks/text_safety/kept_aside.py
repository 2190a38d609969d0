"""Every evaluation set of the data folder: what no weight, threshold or rule may be chosen on.

usage: python -m benchmarks.text_safety.kept_aside [--json FILE] [--limit N]

Three kinds of figures: ranking and operating points of English sets with both kinds of label; the share of benign texts
that is stopped and of harmful texts that passes, where a set has only one kind; and for other languages how much is
said to be not covered, how much is stopped, and what passes although it is harmful.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.common.metrics import auroc, share
from benchmarks.common.places import RESULTS, ROOT
from benchmarks.text_safety.accuracy import DEFAULT, figures, measure
from benchmarks.text_safety.data import SAFETY_TEXT, contrastive, default_sets, drawn, passages
from benchmarks.text_safety.sets import OPENAI, Row, objects
from benchmarks.text_safety.systems import Stack, System, any_score, baselines, default_stack, flagged
from gensafe.safety.policy import PRESETS, Policy, load_policy

RESULT: Final = RESULTS / "text_safety" / "kept_aside.json"
CACHE: Final = ROOT / "build" / "text_features.sqlite"
LIMIT: Final = 500  # rows a set: an interval of about 4 points; the machine that measures has two cores
HATECHECK: Final = ("spanish", "italian", "dutch", "portuguese")
JAILS: Final = {"it": "Italian", "vi": "Vietnamese", "ar": "Arabic", "ko": "Korean"}
_TOLD_BR: Final = ("homophobia", "obscene", "insult", "racism", "misogyny", "xenophobia")


def ranked_sets(shared: Path) -> dict[str, list[Row]]:
    """English sets with both kinds of label."""
    held = shared / "eval"
    sets = {"public moderation set, part": _moderation(held / "openai_moderation_part" / "part.jsonl")}
    sets |= {n: r for n, r in default_sets(shared).items() if n != "contrastive test"}
    valid = json.loads((held / "injection" / "valid.json").read_text(encoding="utf-8"))
    sets["injection, labelled"] = [
        Row(r["prompt"], str(r["label"]) == "1", {"jbk": str(r["label"]) == "1"})
        for r in valid
        if r["prompt"].isascii()
    ]
    asks = [Row(r["goal"], True, {}) for r in objects(held / "pair_behaviours" / "harmful_behaviors_custom.csv")]
    calm = [r for r in sets["do-not-answer v everyday"] if not r.harmful]
    sets["harmful behaviours v everyday"] = asks + drawn(calm, 300)
    return sets


def one_sided(shared: Path) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """(benign, harmful) English texts of sets with one kind of label."""
    held = shared / "eval"
    talk = [r["prompt"] for n in ("one", "two") for r in objects(held / "injection" / f"NotInject_{n}.json")]
    benign = {
        "benign prompts with words of injections": [t for t in talk if t.isascii()],
        "passages of a novel": passages(held / "benign_books" / "3261.txt", 300, seed=31),
    }
    harmful = {
        f"do-not-answer, {n.replace('_', ' ')}": [r["prompt"] for r in objects(held / "do_not_answer" / f"{n}.jsonl")]
        for n in ("malicious_uses", "discrimination_exclusion_toxicity_hateful_offensive", "information_hazard")
    }
    harmful["harmful behaviours"] = [
        r["goal"] for r in objects(held / "pair_behaviours" / "harmful_behaviors_custom.csv")
    ]
    return benign, harmful


def other_languages(shared: Path) -> dict[str, list[Row]]:
    """Sets in other languages; the first two or three words of the functional tests as sets of their own."""
    held = shared / "eval"
    found: dict[str, list[Row]] = {}
    for name in HATECHECK:
        rows = [
            Row(r["text"], r["label"] == "hateful", {})
            for r in objects(held / "multilingual_hatecheck" / f"{name}.csv")
        ]
        found[f"hate tests, {name.capitalize()}"] = rows
        found[f"hate tests, {name.capitalize()}, first three words"] = _first_words(rows, 3)
        found[f"hate tests, {name.capitalize()}, first two words"] = _first_words(rows, 2)
    for code, name in JAILS.items():
        found[f"harmful prompts, {name}"] = [
            Row(r["text"], True, {}) for r in objects(held / "multijail" / "multijail.csv") if r["language"] == code
        ]
    korean = (held / "ko_hate" / "dev.tsv").read_text(encoding="utf-8").splitlines()[1:]
    cells = [line.split("\t") for line in korean]
    found["comments, Korean"] = [Row(c[0], c[3] in ("hate", "offensive"), {}) for c in cells if len(c) == 4]
    found["posts, Brazilian Portuguese"] = [
        Row(r["text"], any(float(r[k] or 0) >= 2 for k in _TOLD_BR), {})
        for r in objects(held / "pt_told_br" / "ToLD-BR.csv")
    ]
    return found


def _first_words(rows: Sequence[Row], count: int) -> list[Row]:
    texts = dict.fromkeys(" ".join(r.text.split()[:count]) for r in rows if len(r.text.split()) > count)
    return [Row(t, False, {}) for t in texts]


def _moderation(path: Path) -> list[Row]:
    """Several columns of the set are one category here; an empty label is not known."""
    rows = []
    for item in objects(path):
        known: dict[str, bool] = {}
        for column, category in OPENAI.items():
            if item.get(column) is not None:
                known[category] = known.get(category, False) or bool(item[column])
        rows.append(Row(item["prompt"], any(known.values()), known))
    return rows


def measured(shared: Path, stack: Stack, policy: Policy, systems: Mapping[str, System], limit: int) -> dict[str, Any]:
    """All figures of ``stack`` under ``policy``; ``systems`` are ranked beside it."""
    out: dict[str, Any] = {"limit": limit, "policy": policy.digest, "sets": {}, "benign": {}, "harmful": {}}
    for name, rows in ranked_sets(shared).items():
        out["sets"][name] = measure(name, drawn(rows, limit), {DEFAULT: stack, **systems}, policy)
    benign, harmful = one_sided(shared)
    for kind, sets in (("benign", benign), ("harmful", harmful)):
        for name, texts in sets.items():
            out[kind][name] = _stopped(name, drawn([Row(t, None, {}) for t in texts], limit), stack, policy)
    out["languages"] = {
        name: _language(name, drawn(rows, limit // 2), stack, policy) for name, rows in other_languages(shared).items()
    }
    return out


def presets(shared: Path, stack: Stack, limit: int) -> dict[str, Any]:
    """What each preset costs and catches: English texts of the sets kept aside, and the contrastive test split."""
    harmless: list[str] = []
    harmful: list[str] = []
    for rows in ranked_sets(shared).values():
        for row in drawn(rows, limit // 2):
            (harmful if row.harmful else harmless).append(row.text)
    groups = {
        "harmless texts of the sets": harmless,
        "harmful texts of the sets": harmful,
        "look-alikes (contrastive test)": [r["text"] for r in contrastive() if not r["labels"]],
        "their unsafe twins": [r["text"] for r in contrastive() if r["labels"]],
    }
    out: dict[str, Any] = {}
    for preset in PRESETS:
        print(preset)
        policy = load_policy(preset)
        out[preset] = {n: _stopped(n, [Row(t, None, {}) for t in texts], stack, policy) for n, texts in groups.items()}
    return out


def _stopped(name: str, rows: Sequence[Row], stack: Stack, policy: Policy) -> dict[str, Any]:
    scores = stack([r.text for r in rows])
    held, blocked = (share(sum(flagged(s, policy, k) for s in scores), len(rows)) for k in ("review", "block"))
    print(f"  {name:60} {len(rows):4}  held or blocked {held}  blocked {blocked}")
    return {"n": len(rows), "held_or_blocked": figures(held), "blocked": figures(blocked)}


def _language(name: str, rows: Sequence[Row], stack: Stack, policy: Policy) -> dict[str, Any]:
    scores = stack([r.text for r in rows])
    labels = np.array([bool(r.harmful) for r in rows])
    noted = share(sum(s.get("unc", 0.0) >= 0.5 for s in scores), len(rows))
    blocked = share(sum(flagged(s, policy, "block") for s in scores), len(rows))
    passed = share(sum(not flagged(s, policy, "review") for s in scores), len(rows))
    top = np.array([any_score(s) for s in scores])
    rank = round(auroc(labels, top), 3) if labels.any() and not labels.all() else None
    print(f"  {name:44} {len(rows):4}  not covered {noted}  blocked {blocked}  passed {passed}  AUROC {rank}")
    return {
        "n": len(rows),
        "reported_as_not_covered": figures(noted),
        "blocked": figures(blocked),
        "passed": figures(passed),
        "auroc": rank,
    }


def main() -> int:
    """Measure the shipped policy and write."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.text_safety.kept_aside", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--json", type=Path, default=RESULT)
    parser.add_argument("--limit", type=int, default=LIMIT)
    parser.add_argument("--policy", type=Path)
    parser.add_argument("--shared", type=Path, default=SAFETY_TEXT)
    args = parser.parse_args()
    random.seed(0)
    policy = load_policy(args.policy)
    stack = default_stack(policy, CACHE)
    out = measured(args.shared, stack, policy, baselines(args.shared), args.limit)
    out["presets"] = presets(args.shared, stack, args.limit)
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(out, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
