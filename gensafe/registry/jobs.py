"""Jobs: generations that outlive their call, and the process. One row each.

What was asked for and what came of it are sealed blobs of the end user, or of the tenant: erasing either takes them,
and the row says only that there was a job, for how large an output, and how it ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa

from gensafe.core.errors import Conflict, NotFound
from gensafe.core.types import Modality, RequestKey
from gensafe.registry.database import Database
from gensafe.registry.tables import meta, of_request

jobs = sa.Table(
    "jobs",
    meta,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("request_id", sa.Text, primary_key=True),
    sa.Column("body", sa.Text, nullable=False),  # keyed digest
    sa.Column("modality", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("key_id", sa.Text, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),  # pseudonym
    sa.Column("shape", sa.Text, nullable=False),  # JSON
    sa.Column("webhook", sa.Text, nullable=False),
    sa.Column("request", sa.Text, nullable=False),  # digest of a sealed blob; "" = ended
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("report", sa.Text, nullable=False),  # digest of a sealed blob; "" = not ended
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("ended_ms", sa.BigInteger, nullable=False),
)


class JobState(StrEnum):
    """How a job stands."""

    OPEN = "open"  # waits or runs
    HELD = "held"  # its output waits for a person
    COMPLETED = "completed"
    BLOCKED = "blocked"
    FAILED = "failed"
    CANCELLED = "cancelled"


AGAIN: Final = (JobState.FAILED, JobState.CANCELLED)
"""Jobs that released nothing: the same request may run again under the same id."""


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job; times in milliseconds since 1970."""

    tenant: str
    request_id: str
    body: str  # keyed digest of everything that was asked for
    modality: Modality
    model: str  # as asked for; "" = the server's choice
    created_ms: int
    owner: str  # pseudonym of the end user, or of the tenant: for whom request and report are sealed
    key_id: str = ""  # the managed API key that it came with
    shape: Mapping[str, float] = field(default_factory=dict)  # size and length asked for
    webhook: str = ""  # URL of the job's own, "" = none
    request: str = ""
    state: JobState = JobState.OPEN
    report: str = ""
    ended_ms: int = 0  # 0 = not ended

    @property
    def key(self) -> RequestKey:
        """What names the job."""
        return RequestKey(self.tenant, self.request_id)


class JobTable:
    """The jobs of one registry. Safe between threads and processes."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def claim(self, row: JobRow) -> JobRow | None:
        """Store a job, in place of one of the same id that may run again.

        Returns: None when it is stored; the job that is there already otherwise.

        Raises:
            Conflict: the id belongs to another job.
        """
        values = _values(row)

        def store(connection: sa.Connection) -> JobRow | None:
            found = connection.execute(sa.select(jobs).where(of_request(jobs, row.key))).mappings().first()
            known = None if found is None else _row(found)
            if known is not None and known.body != row.body:
                raise Conflict("the id belongs to another request", field="request_id", fix="send a fresh UUID")
            if known is not None and known.state not in AGAIN:
                return known
            connection.execute(sa.delete(jobs).where(of_request(jobs, row.key)))
            connection.execute(sa.insert(jobs).values(**values))
            return None

        return self._db.write("store a job", store)

    def end(
        self,
        key: RequestKey,
        state: JobState,
        report: str,
        ended_ms: int,
        also: Callable[[sa.Connection], None] = lambda _: None,
    ) -> bool:
        """Store how a job ended, and do ``also``, both or neither. False if it is not there or ended like this before.

        Args:
            key: Names it.
            state: Not OPEN.
            report: Digest of the sealed blob with the whole answer.
            ended_ms: When.
            also: Writes more in the same transaction.
        """
        waits = [one.value for one in (JobState.OPEN, JobState.HELD) if one is not state]
        query = sa.update(jobs).where(of_request(jobs, key), jobs.c.state.in_(waits))

        def both(connection: sa.Connection) -> bool:
            values = {"state": state.value, "report": report, "ended_ms": ended_ms, "request": ""}
            changed = connection.execute(query.values(**values)).rowcount == 1
            if changed:
                also(connection)
            return changed

        return self._db.write("end a job", both)

    def drop(self, key: RequestKey) -> None:
        """Forget a job."""
        query = sa.delete(jobs).where(of_request(jobs, key))
        self._db.write("forget a job", lambda connection: connection.execute(query))

    def get(self, key: RequestKey) -> JobRow | None:
        """One job."""
        found = self._select(of_request(jobs, key))
        return found[0] if found else None

    def unended(self) -> list[JobRow]:
        """Jobs that wait or run: at start-up, those that the last process left. Oldest first."""
        return self._select(jobs.c.state == JobState.OPEN.value)

    def held(self) -> list[JobRow]:
        """Jobs whose output waits for a person, oldest first."""
        return self._select(jobs.c.state == JobState.HELD.value)

    def ended_before(self, ms: int) -> list[JobRow]:
        """Jobs that ended before a time; those that are held have not."""
        ended = jobs.c.state.not_in([JobState.OPEN.value, JobState.HELD.value])
        return self._select(sa.and_(ended, jobs.c.ended_ms < ms))

    def of_tenant(
        self, tenant: str, limit: int, *, after: str = "", modality: Modality | None = None, oldest_first: bool = False
    ) -> list[JobRow]:
        """A tenant's jobs, newest first.

        Args:
            tenant: Whose.
            limit: At most so many.
            after: Request id of the last job of the page before; "" = from the start.
            modality: Only jobs for this; None = all.
            oldest_first: The other order.

        Raises:
            NotFound: no job ``after`` of this tenant.
        """
        where = [jobs.c.tenant == tenant]
        if modality is not None:
            where.append(jobs.c.modality == modality.value)
        if after:
            last = self.get(RequestKey(tenant, after))
            if last is None:
                raise NotFound(f"no job {after[:60]!r}", field="after")
            place, at = sa.tuple_(jobs.c.created_ms, jobs.c.request_id), sa.tuple_(last.created_ms, last.request_id)
            where.append(place > at if oldest_first else place < at)
        return self._select(sa.and_(*where), newest_first=not oldest_first, limit=limit)

    def _select(
        self, where: sa.ColumnElement[bool], *, newest_first: bool = False, limit: int | None = None
    ) -> list[JobRow]:
        order = (jobs.c.created_ms, jobs.c.request_id)
        query = sa.select(jobs).where(where).limit(limit)
        query = query.order_by(*(column.desc() if newest_first else column for column in order))
        with self._db.reading("read jobs") as connection:
            return [_row(row) for row in connection.execute(query).mappings()]


def _values(row: JobRow) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in jobs.c.keys()}
    return values | {"modality": row.modality.value, "state": row.state.value, "shape": json.dumps(dict(row.shape))}


def _row(row: Mapping[Any, Any]) -> JobRow:
    made = {**row, "modality": Modality(row["modality"]), "state": JobState(row["state"])}
    return JobRow(**made | {"shape": json.loads(row["shape"])})
