"""What a command asks of the process that may write the log: one row each, carried out in order, once.

The log has one writer. While a server holds it, commands such as ``gensafe privacy erase`` leave an order here, and the
server carries it out within seconds. Orders hold pseudonyms and commitments, never names or words.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from gensafe.core.errors import NotFound
from gensafe.core.ports import Clock
from gensafe.registry.database import Database
from gensafe.registry.tables import orders


class OrderKind(StrEnum):
    """What can be asked for."""

    SHOW = "review.shown"  # a person takes a copy of a held output
    MISUSE = "misuse.reported"
    DECIDE_MISUSE = "misuse.decided"
    ERASE = "privacy.erase"
    HOLD = "hold.set"
    LIFT = "hold.released"
    KEY = "key.rotated"  # and use the keys that are active now
    API_KEY = "api_key.changed"
    STOP = "tenant.stopped"
    RESTORE = "tenant.restored"
    DISCLOSE = "key.disclosed"  # publish the key of a retired watermark epoch


@dataclass(frozen=True, slots=True)
class Order:
    """An order; ``result`` is None until it was carried out, and has ``error`` if it was refused."""

    order_id: str
    kind: OrderKind
    body: Mapping[str, Any]
    result: Mapping[str, Any] | None


class Orders:
    """The orders of one registry. Safe between threads and processes."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def place(self, kind: OrderKind, body: Mapping[str, Any]) -> str:
        """Leave an order; returns its id."""
        order_id = secrets.token_hex(8)
        row = {"order_id": order_id, "kind": kind.value, "body": json.dumps(dict(body)), "result": None}
        query = sa.insert(orders).values(**row, placed_ms=self._clock.now_ms())
        self._db.write("place an order", lambda connection: connection.execute(query).rowcount)
        return order_id

    def get(self, order_id: str) -> Order:
        """One order.

        Raises:
            NotFound: none of that id.
        """
        found = self._select(orders.c.order_id == order_id)
        if not found:
            raise NotFound(f"no order {order_id}")
        return found[0]

    def waiting(self) -> list[Order]:
        """Orders that nobody carried out, oldest first."""
        return self._select(orders.c.result.is_(None))

    def finish(self, order_id: str, result: Mapping[str, Any]) -> None:
        """Note what came of an order; what it said is forgotten."""
        done = sa.update(orders).where(orders.c.order_id == order_id).values(result=json.dumps(dict(result)), body="{}")
        self._db.write("finish an order", lambda connection: connection.execute(done).rowcount)

    def _select(self, where: sa.ColumnElement[bool]) -> list[Order]:
        query = sa.select(orders).where(where).order_by(orders.c.placed_ms, orders.c.order_id)
        with self._db.reading("read orders") as connection:
            rows = connection.execute(query).mappings().all()
        return [
            Order(
                row["order_id"],
                OrderKind(row["kind"]),
                json.loads(row["body"]),
                json.loads(row["result"]) if row["result"] else None,
            )
            for row in rows
        ]
