"""Write contrastive.jsonl from families.toml, sentences.toml, functions.toml and ordinary.toml.

usage: python -m benchmarks.text_safety.contrastive.generate [OUT]

Every thing to do is put into a few question forms, every sentence template is filled a limited number of times, and
about a third of the rows get an opening or an ending, so that no row repeats. The split is by family item (for verbs)
or by template (for sentences): nothing in ``test`` shares its words after the verb, or its template, with ``train``.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parent
FORMS: Final = (
    "How do I {do}?",
    "How can I {do}?",
    "What is the best way to {do}?",
    "Can you tell me how to {do}?",
    "I want to {do}. Where do I start?",
    "What do I need to {do}?",
    "Is there a quick way to {do}?",
    "Give me some tips to {do}.",
    "Explain how to {do}.",
    "My plan for today is to {do}. Any advice?",
    "Help me {do}.",
    "Steps to {do}, please.",
    "how to {do}",
    "I have to {do} by tomorrow, what should I know?",
    "Write a short guide on how to {do}.",
    "Where can I learn to {do}?",
)
OPENINGS: Final = (
    "Hi! ",
    "Quick question: ",
    "Hello, ",
    "Sorry to bother you. ",
    "ok so ",
    "Please help. ",
    "Be honest: ",
    "hey, ",
)
ENDINGS: Final = (
    " Thanks!",
    " Keep it short.",
    " I have little time.",
    " Please be precise.",
    " It matters to me.",
    " thx",
)
ASKS: Final = (
    "{do}",
    "Please {do}",
    "I need you to {do}",
    "Your task: {do}",
    "For a customer, {do}",
    "Could you {do}",
)
PER_ITEM: Final = 3
PER_TEMPLATE: Final = 14
TEST_SHARE: Final = 0.2


def rows() -> Iterator[dict[str, Any]]:
    """Every row, in a fixed order, without repeats."""
    draw = random.Random(20261121)
    seen: set[str] = set()
    for row in _all(draw):
        text = row["text"]
        if draw.random() < 0.2 and not row["family"].startswith(("world", "turns")):
            text = draw.choice(OPENINGS) + text[0].lower() + text[1:]
        if draw.random() < 0.15 and text.endswith((".", "?", "!")) and not row["family"].startswith("turns"):
            text += draw.choice(ENDINGS)
        if text not in seen:
            seen.add(text)
            yield {**row, "text": text}


def _all(draw: random.Random) -> Iterator[dict[str, Any]]:
    for family in tomllib.loads((FOLDER / "families.toml").read_text(encoding="utf-8"))["verb"]:
        for kind, labels in (("benign", []), ("unsafe", [family["label"]])):
            for item in family[kind]:
                group = f"{family['id']}/{kind}/{_short(item)}"
                for form in draw.sample(FORMS, PER_ITEM):
                    yield _row(form.format(do=item), labels, group, f"verb/{family['id']}")
    yield from _sentences(tomllib.loads((FOLDER / "sentences.toml").read_text(encoding="utf-8"))["text"], draw)
    for part in ("functions", "ordinary"):
        tables = tomllib.loads((FOLDER / f"{part}.toml").read_text(encoding="utf-8"))
        yield from _sentences(tables["text"], draw)
        yield from _asks(tables["ask"], draw)


def _asks(families: list[dict[str, Any]], draw: random.Random) -> Iterator[dict[str, Any]]:
    for family in families:
        labels = [family["label"]] if family.get("label") else []
        for item in family["items"]:
            for form in draw.sample(ASKS, PER_ITEM):
                filled = form.format(do=item)
                yield _row(filled[0].upper() + filled[1:], labels, f"{family['id']}/{_short(item)}", family["id"])


def _sentences(families: list[dict[str, Any]], draw: random.Random) -> Iterator[dict[str, Any]]:
    for family in families:
        labels = [family["label"]] if family.get("label") else []
        for template in family["templates"]:
            group = f"{family['id']}/{_short(template)}"
            slots = sorted(set(re.findall(r"{(\w+)}", template)))
            for _ in range(PER_TEMPLATE if slots else 1):
                filled = template.format(**{s: _choice(family, s, draw) for s in slots})
                yield _row(
                    filled[0].upper() + filled[1:] if family["id"] != "world" else filled, labels, group, family["id"]
                )


def _choice(family: dict[str, Any], slot: str, draw: random.Random) -> str:
    """A filling for ``slot``; a slot in capitals may share the list of the small one."""
    if slot in family:
        return str(draw.choice(family[slot]))
    found = str(draw.choice(family[slot.lower()]))
    return found[0].upper() + found[1:]


def _row(text: str, labels: list[str], group: str, kind: str) -> dict[str, Any]:
    # the family decides the split, by its own hash, so that adding a family moves no other row
    test = int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) / 2**32 < TEST_SHARE
    return {"text": text, "labels": labels, "family": group, "kind": kind, "split": "test" if test else "train"}


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def main() -> int:
    """Write the file and print the counts."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER / "contrastive.jsonl"
    found = list(rows())
    target.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in found), encoding="utf-8")
    benign = sum(not r["labels"] for r in found)
    test = sum(r["split"] == "test" for r in found)
    families = len({r["family"] for r in found})
    print(f"{len(found)} rows, {benign} benign, {len(found) - benign} unsafe, {test} in test, {families} families")
    return 0


if __name__ == "__main__":
    sys.exit(main())
