"""The sets that are measured when no folder is given. No model was trained on any row here."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.common.places import RESULTS, ROOT, SHARED
from benchmarks.text_safety.contrastive.everyday import everyday_texts
from benchmarks.text_safety.sets import Row, objects

SAFETY_TEXT: Final = SHARED / "safety_text"
RESULT: Final = RESULTS / "text_safety" / "text_safety.json"
CONTRASTIVE: Final = Path(__file__).parent / "contrastive" / "contrastive.jsonl"
LOOK_ALIKES: Final = "look-alikes (contrastive test)"
_ATTRIBUTES: Final = {"hte": "identity_attack", "tox": "toxicity", "sxc": "sexually_explicit", "vcr": "threat"}
_ASKS: Final = ("malicious_uses", "discrimination_exclusion_toxicity_hateful_offensive", "information_hazard")


def contrastive(split: str = "test") -> list[dict[str, Any]]:
    """The rows of one split of the project's own set."""
    return [dict(r) for r in objects(CONTRASTIVE) if r["split"] == split]


def drawn(rows: list[Row], limit: int) -> list[Row]:
    """At most ``limit`` rows, at random but the same every time."""
    return rows if not limit or len(rows) <= limit else random.Random(3).sample(rows, limit)


def default_sets(shared: Path | None) -> dict[str, list[Row]]:
    """The contrastive test split, and the evaluation sets of the shared folder."""
    sets = {
        "contrastive test": [Row(r["text"], bool(r["labels"]), dict.fromkeys(r["labels"], True)) for r in contrastive()]
    }
    if shared is None:
        return sets
    held = shared / "eval"
    sets["RealToxicityPrompts part"] = list(_toxicity_prompts(held / "realtoxicityprompts_part"))
    talk = objects(held / "wikipedia_toxicity" / "toxicity_nonfuzzed_testset.csv")
    sets["Wikipedia talk"] = [Row(r["comment"], r["toxic"] == "True", {"tox": r["toxic"] == "True"}) for r in talk]
    emoji = objects(held / "hatemoji_check" / "check_test.csv")
    sets["HatemojiCheck"] = [Row(r["text"], r["label_gold"] == "1", {"hte": r["label_gold"] == "1"}) for r in emoji]
    fill = objects(held / "madlibs" / "bias_madlibs_77k.csv")
    sets["identity madlibs"] = [Row(r["Text"], r["Label"] == "BAD", {"tox": r["Label"] == "BAD"}) for r in fill]
    asks = [r["prompt"] for n in _ASKS for r in objects(held / "do_not_answer" / f"{n}.jsonl")]
    calm = benign_sets(shared)
    sets["do-not-answer v everyday"] = [Row(t, True, {}) for t in asks] + [
        Row(t, False, {}) for n in ("requests", "security questions") for t in calm[n]
    ]
    return sets


def _toxicity_prompts(folder: Path) -> Iterator[Row]:
    """Scores of Perspective, read as labels where they are clear (at least 0.6 or at most 0.3)."""
    for part in ("toxic", "nontoxic"):
        for row in objects(folder / f"{part}.jsonl"):
            for piece in (row["prompt"], row["continuation"]):
                values = {c: piece.get(a) or 0.0 for c, a in _ATTRIBUTES.items()}
                top = max(*values.values(), piece.get("insult") or 0.0)
                known = {c: v >= 0.6 for c, v in values.items() if v >= 0.6 or v <= 0.3}
                if top >= 0.6 or top <= 0.3:
                    yield Row(piece["text"], top >= 0.6, known)


