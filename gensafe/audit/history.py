"""What the newest entries of a log say about the process that wrote them, read backwards from the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from gensafe.audit import entries as names
from gensafe.audit.reader import LogReader, decode_leaf

BLOCK: Final = 256  # entries read at a time: one bundle
_STARTED: Final = b'"event":"' + names.SERVICE_STARTED.encode() + b'"'  # canonical JSON has one spelling
_OUTAGE: Final = tuple(b'"event":"' + e.encode() + b'"' for e in (names.FILTER_UNAVAILABLE, names.FILTER_RESTORED))


@dataclass(frozen=True, slots=True)
class LastRun:
    """The process that wrote the log last.

    ``outages``: the ``filter.unavailable`` entries that nothing ended, by classifier. Each start repeats those of the
    run before it, so those since the last start are all there are.
    """

    started: dict[str, Any] | None  # its ``service.started`` entry; None if there is none (any more)
    outages: dict[str, dict[str, Any]]


def last_run(log: LogReader, stop: int | None = None) -> LastRun:
    """Read [..., ``stop``) (default: the whole log) back to the newest ``service.started``."""
    end = log.size if stop is None else stop
    started: dict[str, Any] | None = None
    found: list[dict[str, Any]] = []
    while end > 0 and started is None:
        start = max(0, end - BLOCK)
        for index, _, body in reversed(list(log.raw(start, end))):
            if body is None:
                continue
            if _STARTED in body:
                started = dict(decode_leaf(body, index).entry)
                break
            if any(mark in body for mark in _OUTAGE):
                found.append(dict(decode_leaf(body, index).entry))
        end = start
    outages: dict[str, dict[str, Any]] = {}
    for entry in reversed(found):
        if entry["event"] == names.FILTER_UNAVAILABLE:
            outages.setdefault(str(entry.get("classifier")), entry)
        else:
            outages.pop(str(entry.get("classifier")), None)
    return LastRun(started, outages)
