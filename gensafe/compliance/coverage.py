"""Which categories the filters covered when outputs left, as stated at each start and policy change of the service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gensafe.audit import entries as names
from gensafe.audit.log import LogReader
from gensafe.core.hazards import CATEGORIES, in_words

UNSTATED: Final = "unstated"
_SAID: Final = {"none": "no classifier covers", "part": "covered only in part:", UNSTATED: "not stated what covers"}
_BLOCK: Final = 256  # entries read at once, a tile of the log


@dataclass(slots=True)
class Coverage:
    """``now``: what was stated last; ``counts``: (modality, category, how) -> outputs released under it."""

    now: Mapping[str, Any] = field(default_factory=dict)
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def note(self, entry: Mapping[str, Any]) -> None:
        """Take over what an entry states; a refused policy states nothing."""
        if isinstance(entry.get("coverage"), dict):
            self.now = entry["coverage"]

    def count(self, modality: str) -> None:
        """An output was released."""
        by = self.now.get(modality)
        stated = {c: how for how, found in by.items() for c in found} if isinstance(by, dict) else {}
        for category in CATEGORIES:
            self.counts[modality, category, str(stated.get(category, UNSTATED))] += 1

    def summary(self, categories: Iterable[str]) -> tuple[bool, list[str]]:
        """Whether anything looked for any of ``categories``, and the gaps in words."""
        wanted = set(categories)
        gaps: dict[tuple[str, str], list[str]] = {}
        seen = False
        for modality, category, how in sorted(self.counts):
            if category not in wanted:
                continue
            seen = seen or how in ("whole", "part")
            if how != "whole":
                gaps.setdefault((modality, how), []).append(category)
        words = [
            f"{modality}: {_SAID[how]} {', '.join(map(in_words, found))}" for (modality, how), found in gaps.items()
        ]
        return seen, words

    def facts(self, categories: Iterable[str]) -> dict[str, dict[str, int]]:
        """Outputs by modality and category in words, and by how it was covered."""
        wanted, found = set(categories), dict[str, dict[str, int]]()
        for (modality, category, how), count in sorted(self.counts.items()):
            if category in wanted:
                found.setdefault(f"{modality}, {CATEGORIES[category]}", {})[how] = count
        return found


def stated_before(log: LogReader, stop: int) -> Mapping[str, Any]:
    """The coverage that was in force at entry ``stop``; {} if none was ever stated."""
    while stop > 0:
        start = max(0, stop - _BLOCK)
        for logged in reversed(list(log.entries(start, stop))):
            about = logged.entry.get("event") in (names.SERVICE_STARTED, names.POLICY_CHANGED)
            if about and isinstance(logged.entry.get("coverage"), dict):
                return dict(logged.entry["coverage"])
        stop = start
    return {}
