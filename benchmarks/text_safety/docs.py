"""Put the figures of benchmarks/results/text_safety/text_safety.json into docs/safety-text.md and the cards.

usage: python -m benchmarks.text_safety.docs
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from benchmarks.common.places import ROOT
from benchmarks.text_safety import before_after
from benchmarks.text_safety.cards import interval, write_cards
from benchmarks.text_safety.data import RESULT

SYSTEMS = ("default stack", "text_screen alone", "word list", "alt-profanity-check")


def tables(out: dict[str, Any]) -> Iterator[str]:
    """Markdown lines for what the run measured."""
    yield f"At most {out['parameters']['limit']} rows a set."
    yield from ("", "| AUPRC, any category | texts | " + " | ".join(SYSTEMS) + " |", "|---" * 6 + "|")
    for name, entry in out["sets"].items():
        cells = [interval(entry[s]["auprc"]) if "auprc" in entry.get(s, {}) else "" for s in SYSTEMS]
        yield f"| {name} | {entry['n']} ({entry['positive']} harmful) | " + " | ".join(cells) + " |"
    yield from ("", "| at the blocking thresholds | recall | false alarms | precision |", "|---" * 4 + "|")
    for name, entry in out["sets"].items():
        block = entry["default stack"]["operating"]["block"]
        alarms = interval(block["false_alarms"])
        yield f"| {name} | {interval(block['recall'])} | {alarms} | {block['precision']:.3f} |"
    if "benign" in out:
        yield from ("", "| benign texts, whole stack | n | held or blocked | blocked |", "|---" * 4 + "|")
        for name, entry in out["benign"].items():
            yield f"| {name} | {entry['n']} | {interval(entry['held_or_blocked'])} | {interval(entry['blocked'])} |"
    if "jailbreak" in out:
        yield from ("", "| jailbreak shapes | n | recall at 1 % false alarms | blocked by policy |", "|---" * 4 + "|")
        for name, entry in out["jailbreak"].items():
            if isinstance(entry, dict):
                blocked = interval(entry["blocked_by_policy"])
                yield f"| {name} | {entry['n']} | {interval(entry['recall'])} | {blocked} |"
    if "latency_ms" in out:
        yield from ("", "| processor ms (median, 99 %) | sentence | about 100 words |", "|---" * 3 + "|")
        for name, entry in out["latency_ms"].items():
            cells = [f"{entry[k][0]}, {entry[k][1]}" for k in ("sentence", "100_words")]
            yield f"| {name} | {cells[0]} | {cells[1]} |"
    if "look_alikes" in out:
        e = out["look_alikes"]["all"]
        yield from ("", "| contrastive test split | n | held or blocked | blocked |", "|---" * 4 + "|")
        for name, side in (("benign look-alikes", "benign"), ("their unsafe twins", "unsafe")):
            held, blocked = (100 * e[f"{side}_{level}"] / e[side] for level in ("held", "blocked"))
            yield f"| {name} | {e[side]} | {held:.1f} % | {blocked:.1f} % |"
    if "calibration" in out:
        yield from ("", "| score (highest category), mean of the bin | share harmful | texts |", "|---" * 3 + "|")
        for score, harmful, count in out["calibration"]["bins_score_harmful_n"]:
            yield f"| {score:.2f} | {harmful:.2f} {'█' * round(20 * harmful)} | {count} |"
        yield from ("", f"Expected calibration error: {out['calibration']['expected_calibration_error']}.")
    if "languages" in out:
        columns = "| language | n | reported as not covered | held or blocked | AUROC of the learned scores |"
        yield from ("", columns, "|---" * 5 + "|")
        for name, entry in out["languages"].items():
            cells = [interval(entry["reported_as_not_covered"]), interval(entry["held_or_blocked"])]
            yield f"| {name} | {entry['n']} | {cells[0]} | {cells[1]} | {entry['auroc'] or ''} |"
    if "custom_by_example" in out:
        yield from ("", "| categories by example: similarity | found | false alarms |", "|---" * 3 + "|")
        for row in out["custom_by_example"]:
            yield f"| {row['threshold']:.2f} | {interval(row['found'])} | {interval(row['false_alarms'])} |"
    if "streams" in out:
        yield from _stream_lines(out["streams"])


def _stream_lines(found: dict[str, Any]) -> Iterator[str]:
    columns = (
        "hold-back, words",
        "step, words",
        "streams",
        "caught",
        "no leaked word",
        "words leaked",
        "only at the end",
    )
    yield from ("", "| " + " | ".join(columns) + " | stopped before the harm |", "|---" * 8 + "|")
    for row in found["table"]:
        keys = ("step", "streams", "caught", "zero_leak", "words_leaked", "only_at_the_end", "too_early")
        yield f"| {row['hold_back'] or 'all'} | " + " | ".join(str(row[k]) for k in keys) + " |"
    stopped, n = interval(found["benign_stopped"]), found["benign_streams"]
    cost = f"{found['ms_per_word']} ms of processor time a word, {found['ms_per_token']} ms a token"
    yield from ("", f"Benign streams stopped: {stopped} of {n}; {cost} (the judgement of the whole text included).")


def main() -> int:
    """Rewrite the figures."""
    out = json.loads(RESULT.read_text(encoding="utf-8"))
    write_cards(out)
    page = ROOT / "docs" / "safety-text.md"
    text = page.read_text(encoding="utf-8")
    begin, end = text.index("<!-- figures -->"), text.index("## How it was made")
    body = "<!-- figures -->\n\n" + "\n".join([*before_after.lines(), *tables(out)]) + "\n\n"
    page.write_text(text[:begin] + body + text[end:], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
