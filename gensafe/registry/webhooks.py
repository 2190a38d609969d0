"""Messages to webhooks: one row each, from the transaction that ends a job until they are delivered or given up.

A message names the job, its state and its record; nothing that a person wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from gensafe.registry.database import Database
from gensafe.registry.tables import meta

webhook_messages = sa.Table(
    "webhook_messages",
    meta,
    sa.Column("message_id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_ms", sa.BigInteger, index=True),  # NULL = delivered or given up
    sa.Column("outcome", sa.Text, nullable=False),  # of the last attempt
)


@dataclass(frozen=True, slots=True)
class WebhookMessage:
    """One message; ``next_ms`` None = nothing more is done about it."""

    message_id: str
    tenant: str
    url: str
    body: str  # JSON
    created_ms: int
    attempts: int = 0
    next_ms: int | None = 0
    outcome: str = ""


def queue(connection: sa.Connection, messages: Sequence[WebhookMessage]) -> None:
    """Store messages in the caller's transaction."""
    for one in messages:
        row = {name: getattr(one, name) for name in webhook_messages.c.keys()}
        connection.execute(sa.insert(webhook_messages).values(**row))


class WebhookTable:
    """The messages of one registry. Safe between threads and processes."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def due(self, now_ms: int, limit: int) -> list[WebhookMessage]:
        """Messages whose time has come, those that wait longest first."""
        due = sa.select(webhook_messages).where(webhook_messages.c.next_ms <= now_ms)
        with self._db.reading("read webhook messages") as connection:
            rows = connection.execute(due.order_by(webhook_messages.c.next_ms).limit(limit)).mappings()
            return [WebhookMessage(**row) for row in rows]

    def tried(self, message_id: str, outcome: str, next_ms: int | None) -> None:
        """Note what came of an attempt, and when the next one is; None = none."""
        query = sa.update(webhook_messages).where(webhook_messages.c.message_id == message_id)
        values = {"attempts": webhook_messages.c.attempts + 1, "outcome": outcome, "next_ms": next_ms}
        self._db.write("note an attempt", lambda connection: connection.execute(query.values(**values)))

    def forget(self, before_ms: int) -> None:
        """Forget messages from before a time that nothing more is done about."""
        done = webhook_messages.c.next_ms.is_(None)
        query = sa.delete(webhook_messages).where(done, webhook_messages.c.created_ms < before_ms)
        self._db.write("forget webhook messages", lambda connection: connection.execute(query))