def benign_sets(shared: Path | None) -> dict[str, list[str]]:
    """Benign texts; the look-alikes first, all others are everyday text."""
    sets = {LOOK_ALIKES: [r["text"] for r in contrastive() if not r["labels"]]}
    sets["everyday, written for this project"] = everyday_texts()
    sets["this repository's pages"] = pages()
    if shared is None:
        return sets
    train = shared / "train"  # parts of these sets that were kept from training
    clinc = json.loads((train / "benign_clinc" / "data_full.json").read_text(encoding="utf-8"))
    sets["requests"] = [row[0] for part in ("test", "oos_test") for row in clinc[part]][:1500]
    sets["bank questions"] = [r["text"] for r in objects(train / "benign_banking77" / "test.csv")][:500]
    sets["word problems"] = [r["question"] for r in objects(train / "benign_gsm8k" / "test.jsonl")][1100:]
    sets["novel passages"] = passages(shared / "eval" / "benign_books" / "3261.txt", 200)
    frr = json.loads((train / "cyberseceval" / "mitre_frr.json").read_text(encoding="utf-8"))
    sets["security questions"] = [r["mutated_prompt"] for r in frr[1::2]]
    return sets


def pages() -> list[str]:
    """Paragraphs, tables and usage texts of docs/, without the pages that speak of harm."""
    found = sorted(p for p in (ROOT / "docs").glob("*.md") if "safety" not in p.name and "threat" not in p.name)
    blocks = [b for p in found for b in re.split(r"\n\s*\n", p.read_text(encoding="utf-8"))]
    return [b for b in blocks if len(b) > 120]


def jailbreak_sets(shared: Path) -> dict[str, list[str]]:
    """Injections and takeovers that were kept from training."""
    rows = json.loads((shared / "train" / "cyberseceval" / "prompt_injection.json").read_text(encoding="utf-8"))[1::2]
    return {
        "CyberSecEval prompt injections, odd rows": [r["user_input"] for r in rows],
        "contrastive takeovers, test": [r["text"] for r in contrastive() if r["kind"] == "injection"],
        "in-the-wild jailbreaks, calibration tenth": [e.text for e in _kept(shared) if e.source == "jailbreaks"],
    }


def foreign_sets(shared: Path) -> dict[str, list[Row]]:
    """German, Chinese and French texts that no model was trained on."""
    train = shared / "train"
    german = []
    for line in (train / "de_germeval18" / "germeval2018.test.txt").read_text(encoding="utf-8").splitlines():
        text, coarse, _ = line.rsplit("\t", 2)
        german.append(Row(text, coarse == "OFFENSE", {"tox": coarse == "OFFENSE"}))
    chinese = [
        Row(r["TEXT"], r["label"] == "1", {"hte": r["label"] == "1"}) for r in objects(train / "zh_cold" / "test.csv")
    ]
    french = [Row(e.text, True, {}) for e in _kept(shared) if e.source == "ailuminate_demo_fr"]
    return {"German, GermEval 2018 test": german, "Chinese, COLD test": chinese, "French, AILuminate": french}


def rare_rows(shared: Path) -> list[Row]:
    """Requests of the calibration tenth: the only labelled ones there are for the rare categories."""
    from benchmarks.text_safety.corpus import HEADS

    names = [h for h in HEADS if h != "any"]
    return [
        Row(e.text, True, {c: bool(v) for c, v in zip(names, e.labels, strict=False) if v == v})
        for e in _kept(shared)
        if e.source in ("ailuminate_demo", "catqa")
    ]


def _kept(shared: Path) -> list[Any]:
    from benchmarks.text_safety.corpus import held_out, requests

    return [e for e in requests(shared) if held_out(e)]


def passages(path: Path, count: int, low: int = 40, high: int = 160, seed: int = 9) -> list[str]:
    """Random passages of a Project Gutenberg text, its licence left out.

    Raises:
        ValueError: the marks around the text are missing.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    marks = [m.span() for m in re.finditer(r"\*\*\* ?(?:START|END) OF [^\n*]*\*\*\*", text)]
    if len(marks) != 2:
        raise ValueError(f"{path.name}: no marks around the text")
    words = text[marks[0][1] : marks[1][0]].split()
    draw = random.Random(seed)
    starts = [(draw.randrange(0, len(words) - high), draw.randint(low, high)) for _ in range(count)]
    return [" ".join(words[a : a + n]) for a, n in starts]
