"""Intents: one row per request, so that a crash leaves nothing open and a repeated request is recognised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from gensafe.core.errors import Conflict, InvalidRequest, RegistryError
from gensafe.core.ports import Clock
from gensafe.core.types import RequestKey
from gensafe.core.types.usage import Amounts, Reservation
from gensafe.registry.database import Database
from gensafe.registry.model import Intent, IntentState
from gensafe.registry.tables import intents, of_request
from gensafe.registry.usage import VOID, change, reserve

ERASABLE_STATES: Final = (IntentState.BLOCKED, IntentState.CANCELLED, IntentState.FAILED, IntentState.ABORTED)


class IntentTable:
    """The intents part of a registry. Safe between threads and processes."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def open_intent(
        self,
        key: RequestKey,
        request_digest: str,
        record_id: int,
        opened_index: int = -1,
        modality: str = "",
        older_digest: str = "",
        reservation: Reservation | None = None,
    ) -> tuple[Intent, bool]:
        """Claim a request id. Returns (intent, True) if it is new, (the existing intent, False) on a replay.

        Call it before logging ``generation.opened`` and ``mark_opened`` after: then two racing requests of one id
        cannot both run, and recovery knows of every request that may have begun.

        Args:
            key: The request's id and tenant.
            request_digest: Keyed digest of everything that makes two requests the same.
            record_id: Of the output that may come.
            opened_index: Of its log entry; -1 = not logged yet.
            modality: Of the output.
            older_digest: What an older version would have stored for the same request.
            reservation: What it may use: counted in the same transaction, or the intent is not opened.

        Raises:
            QuotaExceeded: a quota or budget would be exceeded.
            InvalidRequest: this tenant used the id for another request.
        """
        row: dict[str, Any] = {
            "request_id": key.request_id,
            "request_digest": request_digest,
            "tenant": key.tenant,
            "record_id": record_id,
            "modality": modality,
            "opened_index": opened_index,
            "state": IntentState.OPEN.value,
            "final_index": -1,
            "created_ms": self._clock.now_ms(),
        }
        try:
            self._db.write("open an intent", lambda connection: _open(connection, row, reservation))
        except IntegrityError:
            existing = self.intent(key)
            if existing is None or existing.request_digest not in (request_digest, older_digest):
                raise InvalidRequest(
                    "this request id was used for another request", field="request_id", fix="send a fresh UUID"
                ) from None
            return existing, False
        return _intent(row), True

    def reopen_intent(self, key: RequestKey, record_id: int, reservation: Reservation | None = None) -> None:
        """Let a request that failed, was cancelled or was cut off run again under its id, as a new record.

        Raises:
            QuotaExceeded: as ``open_intent``.
            Conflict: it is running, was blocked or was released.
        """
        again = (IntentState.FAILED.value, IntentState.CANCELLED.value, IntentState.ABORTED.value)
        query = sa.update(intents).where(of_request(intents, key), intents.c.state.in_(again))
        fresh = {"record_id": record_id, "opened_index": -1, "final_index": -1, "state": IntentState.OPEN.value}
        now_ms = self._clock.now_ms()

        def again_or_not(connection: sa.Connection) -> int:
            changed = connection.execute(query.values(**fresh, created_ms=now_ms)).rowcount
            if changed == 1 and reservation is not None:
                reserve(connection, record_id, reservation, now_ms)
            return changed

        if self._db.write("reopen an intent", again_or_not) != 1:
            raise Conflict("this request is still running", field="request_id")  # another retry of it was first

    def restore_intent(self, intent: Intent) -> None:
        """Put back an intent that the log knows and the registry lost; replaces an older attempt."""
        row = {name: getattr(intent, name) for name in intents.c.keys()} | {"state": intent.state.value}

        def exchange(connection: sa.Connection) -> None:
            connection.execute(sa.delete(intents).where(of_request(intents, intent.key)))
            connection.execute(sa.insert(intents).values(**row))

        self._db.write("restore an intent", exchange)

    def mark_opened(self, key: RequestKey, opened_index: int) -> None:
        """Note where the log has the intent."""
        query = sa.update(intents).where(of_request(intents, key)).values(opened_index=opened_index)
        if self._db.write("update an intent", lambda connection: connection.execute(query).rowcount) != 1:
            raise RegistryError(f"request {key.request_id} has no intent")

    def close_intent(self, key: RequestKey, state: IntentState | str, final_index: int) -> None:
        """Note how a request ended and where the log says so. Doing it twice changes nothing.

        Raises:
            RegistryError: no such open or held intent.
        """
        self._db.write("close an intent", lambda connection: close(connection, key, IntentState(state), final_index))

    def intent(self, key: RequestKey) -> Intent | None:
        """The intent of a request."""
        with self._db.reading("read intents") as connection:
            row = connection.execute(sa.select(intents).where(of_request(intents, key))).mappings().first()
        return None if row is None else _intent({**row})

    def intents_named(self, request_id: str) -> list[Intent]:
        """Every tenant's intent of this request id, oldest first: for the owner of the data folder only."""
        query = sa.select(intents).where(intents.c.request_id == request_id).order_by(intents.c.created_ms)
        with self._db.reading("read intents") as connection:
            return [_intent({**row}) for row in connection.execute(query).mappings()]

    def open_intents(self) -> list[Intent]:
        """Requests that were begun and not closed: at start-up, those a crash cut off. Oldest first."""
        query = sa.select(intents).where(intents.c.state == IntentState.OPEN.value).order_by(intents.c.created_ms)
        with self._db.reading("read intents") as connection:
            return [_intent({**row}) for row in connection.execute(query).mappings()]


def _open(connection: sa.Connection, row: Mapping[str, Any], reservation: Reservation | None) -> None:
    connection.execute(sa.insert(intents).values(**row))
    if reservation is not None:
        reserve(connection, row["record_id"], reservation, row["created_ms"])


def close(connection: sa.Connection, key: RequestKey, state: IntentState, final_index: int) -> None:
    """Set how a request ended, in the caller's transaction.

    Raises:
        RegistryError: it has no open or held intent, and was not closed in just this way.
    """
    mine, values = of_request(intents, key), {"state": state.value, "final_index": final_index}
    running = intents.c.state.in_([IntentState.OPEN.value, IntentState.HELD.value])
    if connection.execute(sa.update(intents).where(mine, running).values(**values)).rowcount == 1:
        if state is IntentState.ABORTED:  # a crash cut it off: nothing of it counts
            record_id = connection.execute(sa.select(intents.c.record_id).where(mine)).scalar_one()
            change(connection, record_id, VOID, Amounts())
        return
    same = sa.and_(intents.c.state == state.value, intents.c.final_index == final_index)
    if connection.execute(sa.select(intents.c.request_id).where(mine, same)).first() is None:
        raise RegistryError(f"request {key.request_id} has no open intent")


def _intent(row: Mapping[str, Any]) -> Intent:
    return Intent(**{**row, "state": IntentState(row["state"])})
