"""Put the figures of a run into the cards beside the weights; ``python -m gensafe.safety.cards`` renders them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.text_safety.accuracy import DEFAULT
from gensafe.safety.cards import WEIGHTS


def interval(v: Sequence[float]) -> str:
    """A value with its 95 % interval."""
    return f"{v[0]:.3f} [{v[1]:.3f}, {v[2]:.3f}]"


def write_cards(out: Mapping[str, Any]) -> None:
    """Replace ``measured`` in the cards of the text classifiers."""
    learned: dict[str, dict[str, str]] = {name: {} for name in ("text_encoder", "text_screen", "text_rules")}
    learned["text_language"] = {}
    for card, system in (("text_encoder", DEFAULT), ("text_screen", "text_screen alone")):
        for name, entry in out["sets"].items():
            if "auprc" in entry.get(system, {}):
                learned[card][f"AUPRC, any category, {name} (n={entry['n']})"] = interval(entry[system]["auprc"])
    for card in learned:
        times = out.get("latency_ms", {}).get(card)
        if times:
            learned[card]["processor ms a sentence, median"] = str(times["sentence"][0])
            learned[card]["processor ms for about 100 words, median"] = str(times["100_words"][0])
    measured = learned["text_encoder"]
    for name, entry in out["sets"].items():
        for category, found in entry[DEFAULT].get("categories", {}).items():
            key = f"AUPRC, {category}, {name} ({found['positive']} of {found['n']})"
            measured[key] = interval(found["auprc"])
    for name, entry in out.get("benign", {}).items():
        key = f"whole stack: benign texts held or blocked, {name} (n={entry['n']})"
        measured[key] = interval(entry["held_or_blocked"])
    owners = {"pii": "text_rules", "sec": "text_rules", "hid": "text_rules", "unc": "text_language"}
    for category, entry in out.get("thresholds", {}).items():
        for level in ("review", "block"):
            learned[owners.get(category, "text_encoder")].update(_threshold(category, level, entry))
    for kind, (hit, total) in out.get("pii", {}).get("recall", {}).items():
        learned["text_rules"][f"recall, {kind}, presidio-research"] = f"{hit} of {total}"
    if "pii" in out:
        key = "hits where presidio-research marks nothing (1,500 texts)"
        learned["text_rules"][key] = str(out["pii"]["hits_on_nothing"])
    for name, entry in out.get("languages", {}).items():
        key = f"reported as not covered, {name} (n={entry['n']})"
        learned["text_language"][key] = interval(entry["reported_as_not_covered"])
    for card, figures in learned.items():
        path = WEIGHTS / f"{card}.card.json"
        data = json.loads(path.read_text(encoding="utf-8"))
        data["measured"] = figures
        path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _threshold(category: str, level: str, entry: Mapping[str, Any]) -> dict[str, str]:
    found = entry[level]
    words = []
    if found["recall"]:
        words.append(f"recall {interval(found['recall'])} of {entry['positive']}")
    if found["precision"] is not None:
        words.append(f"precision {found['precision']:.3f}")
    words.append(f"false alarms {found['false_alarms'][0]:.4f} of {entry['negative']}")
    return {f"{category} at the default {level} threshold {found['threshold']:g}": ", ".join(words)}
