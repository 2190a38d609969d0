"""The tables of the sources left out and the sets kept aside in docs/safety-text.md, from the files of the runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from benchmarks.text_safety import compare
from benchmarks.text_safety.cards import interval
from benchmarks.text_safety.data import RESULT
from gensafe.safety.policy import load_policy

BEFORE: Final = RESULT.with_name("kept_aside_before.json")
AFTER: Final = RESULT.with_name("kept_aside.json")
LEFT_OUT: Final = RESULT.with_name("leave_one_out.json")
DEFAULT: Final = "default stack"
LISTS: Final = ("word list", "alt-profanity-check")


def lines() -> Iterator[str]:
    """Markdown lines of every file that exists."""
    if LEFT_OUT.exists():
        yield from _left_out(json.loads(LEFT_OUT.read_text(encoding="utf-8")))
    if compare.TARGET.exists():
        yield from compare.lines(json.loads(compare.TARGET.read_text(encoding="utf-8")))
    if BEFORE.exists() and AFTER.exists():
        before, after = (json.loads(p.read_text(encoding="utf-8")) for p in (BEFORE, AFTER))
        yield from _sets(after)
        yield from _languages(before, after)
        yield from _presets(after)


def _left_out(out: Mapping[str, Any]) -> Iterator[str]:
    systems = ("before", "after", *LISTS)
    yield "Leave one source out: the heads trained without a source and tested on it, mean over sources; interval over"
    yield f"sources drawn with replacement (at most {out['cap']} rows a source; the `any` score of the heads)."
    yield from ("", "| mean over sources | sources | " + " | ".join(systems) + " |", "|---" * 6 + "|")
    names = {
        "auprc": "AUPRC",
        "auroc": "AUROC",
        "recall": "recall at 5 % false alarms",
        "benign_above": "benign above that",
    }
    for key, name in names.items():
        cells = [interval(f[key]) if key in (f := out["macro"].get(s, {})) else "" for s in systems]
        yield f"| {name} | {out['macro']['after'][key][3]} | " + " | ".join(cells) + " |"
    yield from ("", "| source left out | texts | AUPRC before | AUPRC after |", "|---" * 4 + "|")
    for name, entry in out["sources"].items():
        if "auprc" in entry["after"]:
            cells = [interval(entry[k]["auprc"]) for k in ("before", "after")]
            yield f"| {name} | {entry['n']} ({entry['harmful']} harmful) | " + " | ".join(cells) + " |"
    yield ""


def _sets(out: Mapping[str, Any]) -> Iterator[str]:
    whose = "" if out["policy"] == load_policy().digest else " and weights of the version before"
    yield from (f"Every set kept aside, the default policy{whose}:", "")
    yield from ("| AUPRC, any category | texts | default stack | " + " | ".join(LISTS) + " |", "|---" * 5 + "|")
    for name, entry in out["sets"].items():
        cells = [interval(e["auprc"]) if "auprc" in (e := entry.get(s, {})) else "" for s in (DEFAULT, *LISTS)]
        yield f"| {name} | {entry['n']} ({entry['positive']} harmful) | " + " | ".join(cells) + " |"
    yield from ("", "| held or blocked | harmful | harmless |", "|---" * 3 + "|")
    for name, entry in out["sets"].items():
        found = entry[DEFAULT]["operating"]["review"]
        yield f"| {name} | {interval(found['recall'])} | {interval(found['false_alarms'])} |"
    yield from ("", "| AUPRC by category | positive of | default stack |", "|---" * 3 + "|")
    for name, entry in out["sets"].items():
        for category, found in entry[DEFAULT].get("categories", {}).items():
            yield f"| {category}, {name} | {found['positive']} of {found['n']} | {interval(found['auprc'])} |"
    yield from ("", "| sets of one kind | texts | held or blocked | blocked |", "|---" * 4 + "|")
    for kind in ("benign", "harmful"):
        for name, found in out[kind].items():
            cells = [interval(found[k]) for k in ("held_or_blocked", "blocked")]
            yield f"| {kind}: {name} | {found['n']} | " + " | ".join(cells) + " |"
    yield ""


def _languages(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    columns = "| other languages | texts | not covered, before | after | passed as if examined, before | after |"
    yield from (columns, "|---" * 6 + "|")
    for name, entry in after["languages"].items():
        old = before["languages"].get(name, {})
        keys = ("reported_as_not_covered", "passed")
        cells = [interval(e[k]) if k in e else "" for k in keys for e in (old, entry)]
        yield f"| {name} | {entry['n']} | " + " | ".join(cells) + " |"
    yield ""


def _presets(after: Mapping[str, Any]) -> Iterator[str]:
    names = tuple(after.get("presets", {}))
    if not names:
        return
    yield from ("| held or blocked | texts | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|")
    for group, entry in after["presets"][names[0]].items():
        cells = [interval(after["presets"][p][group]["held_or_blocked"]) for p in names]
        yield f"| {group} | {entry['n']} | " + " | ".join(cells) + " |"
    yield ""
