"""Who used how much: a row for each attempt, and sums by minute and day that quotas and budgets are held to.

An attempt's row goes through states, each change once and together with the sums it changes:
  reserved   in the transaction that opens its intent, with what it may use at most
  settled    what it used, measured; before anything of it leaves
  void       a crash cut it off: nothing of it counts
So a crash between any two steps neither loses nor doubles anything: ``recovery`` voids what was cut off.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gensafe.core.errors import QuotaExceeded
from gensafe.core.ports import Clock
from gensafe.core.types.usage import MICRO, Amounts, Limit, Reservation
from gensafe.registry.database import Database
from gensafe.registry.tables import spending, usage_totals

MINUTE_MS: Final = 60_000  # milliseconds
DAY_MS: Final = 86_400_000  # milliseconds
RESERVED: Final = "reserved"
SETTLED: Final = "settled"
VOID: Final = "void"
_KEEP_MINUTES_MS: Final = 3_600_000  # sums by minute matter for that minute; the rest of an hour is for looking
_NAMES: Final = {
    "audio_ms": ("seconds of audio", 1000),  # milliseconds are counted
    "video_ms": ("seconds of video", 1000),
    "engine_ms": ("seconds of engine time", 1000),
    "micros": ("", MICRO),
}


@dataclass(frozen=True, slots=True)
class Spending:
    """One attempt's row."""

    record_id: int
    tenant: str
    key_id: str
    model: str
    modality: str
    at_ms: int
    state: str
    forecast: Amounts
    spent: Amounts


@dataclass(frozen=True, slots=True)
class DayOfUse:
    """What a tenant, or one of its keys, used on a day (UTC). ``key_id`` "" = all its keys and other credentials."""

    tenant: str
    key_id: str
    day: str  # "2026-01-31"
    spent: Amounts


class UsageTable:
    """The usage part of a registry. Safe between threads and processes."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def settle(self, record_id: int, spent: Amounts) -> None:
        """Count what an attempt used instead of what was reserved for it. Doing it again changes nothing.

        Raises:
            RegistryUnavailable: not written; what was reserved still counts.
        """
        self._db.write("count usage", lambda connection: change(connection, record_id, SETTLED, spent))

    def void(self, record_id: int) -> None:
        """Count nothing of an attempt that a crash cut off. Doing it again changes nothing."""
        self._db.write("take back usage", lambda connection: change(connection, record_id, VOID, Amounts()))

    def of(self, record_id: int) -> Spending | None:
        """The row of an attempt."""
        with self._db.reading("read usage") as connection:
            row = connection.execute(sa.select(spending).where(spending.c.record_id == record_id)).mappings().first()
        return None if row is None else _spending({**row})

    def reserved(self) -> list[Spending]:
        """Attempts whose use is not known yet."""
        with self._db.reading("read usage") as connection:
            rows = connection.execute(sa.select(spending).where(spending.c.state == RESERVED)).mappings().all()
        return [_spending({**row}) for row in rows]

    def days(self, since_ms: int, until_ms: int, tenant: str | None = None) -> list[DayOfUse]:
        """Use by day in [since, until), oldest first, then by tenant and key. None = every tenant."""
        table = usage_totals
        query = sa.select(table).where(
            table.c.period == "day", table.c.start_ms >= since_ms, table.c.start_ms < until_ms
        )
        if tenant is not None:
            query = query.where(table.c.tenant == tenant)
        with self._db.reading("read usage") as connection:
            rows = connection.execute(query.order_by(table.c.start_ms, table.c.tenant, table.c.key_id)).mappings().all()
        return [DayOfUse(r["tenant"], r["key_id"], _day(r["start_ms"]), Amounts.of({**r})) for r in rows]

    def running(self, periods: frozenset[str]) -> dict[tuple[str, str, str], Amounts]:
        """Used and reserved in each running period that is asked for, by (tenant, key id, period); key id "" = all."""
        table, now_ms = usage_totals, self._clock.now_ms()
        sums = [sa.func.sum(table.c[unit]).label(unit) for unit in Amounts().by_name()]
        found = {}
        with self._db.reading("read usage") as connection:
            for period in periods:
                summed = "day" if period == "month" else period
                where = sa.and_(table.c.period == summed, table.c.start_ms >= window(period, now_ms)[0])
                query = sa.select(table.c.tenant, table.c.key_id, *sums).where(where)
                for row in connection.execute(query.group_by(table.c.tenant, table.c.key_id)).mappings():
                    found[row["tenant"], row["key_id"], period] = Amounts.of({**row})
        return found

    def forget_minutes(self) -> None:
        """Drop sums by minute that no bound looks at any more."""
        old = usage_totals.c.start_ms < self._clock.now_ms() - _KEEP_MINUTES_MS
        query = sa.delete(usage_totals).where(usage_totals.c.period == "minute", old)
        self._db.write("forget usage by minute", lambda connection: connection.execute(query).rowcount)


def reserve(connection: sa.Connection, record_id: int, wanted: Reservation, now_ms: int) -> None:
    """Count what an attempt may use, in the caller's transaction, if every bound still holds with it.

    Raises:
        QuotaExceeded: one does not; says what it would have come to and when there is room again.
    """
    _add(connection, wanted.tenant, wanted.key_id, now_ms, wanted.forecast)
    for limit in wanted.limits:
        used = _used(connection, wanted.tenant, limit, now_ms)
        if used > limit.most:
            mine = getattr(wanted.forecast, limit.unit)
            raise _exceeded(wanted.tenant, limit, used - mine, mine, now_ms)
    row: dict[str, Any] = {
        "record_id": record_id,
        "tenant": wanted.tenant,
        "key_id": wanted.key_id,
        "model": wanted.model,
        "modality": wanted.modality,
        "at_ms": now_ms,
        "state": RESERVED,
        "forecast": json.dumps(wanted.forecast.by_name()),
    }
    connection.execute(sa.insert(spending).values(**row, **wanted.forecast.by_name()))


def change(connection: sa.Connection, record_id: int, state: str, spent: Amounts) -> None:
    """Take a row out of its state and correct the sums, in the caller's transaction; twice is once."""
    before = SETTLED if state == VOID else RESERVED
    mine = sa.and_(spending.c.record_id == record_id, spending.c.state.in_({before, RESERVED}))
    row = connection.execute(sa.select(spending).where(mine).with_for_update()).mappings().first()
    if row is None:
        return
    connection.execute(sa.update(spending).where(mine).values(state=state, **spent.by_name()))
    _add(connection, row["tenant"], row["key_id"], row["at_ms"], spent - Amounts.of({**row}))


