"""Counts and gaps over a range of the log, as the manifest of an export states them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gensafe.audit import entries as names


class Tally:
    """Counts and gaps over a range, fed entry by entry in log order. The standalone verifier recomputes the same."""

    def __init__(self) -> None:
        self._events: dict[str, int] = {}
        self._open: dict[int, str] = {}
        self._outages: dict[str, tuple[int, int]] = {}
        self._past_outages: list[dict[str, object]] = []
        self._withheld = 0
        self._pruned: list[list[int]] = []

    def add(self, index: int, time_ms: int, entry: Mapping[str, Any]) -> None:
        """Count a disclosed entry."""
        event = str(entry.get("event", ""))
        self._events[event] = self._events.get(event, 0) + 1
        if event == names.OPENED:
            self._open[index] = str(entry.get("request_id", ""))
        elif event in names.FINAL_STATES:
            self._open.pop(entry.get("opened_index", -1), None)
        elif event == names.FILTER_UNAVAILABLE:
            self._outages.setdefault(str(entry.get("classifier")), (index, time_ms))
        elif event == names.FILTER_RESTORED:
            began = self._outages.pop(str(entry.get("classifier")), None)
            if began:
                self._past_outages.append(_outage(str(entry.get("classifier")), *began, index, time_ms))

    def withhold(self, index: int, reason: str) -> None:
        """Count an entry that is present as a hash only."""
        if reason != "pruned":
            self._withheld += 1
        elif self._pruned and self._pruned[-1][1] == index:
            self._pruned[-1][1] = index + 1
        else:
            self._pruned.append([index, index + 1])

    def counts(self) -> dict[str, object]:
        """Totals, and one number per event."""
        pruned = sum(b - a for a, b in self._pruned)
        disclosed = sum(self._events.values())
        by_event = dict(sorted(self._events.items()))
        return {"disclosed": disclosed, "withheld": self._withheld, "pruned": pruned, "events": by_event}

    def gaps(self) -> dict[str, object]:
        """What an auditor should ask about: unfinished requests, filter outages, pruned ranges."""
        running = [_outage(name, index, ms, -1, -1) for name, (index, ms) in sorted(self._outages.items())]
        return {
            "unfinished": sorted(self._open),
            "filter_outages": self._past_outages + running,
            "pruned": self._pruned,
        }


def _outage(name: str, index: int, ms: int, end: int, end_ms: int) -> dict[str, object]:
    return {"classifier": name, "from_index": index, "from_ms": ms, "to_index": end, "to_ms": end_ms}
