"""Retention: forget the contents of old entries, in whole bundles, and log that it was done. Hashes and proofs stay.

The tombstone is durable before anything is forgotten: a crash in between leaves a tombstone whose work the next run
finishes, never a gap that nothing explains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gensafe.audit import desk_entries, tiles
from gensafe.audit.log import AuditLog

DAY_MS: Final = 86_400_000  # 24 h


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was forgotten: ``entries`` below ``before_index``. ``log_index`` of the tombstone, -1 = there is none."""

    entries: int
    before_index: int
    log_index: int


def prune_before(log: AuditLog, before_ms: int, reason: str) -> Pruned:
    """Forget the leaf data of whole bundles whose entries are all older than ``before_ms``.

    Legal holds are the caller's to check: a bundle holds entries of many tenants, so any hold forbids pruning.

    Raises:
        LogUnavailable: the log cannot be written; nothing was forgotten that is not logged.
    """
    stop = log.index_at(before_ms) // tiles.WIDTH * tiles.WIDTH
    count = log.unpruned(stop)
    if not count:
        return Pruned(0, stop, -1)
    erased = {"entries": count, "before_index": stop}
    at = log.append(desk_entries.tombstone(kind="retention", subject="", erased=erased, reason=reason)).index
    log.prune(stop)
    return Pruned(count, stop, at)


def expire(log: AuditLog, keep_days: int, now_ms: int, *, held: bool) -> Pruned:
    """What a server does once a day: prune what is older than ``keep_days`` (0 = keep all), but not under a hold."""
    if keep_days <= 0 or held:
        return Pruned(0, 0, -1)
    now_ms = log.latest_plausible_ms(now_ms)
    return prune_before(log, now_ms - keep_days * DAY_MS, f"older than {keep_days} days")
