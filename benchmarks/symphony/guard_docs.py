"""Write the figures of benchmarks.symphony.guard into docs/symphony-guard.md and into the classifiers' card.

python -m benchmarks.symphony.guard_docs [--results FILE] [--check]
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.common.places import DOCS, RESULTS
from gensafe.core.types import Modality
from gensafe_backends.symphony.guard.plugin import CARD

RESULT: Final = RESULTS / "symphony" / "guard.json"
PAGE: Final = DOCS / "symphony-guard.md"
PARTS: Final = ("words", "examples", "gate", "outputs")


def percent(figures: Sequence[float]) -> str:
    """A share with its interval."""
    value, low, high = (100 * v for v in figures)
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Markdown lines."""
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def by_words(results: Mapping[str, Any]) -> Iterator[str]:
    """Concepts given as words."""
    rows = []
    for medium, systems in results["given words"].items():
        for name, f in systems.items():
            rows.append([medium, name, percent(f["recall"]), str(f["positives"]), percent(f["false alarms"]),
                         str(f["negatives"]), f"{f['auroc']:.3f}"])  # fmt: skip
    yield from table(
        ("medium", "system", "found, %", "of", "false alarms, %", "of", "area under ROC"),
        rows,
    )


def by_examples(results: Mapping[str, Any]) -> Iterator[str]:
    """Concepts given as examples."""
    rows = []
    for name, kinds in results["few examples"].items():
        for kind, f in kinds.items():
            if name.startswith("nearest") and (kind != "same medium" or name.endswith("k=1")):
                continue
            rows.append([name, kind, percent(f["recall"]), str(f["positives"]), percent(f["false alarms"]),
                         f"{f['auroc']:.3f}"])  # fmt: skip
    yield from table(("system", "tested on", "found, %", "of", "false alarms, %", "area under ROC"), rows)


def by_gate(results: Mapping[str, Any]) -> Iterator[str]:
    """What is taken for the world."""
    yield from table(("media", "taken for the world"), [[k.split(":")[0], str(v)] for k, v in results["gate"].items()])


def by_outputs(results: Mapping[str, Any]) -> Iterator[str]:
    """Media made by Symphony, and cost."""
    rows = []
    for medium in Modality:
        f = results["outputs of symphony"].get(medium.value)
        cost = results["cost"][f"CPU ms, {medium.value}, median"]
        if f is None:
            rows.append([medium.value, "-", "-", "-", "-", "-", cost])
            continue
        rows.append([medium.value, percent(f["recall"]), str(f["positives"]), percent(f["false alarms"]),
                     str(f["negatives"]), f["outside the world"], cost])  # fmt: skip
    yield from table(
        ("medium", "found, %", "of", "false alarms, %", "of", "taken for outside", "CPU ms an item"),
        rows,
    )


MAKERS: Final = dict(zip(PARTS, (by_words, by_examples, by_gate, by_outputs), strict=True))


def _between(body: str, marks: re.Match[str]) -> str:
    """The part's two marks with ``body`` between them."""
    return f"{marks[1]}{body}\n{marks[2]}"


def filled(page: str, results: Mapping[str, Any]) -> str:
    """The page with every part written anew."""
    for name, make in MAKERS.items():
        body = "\n".join(make(results))
        page = re.sub(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", partial(_between, body), page, flags=re.S)
    return page


def measured(results: Mapping[str, Any]) -> dict[str, str]:
    """For the card."""
    out = {}
    for medium, systems in results["given words"].items():
        f = systems["guard"]
        out[f"{medium}: found, of items that hold a concept given as words"] = (
            f"{percent(f['recall'])} % of {f['positives']}"
        )
        out[f"{medium}: false alarms"] = f"{percent(f['false alarms'])} % of {f['negatives']}"
    for name, kinds in results["few examples"].items():
        if name.startswith("guard"):
            for kind, f in kinds.items():
                label = f"examples of {name.rsplit(', ', 1)[1]}, tested on {kind}: found, false alarms"
                out[label] = f"{percent(f['recall'])} %, {percent(f['false alarms'])} %"
    return out | {k: str(v) for k, v in (results["gate"] | results["cost"]).items()}


def write(results: Mapping[str, Any]) -> None:
    """Rewrite the page and the card."""
    PAGE.write_text(filled(PAGE.read_text("utf-8"), results), "utf-8")
    card = json.loads(CARD.read_text("utf-8"))
    card["measured"] = measured(results)
    CARD.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", "utf-8")
    _write_card_page()


def _write_card_page() -> None:
    """docs/cards/symphony_concepts.md, as of a concept given as a word: such a file holds for any weights."""
    from gensafe.core.types import Stage
    from gensafe.safety.cards import render_card
    from gensafe_backends.symphony.guard import learn
    from gensafe_backends.symphony.guard.plugin import Concepts
    from gensafe_backends.symphony.guard.reader import open_reader

    reader = open_reader()
    star = learn.fit("star", reader, (("star",),), ())
    card = Concepts(Modality.IMAGE, (("lst", star),), reader, frozenset(Stage)).card()
    page = render_card(card)
    head = "# text_concepts, image_concepts, audio_concepts, video_concepts (version " + card.version + ")"
    lines = [head, *page.splitlines()[1:]]
    lines = ["- Modality: one each" if line.startswith("- Modality") else line for line in lines]
    kept = [line for line in lines if not line.startswith("- Weights")]
    (PAGE.parent / "cards" / "symphony_concepts.md").write_text("\n".join(kept) + "\n", "utf-8")


def main() -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULT)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the page is stale")
    args = parser.parse_args()
    results = json.loads(args.results.read_text("utf-8"))
    if args.check:
        return int(filled(PAGE.read_text("utf-8"), results) != PAGE.read_text("utf-8"))
    write(results)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
