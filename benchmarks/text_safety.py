"""How good the text classifiers are, measured.

usage: python -m benchmarks.text_safety [--data DIR] [--shared DIR] [--limit N] [--json OUT] [--quick]

Without --data: the contrastive test split and, where the shared data folder lies beside the checkout, the evaluation
sets in it (none of them trained on). With --data: any folder of labelled .jsonl/.json/.csv, see benchmarks/text_sets.py
for its form. Prints per set and per category the area under the precision-recall curve with 95 % bootstrap intervals,
beside a word list and alt-profanity-check; the operating points of the default policy; false alarms on benign texts;
latency; calibration; stream leaks.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import re
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.metrics import auroc, average_precision, bootstrap, share
from benchmarks.text_sets import Row, objects, read_folder
from gensafe.core import plugins
from gensafe.core.errors import SafetyBlocked
from gensafe.core.ports import Classifier
from gensafe.core.types import Action, Modality, Stage, Text, Verdict
from gensafe.safety.cards import WEIGHTS
from gensafe.safety.policy import Policy, StreamParameters, load_policy
from gensafe.safety.runner import SafetyRunner
from gensafe.safety.streaming import StreamGate

ROOT: Final = Path(__file__).parents[1]
RESULT: Final = ROOT / "benchmarks" / "results" / "text_safety.json"
CONTRASTIVE: Final = Path(__file__).parent / "text_contrastive" / "contrastive.jsonl"
NOT_HARM: Final = frozenset(("pii", "sec", "unc", "hid"))  # found by rules; not what the labels of these sets mean
Scores = list[dict[str, float]]
_SEEN: dict[tuple[tuple[str, ...], str], dict[str, float]] = {}  # the same text occurs in several measurements


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="benchmarks.text_safety", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, help="a folder of labelled texts")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "data" / "safety_text")
    parser.add_argument("--limit", type=int, default=600, help="rows per set, drawn at random (0 = all)")
    parser.add_argument("--json", type=Path, help=f"where to write; {RESULT.name} in results for the default sets")
    parser.add_argument("--streams", type=int, default=30, help="streams with harm in them; twice as many without")
    parser.add_argument("--cards", action="store_true", help="write the figures into the cards beside the weights")
    parser.add_argument("--quick", action="store_true", help="no baselines, no streams")
    args = parser.parse_args()
    shared = args.shared if args.shared.is_dir() else None
    sets = read_folder(args.data) if args.data else default_sets(shared)
    sets = {name: drawn(rows, args.limit) for name, rows in sets.items()}
    policy = load_policy()
    stack = [plugins.load("gensafe.classifiers", n) for n in policy.classifiers[Modality.TEXT]]
    systems: dict[str, Callable[[Sequence[str]], Scores]] = {
        "default stack": lambda texts: [merged(stack, t) for t in texts],
    }
    screen = [plugins.load("gensafe.classifiers", "text_screen")]
    systems["text_screen alone"] = lambda texts: [merged(screen, t) for t in texts]
    if not args.quick:
        systems.update(baselines(shared))
    out: dict[str, Any] = {
        "version": 2,
        "parameters": {"limit": args.limit, "policy": policy.digest, "sets": {n: len(r) for n, r in sets.items()}},
        "machine": platform.machine(),
        "classifiers": {c.name: c.identity().weights_digest for c in [*stack, *screen]},
    }
    target = args.json or (None if args.data else RESULT)

    def save() -> None:  # after each part: a run that is cut short leaves what it measured
        if target:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(json.dumps(out, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    out["sets"] = {}
    for name, rows in sets.items():
        out["sets"][name] = measure(name, rows, systems, policy)
        save()
    if not args.data:
        calm = {n: t[: args.limit or None] for n, t in benign_sets(shared).items()}
        out["benign"] = false_alarms(calm, stack, policy)
        save()
        out["look_alikes"] = look_alikes(stack, policy)
        if shared:
            out["jailbreak"] = jailbreaks(shared, stack, policy, args.limit or 1500)
            out["pii"] = personal_data(shared)
        save()
    out["calibration"] = reliability([r for rows in sets.values() for r in rows], systems["default stack"])
    out["latency_ms"] = latency([*stack, *screen])
    if not args.quick and not args.data and shared:
        out["streams"] = streams(shared, policy, stack, args.streams)
    save()
    if target:
        print(f"\nwritten to {target.name}")
    if args.cards and not args.data:
        write_cards(out)
    return 0


# --- data ------------------------------------------------------------------------------------------------------------


def default_sets(shared: Path | None) -> dict[str, list[Row]]:
    """The contrastive test split, and the shared evaluation sets."""
    rows = [r for r in objects(CONTRASTIVE) if r["split"] == "test"]
    sets = {"contrastive test": [Row(r["text"], bool(r["labels"]), dict.fromkeys(r["labels"], True)) for r in rows]}
    if shared is None:
        return sets
    held = shared / "eval"
    attributes = {"hte": "identity_attack", "tox": "toxicity", "sxc": "sexually_explicit", "vcr": "threat"}
    found = []
    for part in ("toxic", "nontoxic"):
        for row in objects(held / "realtoxicityprompts_part" / f"{part}.jsonl"):
            for piece in (row["prompt"], row["continuation"]):
                values = {c: piece.get(a) or 0.0 for c, a in attributes.items()}
                top = max(*values.values(), piece.get("insult") or 0.0)
                known = {c: v >= 0.6 for c, v in values.items() if v >= 0.6 or v <= 0.3}
                if top >= 0.6 or top <= 0.3:
                    found.append(Row(piece["text"], top >= 0.6, known))
    sets["RealToxicityPrompts part"] = found
    talk = objects(held / "wikipedia_toxicity" / "toxicity_nonfuzzed_testset.csv")
    sets["Wikipedia talk"] = [Row(r["comment"], r["toxic"] == "True", {"tox": r["toxic"] == "True"}) for r in talk]
    emoji = objects(held / "hatemoji_check" / "check_test.csv")
    sets["HatemojiCheck"] = [Row(r["text"], r["label_gold"] == "1", {"hte": r["label_gold"] == "1"}) for r in emoji]
    fill = objects(held / "madlibs" / "bias_madlibs_77k.csv")
    sets["identity madlibs"] = [Row(r["Text"], r["Label"] == "BAD", {"tox": r["Label"] == "BAD"}) for r in fill]
    names = ("malicious_uses", "discrimination_exclusion_toxicity_hateful_offensive", "information_hazard")
    asks = [r["prompt"] for n in names for r in objects(held / "do_not_answer" / f"{n}.jsonl")]
    calm = benign_sets(shared)
    sets["do-not-answer v everyday"] = [Row(t, True, {}) for t in asks] + [
        Row(t, False, {}) for n in ("requests", "security questions") for t in calm[n]
    ]
    return sets


def benign_sets(shared: Path | None) -> dict[str, list[str]]:
    """Benign texts that no model was trained on."""
    rows = [r for r in objects(CONTRASTIVE) if r["split"] == "test" and not r["labels"]]
    sets = {"look-alikes (contrastive test)": [r["text"] for r in rows]}
    if shared is None:
        return sets
    train = shared / "train"
    clinc = json.loads((train / "benign_clinc" / "data_full.json").read_text(encoding="utf-8"))
    sets["requests"] = [row[0] for part in ("test", "oos_test") for row in clinc[part]][:1500]
    sets["bank questions"] = [r["text"] for r in objects(train / "benign_banking77" / "test.csv")][:500]
    sets["word problems"] = [r["question"] for r in objects(train / "benign_gsm8k" / "test.jsonl")][1100:]
    sets["novel passages"] = passages(shared / "eval" / "benign_books" / "3261.txt", 200)
    frr = json.loads((train / "cyberseceval" / "mitre_frr.json").read_text(encoding="utf-8"))
    sets["security questions"] = [r["mutated_prompt"] for r in frr[1::2]]
    return sets


def passages(path: Path, count: int, low: int = 40, high: int = 160, seed: int = 9) -> list[str]:
    """Random passages of a Project Gutenberg text."""
    text = path.read_text(encoding="utf-8", errors="replace")
    words = text[text.find("*** START") + 80 : text.find("*** END")].split()
    draw = random.Random(seed)
    starts = [(draw.randrange(0, len(words) - high), draw.randint(low, high)) for _ in range(count)]
    return [" ".join(words[a : a + n]) for a, n in starts]


def drawn(rows: list[Row], limit: int) -> list[Row]:
    """At most ``limit`` rows, at random but the same every time."""
    return rows if not limit or len(rows) <= limit else random.Random(3).sample(rows, limit)


# --- systems ---------------------------------------------------------------------------------------------------------


def merged(stack: Sequence[Classifier], text: str) -> dict[str, float]:
    """Category -> highest score over the classifiers."""
    key = (tuple(c.name for c in stack), text)
    if key in _SEEN:
        return _SEEN[key]
    found: dict[str, float] = {}
    for classifier in stack:
        for f in classifier.assess(Text(text), Stage.STANDALONE).findings:
            found[f.category] = max(found.get(f.category, 0.0), f.score)
    _SEEN[key] = found
    return found


def baselines(shared: Path | None) -> dict[str, Callable[[Sequence[str]], Scores]]:
    """A word list (Surge AI's, by severity per word) and alt-profanity-check, where they can be had."""
    found: dict[str, Callable[[Sequence[str]], Scores]] = {}
    if shared is not None:
        rows = objects(shared / "train" / "surge_profanity" / "profanity_en.csv")
        severity = {r["text"].lower(): float(r["severity_rating"] or 1) for r in rows}
        longest = sorted(map(re.escape, severity), key=len, reverse=True)
        pattern = re.compile(r"(?<!\w)(?:" + "|".join(longest) + r")(?!\w)")

        def listed(texts: Sequence[str]) -> Scores:
            return [{"tox": sum(severity[m] for m in pattern.findall(t.lower())) / (5 + len(t.split()))} for t in texts]

        found["word list"] = listed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from profanity_check import predict_prob
    except ImportError:
        return found

    def checked(texts: Sequence[str]) -> Scores:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [{"tox": float(p)} for p in predict_prob(list(texts))]

    found["alt-profanity-check"] = checked
    return found


def any_score(scores: dict[str, float]) -> float:
    """Highest score over the categories of harm."""
    return max((s for c, s in scores.items() if c not in NOT_HARM), default=0.0)


# --- measurements ----------------------------------------------------------------------------------------------------


def measure(name: str, rows: list[Row], systems: dict[str, Any], policy: Policy) -> dict[str, Any]:
    """One set under every system."""
    labels = np.array([bool(r.harmful) for r in rows])
    result: dict[str, Any] = {"n": len(rows), "positive": int(labels.sum())}
    print(f"\n{name}: {len(rows)} texts, {labels.sum()} harmful")
    if labels.all() or not labels.any():
        print("  only one kind of label: no curve")
    for system, run in systems.items():
        scores = run([r.text for r in rows])
        top = np.array([any_score(s) for s in scores])
        entry: dict[str, Any] = {}
        if labels.any() and not labels.all():
            precision = bootstrap(average_precision, labels, top)
            entry["auprc"] = _figures(precision)
            entry["auroc"] = round(auroc(labels, top), 4)
            entry["recall_at_fpr"] = {f: round(recall_at(labels, top, float(f)), 4) for f in ("0.01", "0.05", "0.1")}
            print(
                f"  {system:20} AUPRC {precision}  AUROC {entry['auroc']:.3f}  recall at 1/5/10 % FPR "
                + " / ".join(f"{v:.2f}" for v in entry["recall_at_fpr"].values())
            )
        if system in ("default stack",):
            entry["operating"] = operating(rows, scores, labels, policy)
            entry["categories"] = per_category(rows, scores)
        result[system] = entry
    return result


def recall_at(labels: Any, scores: Any, rate: float) -> float:
    """Recall at the lowest threshold with a false-alarm rate of at most ``rate``."""
    if not (~labels).any():
        return float("nan")
    threshold = np.quantile(scores[~labels], 1 - rate)
    return float((scores[labels] > threshold).mean())


def operating(rows: list[Row], scores: Scores, labels: Any, policy: Policy) -> dict[str, Any]:
    """Precision, recall and false alarms at the default policy's thresholds."""
    found = {}
    for level in ("review", "block"):
        hit = np.array([flagged(s, policy, level) for s in scores])
        recall = share(int((hit & labels).sum()), int(labels.sum()))
        alarms = share(int((hit & ~labels).sum()), int((~labels).sum()))
        precision = float((hit & labels).sum() / max(1, hit.sum()))
        found[level] = {"recall": _figures(recall), "false_alarms": _figures(alarms), "precision": round(precision, 4)}
        print(f"    at the {level} thresholds: recall {recall}  false alarms {alarms}  precision {precision:.3f}")
    return found


def flagged(scores: dict[str, float], policy: Policy, level: str) -> bool:
    """Whether a prompt with these scores would be held or blocked (``level`` review) or blocked (``level`` block)."""
    wanted = (Action.BLOCK,) if level == "block" else (Action.BLOCK, Action.REVIEW)
    return any(policy.rule(c, Modality.TEXT, Stage.PROMPT).decide(s)[2] in wanted for c, s in scores.items())


def per_category(rows: list[Row], scores: Scores) -> dict[str, Any]:
    """Area under the curve of each category that has both kinds of label."""
    found = {}
    for category in sorted({c for r in rows for c in r.categories}):
        pairs = [(r, s) for r, s in zip(rows, scores, strict=True) if category in r.categories or r.harmful is False]
        known = [(bool(r.categories.get(category, False)), s.get(category, 0.0)) for r, s in pairs]
        y, s = np.array([k[0] for k in known]), np.array([k[1] for k in known])
        if y.sum() >= 10 and (~y).sum() >= 10:
            ap = bootstrap(average_precision, y, s)
            found[category] = {
                "n": len(y),
                "positive": int(y.sum()),
                "auprc": _figures(ap),
                "auroc": round(auroc(y, s), 4),
            }
            print(f"      {category}: {y.sum()} of {len(y)}  AUPRC {ap}  AUROC {found[category]['auroc']:.3f}")
    return found


def false_alarms(sets: dict[str, list[str]], stack: Sequence[Classifier], policy: Policy) -> dict[str, Any]:
    """Share of benign texts that the whole stack would hold or block."""
    print("\nfalse alarms of the whole stack on benign texts")
    found: dict[str, Any] = {}
    everyday = [0, 0, 0]
    for name, texts in sets.items():
        scores = [merged(stack, t) for t in texts]
        held, blocked = (sum(flagged(s, policy, level) for s in scores) for level in ("review", "block"))
        found[name] = {
            "n": len(texts),
            "held_or_blocked": _figures(share(held, len(texts))),
            "blocked": _figures(share(blocked, len(texts))),
        }
        print(f"  {name:32} {len(texts):5}  held or blocked {share(held, len(texts))}")
        if not name.startswith("look"):
            everyday = [everyday[0] + held, everyday[1] + blocked, everyday[2] + len(texts)]
    found["everyday, all"] = {
        "n": everyday[2],
        "held_or_blocked": _figures(share(everyday[0], everyday[2])),
        "blocked": _figures(share(everyday[1], everyday[2])),
    }
    print(f"  {'everyday, all':32} {everyday[2]:5}  held or blocked {share(everyday[0], everyday[2])}")
    return found


def look_alikes(stack: Sequence[Classifier], policy: Policy) -> dict[str, Any]:
    """The contrastive test split by family: benign held, unsafe twins caught."""
    kinds: dict[str, list[tuple[bool, bool, bool]]] = {}
    for row in objects(CONTRASTIVE):
        if row["split"] == "test":
            scores = merged(stack, row["text"])
            entry = (bool(row["labels"]), flagged(scores, policy, "review"), flagged(scores, policy, "block"))
            kinds.setdefault(row["kind"].split("/")[0], []).append(entry)
    found = {}
    for kind, rows in sorted(kinds.items()):
        found[kind] = {
            "benign": sum(not r[0] for r in rows), "benign_held": sum(r[1] for r in rows if not r[0]),
            "benign_blocked": sum(r[2] for r in rows if not r[0]), "unsafe": sum(r[0] for r in rows),
            "unsafe_held": sum(r[1] for r in rows if r[0]), "unsafe_blocked": sum(r[2] for r in rows if r[0]),
        }  # fmt: skip
    return found


def jailbreaks(shared: Path, stack: Sequence[Classifier], policy: Policy, limit: int) -> dict[str, Any]:
    """Held-out injections and contrastive takeovers, at the threshold with 1 % false alarms on requests."""
    rows = json.loads((shared / "train" / "cyberseceval" / "prompt_injection.json").read_text(encoding="utf-8"))[1::2]
    calm = benign_sets(shared)
    own = [r["text"] for r in objects(CONTRASTIVE) if r["split"] == "test" and r["kind"] == "injection"]
    injected = [r["user_input"] for r in rows]
    texts = {"CyberSecEval prompt injections, odd rows": injected, "contrastive takeovers, test": own}
    quiet = np.array(
        [merged(stack, t).get("jbk", 0.0) for t in [*calm["requests"][:limit], *calm["security questions"][:limit]]]
    )
    threshold = float(np.quantile(quiet, 0.99))
    found: dict[str, Any] = {"threshold_at_1_percent": round(threshold, 4)}
    print(f"\njailbreak shapes at 1 % false alarms (score above {threshold:.3f})")
    for name, items in texts.items():
        scores = [merged(stack, t) for t in items]
        hit = share(sum(s.get("jbk", 0.0) > threshold for s in scores), len(items))
        policy_hit = share(sum(flagged(s, policy, "block") for s in scores), len(items))
        found[name] = {"n": len(items), "recall": _figures(hit), "blocked_by_policy": _figures(policy_hit)}
        print(f"  {name:42} {len(items):4}  recall {hit}  blocked by the default policy {policy_hit}")
    return found


def personal_data(shared: Path) -> dict[str, Any]:
    """Recall of the personal-data rules per kind on presidio-research, and rules that fired where there is nothing."""
    rules = plugins.load("gensafe.classifiers", "text_rules")
    kinds = {
        "CREDIT_CARD": "card",
        "IBAN_CODE": "iban",
        "EMAIL_ADDRESS": "email",
        "PHONE_NUMBER": "phone",
        "US_SSN": "ssn",
        "IP_ADDRESS": "ip",
    }
    seen = dict.fromkeys(kinds, 0)
    hit = dict.fromkeys(kinds, 0)
    wrong = 0
    for row in json.loads(
        (shared / "eval" / "presidio_research" / "synth_dataset_v2.json").read_text(encoding="utf-8")
    ):
        findings = [f for f in rules.assess(Text(row["full_text"]), Stage.OUTPUT).findings if f.category == "pii"]
        spans = [(f.detail, s.start, s.end) for f in findings for s in f.spans]
        for span in row["spans"]:
            kind = span["entity_type"]
            if kind in kinds:
                seen[kind] += 1
                hit[kind] += any(a < span["end_position"] and span["start_position"] < b for _, a, b in spans)
        gold = [(s["start_position"], s["end_position"]) for s in row["spans"]]
        wrong += sum(not any(a < e and s < b for s, e in gold) for _, a, b in spans)
    print(
        "\npersonal data (presidio-research): "
        + ", ".join(f"{kinds[k]} {hit[k]}/{seen[k]}" for k in kinds)
        + f"; {wrong} hits on nothing"
    )
    return {"recall": {kinds[k]: [hit[k], seen[k]] for k in kinds}, "hits_on_nothing": wrong}


def reliability(rows: list[Row], run: Callable[[Sequence[str]], Scores]) -> dict[str, Any]:
    """Ten bins of the any-category score: mean score against the share that is harmful; expected calibration error."""
    top = np.array([any_score(s) for s in run([r.text for r in rows])])
    labels = np.array([bool(r.harmful) for r in rows])
    bins = []
    print("\nreliability over all sets (any category)")
    for i in range(10):
        inside = (top >= i / 10) & (top < (i + 1) / 10 if i < 9 else top <= 1.0)
        if inside.any():
            bins.append(
                [round(float(top[inside].mean()), 3), round(float(labels[inside].mean()), 3), int(inside.sum())]
            )
            score, harmful, count = bins[-1]
            print(f"  score {score:.2f}  harmful {harmful:.2f}  {'#' * round(40 * harmful):40} {count}")
    error = sum(abs(a - b) * n for a, b, n in bins) / max(1, len(rows))
    print(f"  expected calibration error {error:.3f}")
    return {"bins_score_harmful_n": bins, "expected_calibration_error": round(error, 4)}


def latency(stack: Sequence[Classifier]) -> dict[str, Any]:
    """Processor milliseconds per sentence and per 100 words, median and 99 %, one thread."""
    rows = [r["text"] for r in objects(CONTRASTIVE)][:300]
    long = [" ".join(rows[i : i + 9]) for i in range(0, 270, 9)]
    found = {}
    print("\nprocessor time, ms (median / 99 %)")
    for classifier in stack:
        entry = {}
        for name, texts in (("sentence", rows), ("100_words", long)):
            times = []
            for text in texts:
                begin = time.thread_time()
                classifier.assess(Text(text), Stage.STANDALONE)
                times.append((time.thread_time() - begin) * 1000)
            entry[name] = [round(float(np.median(times)), 3), round(float(np.quantile(times, 0.99)), 3)]
        found[classifier.name] = entry
        print(f"  {classifier.name:16} sentence {entry['sentence']}  about 100 words {entry['100_words']}")
    return found


def write_cards(out: dict[str, Any]) -> None:
    """Put the figures of this run into the cards; ``python -m gensafe.safety.cards`` renders them."""

    def interval(v: Sequence[float]) -> str:
        return f"{v[0]:.3f} [{v[1]:.3f}, {v[2]:.3f}]"

    learned: dict[str, dict[str, str]] = {"text_encoder": {}, "text_screen": {}}
    for card, system in (("text_encoder", "default stack"), ("text_screen", "text_screen alone")):
        for name, entry in out["sets"].items():
            if "auprc" in entry.get(system, {}):
                learned[card][f"AUPRC, any category, {name} (n={entry['n']})"] = interval(entry[system]["auprc"])
        if "latency_ms" in out:
            times = out["latency_ms"][card]
            learned[card]["processor ms a sentence, median"] = str(times["sentence"][0])
            learned[card]["processor ms for about 100 words, median"] = str(times["100_words"][0])
    measured = learned["text_encoder"]
    for name, entry in out["sets"].items():
        for category, found in entry["default stack"].get("categories", {}).items():
            key = f"AUPRC, {category}, {name} ({found['positive']} of {found['n']})"
            measured[key] = interval(found["auprc"])
    for name, entry in out.get("benign", {}).items():
        measured[f"whole stack: benign texts held or blocked, {name} (n={entry['n']})"] = interval(
            entry["held_or_blocked"]
        )
    learned["text_rules"] = {}
    for kind, (hit, total) in out.get("pii", {}).get("recall", {}).items():
        learned["text_rules"][f"recall, {kind}, presidio-research"] = f"{hit} of {total}"
    if "pii" in out:
        learned["text_rules"]["hits where presidio-research marks nothing (1,500 texts)"] = str(
            out["pii"]["hits_on_nothing"]
        )
    for card, figures in learned.items():
        path = WEIGHTS / f"{card}.card.json"
        data = json.loads(path.read_text(encoding="utf-8"))
        data["measured"] = figures
        path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


# --- streams ---------------------------------------------------------------------------------------------------------


class _Remembering(SafetyRunner):
    """Judges each text once, so that several hold-backs can be compared on the same streams."""

    memory: dict[tuple[str, bool], Verdict]
    spent = 0.0
    calls = 0

    def judge(self, item: Any, stage: Stage, *, streaming: bool = False) -> Verdict:
        """As SafetyRunner, with a memory."""
        key = (item.text, streaming)
        if key not in self.memory:
            begin = time.process_time()
            self.memory[key] = super().judge(item, stage, streaming=streaming)
            self.spent += time.process_time() - begin
            self.calls += 1
        return self.memory[key]


def streams(shared: Path, policy: Policy, stack: Sequence[Classifier], count: int) -> dict[str, Any]:
    """Leaks by hold-back: novel passages into which unsafe sentences are put, pushed word by word."""
    draw = random.Random(5)
    calm = passages(shared / "eval" / "benign_books" / "3261.txt", 3 * count, 120, 160, 21)
    unsafe = [
        r["text"]
        for r in objects(CONTRASTIVE)
        if r["split"] == "test" and set(r["labels"]) & {"vcr", "hte", "sxc", "ssh", "tox", "iwp", "ncr"}
    ]
    runner = _Remembering(policy, {Modality.TEXT: stack}, timeout_s=120)
    runner.memory = {}
    mixed = []
    for text in calm[:count]:
        words = text.split()
        at = draw.randrange(5, len(words) - 10)
        mixed.append((" ".join(words[:at]), draw.choice(unsafe) + " " + draw.choice(unsafe), " ".join(words[at:])))
    table = []
    print("\nstreams: leaks by hold-back (words)")
    for hold in (0, 20, 40, 60, 100):
        parameters = StreamParameters(policy.stream.window_words, hold, policy.stream.step_words)
        caught = clean = late = 0
        for before, bad, after in mixed:
            text = f"{before} {bad} {after}"
            released, how = push(runner, parameters, text)
            if how:
                caught += 1
                late += how == "end"
                clean += released <= len(before) + 1
        table.append(
            {"hold_back": hold, "caught": caught, "streams": len(mixed), "zero_leak": clean, "only_at_the_end": late}
        )
        print(
            f"  hold-back {hold or 'all'}: {caught}/{len(mixed)} caught, no leaked word {clean}, only at the end {late}"
        )
    parameters = policy.stream
    wrong = sum(bool(push(runner, parameters, t)[1]) for t in calm[count:])
    each = runner.spent / max(1, runner.calls) * 1000
    print(
        f"  benign streams stopped: {share(wrong, len(calm) - count)};  "
        f"{each:.1f} ms a window = {each / parameters.step_words:.2f} ms a word"
    )
    return {
        "table": table,
        "benign_stopped": _figures(share(wrong, len(calm) - count)),
        "ms_per_window": round(each, 2),
        "ms_per_word": round(each / parameters.step_words, 2),
    }


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


def _figures(interval: Any) -> list[float]:
    return [round(float(v), 4) for v in (interval.value, interval.low, interval.high)]


if __name__ == "__main__":
    sys.exit(main())
