"""Cases: reports that an output was misused, until when each is to be decided, and what was decided.

The words of who reports and of who decides lie sealed under ``misuse:<ticket>`` and can be erased; here are only facts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa

from gensafe.core.errors import Conflict, NotFound
from gensafe.core.ids import parse_record_id
from gensafe.core.ports import Clock
from gensafe.registry.database import Database
from gensafe.registry.tables import cases

_OPEN: Final = cases.c.decision.is_(None)


class CaseDecision(StrEnum):
    """What a person makes of a report."""

    UPHELD = "upheld"
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True)
class Case:
    """A report of misuse and what became of it."""

    ticket: str  # 13 hex digits
    record_id: int
    tenant: str  # whose output it is
    category: str
    found_by: str  # how the record was found: "record id", "exact bytes", "watermark", ...
    reported_ms: int
    due_ms: int  # to be decided by
    reported_index: int
    decision: CaseDecision | None = None  # None = open
    decided_ms: int = 0
    decided_index: int = -1
    words_id: int = 0  # under which the words of the decision are sealed

    def late(self, now_ms: int) -> bool:
        """Whether it was, or is by now, decided too late."""
        return (self.decided_ms if self.decision else now_ms) > self.due_ms

    @property
    def number(self) -> int:
        """Under which the words of the report are sealed."""
        return parse_record_id(self.ticket)

    @property
    def owner(self) -> str:
        """Under whose key all words about it are sealed; ``privacy erase --subject`` takes it."""
        return owner_of_case(self.ticket)


def owner_of_case(ticket: str) -> str:
    """The subject that stands for a report of misuse."""
    return f"misuse:{ticket}"


class Cases:
    """The cases of one registry. Safe between threads and processes."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def add(self, case: Case) -> None:
        """Open a case. Doing it twice changes nothing."""
        row = {
            "ticket": case.ticket,
            "record_id": case.record_id,
            "tenant": case.tenant,
            "category": case.category,
            "found_by": case.found_by,
            "reported_ms": case.reported_ms,
            "due_ms": case.due_ms,
            "reported_index": case.reported_index,
        }

        def once(connection: sa.Connection) -> None:
            if connection.execute(sa.select(cases.c.ticket).where(cases.c.ticket == case.ticket)).first() is None:
                connection.execute(sa.insert(cases).values(**row))

        self._db.write("open a case", once)

    def get(self, ticket: str) -> Case:
        """One case.

        Raises:
            NotFound: none of that ticket.
        """
        found = self._select(cases.c.ticket == ticket)
        if not found:
            raise NotFound(f"no case {ticket}", field="ticket")
        return found[0]

    def open(self) -> list[Case]:
        """Those that nobody has decided, the most urgent first."""
        return self._select(_OPEN)

    def all(self) -> list[Case]:
        """Every one, by when it is or was due."""
        return self._select()

    def decide(self, ticket: str, decision: CaseDecision, index: int, words_id: int) -> Case:
        """Close a case with its entry in the log. The first decision counts.

        Raises:
            NotFound: none of that ticket.
            Conflict: decided before.
        """
        values = {"decision": decision.value, "decided_ms": self._clock.now_ms(), "decided_index": index}
        query = sa.update(cases).where(cases.c.ticket == ticket, _OPEN).values(**values, words_id=words_id)

        def first_counts(connection: sa.Connection) -> None:
            if connection.execute(query).rowcount != 1:
                raise Conflict("was decided before", field="ticket")

        self._db.write("decide a case", first_counts)
        return self.get(ticket)

    def _select(self, *where: sa.ColumnElement[bool]) -> list[Case]:
        query = sa.select(cases).where(*where).order_by(cases.c.due_ms, cases.c.ticket)
        with self._db.reading("read cases") as connection:
            return [_case(row) for row in connection.execute(query).mappings()]


def _case(row: sa.RowMapping) -> Case:
    values: dict[str, Any] = {name: value for name, value in row.items() if value is not None}
    if "decision" in values:
        values["decision"] = CaseDecision(values["decision"])
    return Case(**values)