def _add(connection: sa.Connection, tenant: str, key_id: str, at_ms: int, amounts: Amounts) -> None:
    """Add to the sums. The tenant's row comes first: it is the lock between processes that share a database."""
    rows = [
        {"tenant": tenant, "key_id": who, "period": period, "start_ms": at_ms - at_ms % length, **amounts.by_name()}
        for who in dict.fromkeys(("", key_id))
        for period, length in (("minute", MINUTE_MS), ("day", DAY_MS))
    ]
    connection.execute(_adding(connection.dialect.name), rows)


@lru_cache(maxsize=2)  # one for each kind of database; building and compiling it took longer than running it
def _adding(dialect: str) -> sqlite.Insert | postgresql.Insert:
    """The statement that adds a row's amounts to the sums under its key."""
    query = (sqlite.insert if dialect == "sqlite" else postgresql.insert)(usage_totals)
    more = {unit: usage_totals.c[unit] + query.excluded[unit] for unit in Amounts().by_name()}
    return query.on_conflict_do_update(index_elements=list(usage_totals.primary_key), set_=more)


def _used(connection: sa.Connection, tenant: str, limit: Limit, now_ms: int) -> int:
    """What was used and reserved in the limit's running period."""
    table = usage_totals
    start, _ = window(limit.period, now_ms)
    summed = "day" if limit.period == "month" else limit.period
    query = sa.select(sa.func.coalesce(sa.func.sum(table.c[limit.unit]), 0)).where(
        table.c.tenant == tenant, table.c.key_id == limit.key_id, table.c.period == summed, table.c.start_ms >= start
    )
    return int(connection.execute(query).scalar_one())


def window(period: str, now_ms: int) -> tuple[int, int]:
    """[start, end) of the minute, day or month (UTC) that ``now_ms`` is in, in milliseconds."""
    if period == "month":
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        start = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        after = start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
        return int(start.timestamp() * 1000), int(after.timestamp() * 1000)
    length = DAY_MS if period == "day" else MINUTE_MS
    begin = now_ms - now_ms % length
    return begin, begin + length


def _exceeded(tenant: str, limit: Limit, used: int, wanted: int, now_ms: int) -> QuotaExceeded:
    name, scale = _NAMES.get(limit.unit, (limit.unit, 1))
    whose = f"key {limit.key_id} of tenant {tenant}" if limit.key_id else f"tenant {tenant}"
    what = f"{name} a {limit.period}" if name else f"budget a {limit.period}"
    numbers = [f"{value / scale:.10g}" for value in (limit.most, used, wanted)]
    return QuotaExceeded(
        f"{whose} has {numbers[0]} {what}: {numbers[1]} used or reserved, and this request may take {numbers[2]}",
        retry_after_s=max(1.0, (window(limit.period, now_ms)[1] - now_ms) / 1000),
        subject=limit.key_id or tenant,
        budget=limit.unit == "micros",
    )


def _day(start_ms: int) -> str:
    return datetime.fromtimestamp(start_ms / 1000, UTC).date().isoformat()


def _spending(row: Mapping[str, Any]) -> Spending:
    facts = {name: row[name] for name in ("record_id", "tenant", "key_id", "model", "modality", "at_ms", "state")}
    return Spending(**facts, forecast=Amounts.of(json.loads(row["forecast"])), spent=Amounts.of(row))
