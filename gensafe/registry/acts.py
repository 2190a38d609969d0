"""Who did what at the desk, and why, in the words of those who did it: one row for each act that was logged.

The log has the actor as a pseudonym and of the reason a keyed digest; the words are in
the registry alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from gensafe.core.ports import Clock
from gensafe.registry.database import Database
from gensafe.registry.tables import desk_acts


@dataclass(frozen=True, slots=True)
class Act:
    """One act. ``target``: a pseudonym or an id, as its entry has it; ``act``: the entry's event."""

    target: str
    act: str
    actor: str
    reason: str
    log_index: int
    at_ms: int = 0


class DeskActs:
    """The acts of one registry. Safe between threads and processes."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def note(self, act: Act) -> None:
        """Keep the words of an act that was logged; the time is now."""
        row = {
            "target": act.target,
            "act": act.act,
            "actor": act.actor,
            "reason": act.reason,
            "log_index": act.log_index,
            "at_ms": self._clock.now_ms(),
        }
        query = sa.insert(desk_acts).values(**row)
        self._db.write("note an act", lambda connection: connection.execute(query).rowcount)

    def of(self, target: str) -> list[Act]:
        """What was done about ``target``, oldest first."""
        query = sa.select(desk_acts).where(desk_acts.c.target == target).order_by(desk_acts.c.number)
        with self._db.reading("read acts") as connection:
            rows = connection.execute(query).all()
        return [Act(r.target, r.act, r.actor, r.reason, r.log_index, r.at_ms) for r in rows]
