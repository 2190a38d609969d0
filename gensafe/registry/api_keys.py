"""API keys that ``gensafe keys api`` makes: one row each, of the secret only its digest, and what was done to each.

A key is *pending* until the log has its entry, so that none is ever in force that the log does not know. Withdrawing
goes the other way round: the row first, then the entry.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa

from gensafe.core.errors import NotFound
from gensafe.core.ports import Clock
from gensafe.registry.database import Database
from gensafe.registry.tables import api_key_acts, api_keys

DAY_MS: Final = 86_400_000  # milliseconds


class KeyState(StrEnum):
    """Whether a key opens anything."""

    PENDING = "pending"  # its entry is not in the log yet
    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


class KeyChange(StrEnum):
    """What is done to a key, as log and history call it."""

    CREATED = "created"
    ROTATED = "rotated"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key without its secret."""

    key_id: str
    digest: str  # "sha256:<hex>" of the whole key
    tenant: str
    name: str  # the operator's own words
    roles: frozenset[str]
    models: frozenset[str]  # empty = all
    created_ms: int
    expires_ms: int | None = None  # None = never
    revoked_ms: int | None = None
    used_day: int | None = None  # days since 1970-01-01 UTC; no time of day is kept
    replaces: str = ""  # key id
    pending: bool = False

    def state(self, now_ms: int) -> KeyState:
        """What it is at a time."""
        if self.revoked_ms is not None:
            return KeyState.REVOKED
        if self.pending:
            return KeyState.PENDING
        return KeyState.EXPIRED if self.expires_ms is not None and now_ms >= self.expires_ms else KeyState.ACTIVE


@dataclass(frozen=True, slots=True)
class KeyAct:
    """One line of a key's history. The log has ``actor`` as a pseudonym and of ``reason`` a keyed digest."""

    at_ms: int
    change: KeyChange
    actor: str
    reason: str
    log_index: int | None = None  # None = not logged yet


class ApiKeyTable:
    """The API keys of one registry. Safe between threads and processes."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def add(self, key: ApiKey, act: KeyAct) -> None:
        """Store a new key, pending."""
        row = {
            "key_id": key.key_id,
            "digest": key.digest,
            "tenant": key.tenant,
            "name": key.name,
            "roles": json.dumps(sorted(key.roles)),
            "models": json.dumps(sorted(key.models)),
            "created_ms": key.created_ms,
            "expires_ms": key.expires_ms,
            "replaces": key.replaces,
            "pending": True,
        }

        def both(connection: sa.Connection) -> None:
            connection.execute(sa.insert(api_keys).values(**row))
            _note(connection, key.key_id, act)

        self._db.write("store an API key", both)

    def activate(self, key_id: str, expire_replaced_ms: int | None = None) -> None:
        """Put a pending key in force; the key that it replaces then ends at ``expire_replaced_ms``, or before."""
        mine = api_keys.c.key_id == key_id

        def put(connection: sa.Connection) -> None:
            connection.execute(sa.update(api_keys).where(mine).values(pending=False))
            replaced = sa.select(api_keys.c.replaces).where(mine).scalar_subquery()
            if expire_replaced_ms is not None:
                later = sa.or_(api_keys.c.expires_ms.is_(None), api_keys.c.expires_ms > expire_replaced_ms)
                query = sa.update(api_keys).where(api_keys.c.key_id == replaced, later)
                connection.execute(query.values(expires_ms=expire_replaced_ms))

        self._db.write("put an API key in force", put)

    def revoke(self, key_id: str, act: KeyAct) -> None:
        """Withdraw a key for good. Doing it twice keeps the first time."""
        mine = sa.and_(api_keys.c.key_id == key_id, api_keys.c.revoked_ms.is_(None))

        def both(connection: sa.Connection) -> None:
            connection.execute(sa.update(api_keys).where(mine).values(revoked_ms=act.at_ms))
            _note(connection, key_id, act)

        self._db.write("revoke an API key", both)

    def logged(self, key_id: str, change: KeyChange, log_index: int) -> None:
        """Note where the log has the newest act of a kind."""
        newest = sa.select(sa.func.max(api_key_acts.c.number)).where(
            api_key_acts.c.key_id == key_id, api_key_acts.c.change == change.value
        )
        query = sa.update(api_key_acts).where(api_key_acts.c.number == newest.scalar_subquery())
        self._db.write("note an act", lambda connection: connection.execute(query.values(log_index=log_index)).rowcount)

    def used(self, key_ids: frozenset[str], day: int) -> None:
        """Note that keys were used on a day (since 1970-01-01 UTC)."""
        older = sa.or_(api_keys.c.used_day.is_(None), api_keys.c.used_day < day)
        query = sa.update(api_keys).where(api_keys.c.key_id.in_(sorted(key_ids)), older).values(used_day=day)
        self._db.write("note the use of API keys", lambda connection: connection.execute(query).rowcount)

    def get(self, key_id: str) -> ApiKey:
        """One key.

        Raises:
            NotFound: none of that id.
        """
        found = self._select(api_keys.c.key_id == key_id)
        if not found:
            raise NotFound(f"no API key {key_id!r}", field="key_id", fix="see: gensafe keys api list")
        return found[0]

    def all(self) -> list[ApiKey]:
        """Every key there ever was, oldest first."""
        return self._select(sa.true())

    def history(self, key_id: str) -> list[KeyAct]:
        """What was done to a key, oldest first."""
        query = sa.select(api_key_acts).where(api_key_acts.c.key_id == key_id).order_by(api_key_acts.c.number)
        with self._db.reading("read the history of an API key") as connection:
            rows = connection.execute(query).mappings().all()
        return [KeyAct(r["at_ms"], KeyChange(r["change"]), r["actor"], r["reason"], r["log_index"]) for r in rows]

    def _select(self, where: sa.ColumnElement[bool]) -> list[ApiKey]:
        query = sa.select(api_keys).where(where).order_by(api_keys.c.created_ms, api_keys.c.key_id)
        with self._db.reading("read API keys") as connection:
            return [_key({**row}) for row in connection.execute(query).mappings()]


def _note(connection: sa.Connection, key_id: str, act: KeyAct) -> None:
    row = {"key_id": key_id, "at_ms": act.at_ms, "change": act.change.value, "actor": act.actor, "reason": act.reason}
    connection.execute(sa.insert(api_key_acts).values(**row))


def _key(values: Mapping[str, Any]) -> ApiKey:
    return ApiKey(**{**values} | {name: frozenset(json.loads(values[name])) for name in ("roles", "models")})
