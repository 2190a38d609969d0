"""Legal holds: while one covers a subject or a tenant, nothing of theirs is erased, and nothing at all is pruned."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from gensafe.core.errors import RegistryRefused
from gensafe.core.ports import Clock
from gensafe.registry.database import Database
from gensafe.registry.model import Hold
from gensafe.registry.tables import holds, intents, prompts


class HoldTable:
    """The holds part of a registry. Safe between threads and processes."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def set_hold(self, hold_id: str, scope: str) -> Hold:
        """Place a legal hold: ``all``, ``tenant:<tenant>`` or ``subject:<pseudonym>``.

        Raises:
            RegistryRefused: the id is taken or the scope is none of these.
        """
        kind, _, name = scope.partition(":")
        if scope != "all" and not (kind in ("tenant", "subject") and name):
            raise RegistryRefused("a hold covers all, tenant:<tenant> or subject:<pseudonym>", field="scope")
        hold = Hold(hold_id, scope, self._clock.now_ms())
        try:
            row = {"hold_id": hold_id, "scope": scope, "created_ms": hold.created_ms}
            self._db.write("place a hold", lambda connection: connection.execute(sa.insert(holds).values(**row)))
        except IntegrityError:
            raise RegistryRefused(f"there is a hold {hold_id} already", field="hold_id") from None
        return hold

    def release_hold(self, hold_id: str) -> Hold:
        """Lift a legal hold.

        Raises:
            RegistryRefused: there is none of that id.
        """
        found = [hold for hold in self.holds() if hold.hold_id == hold_id]
        if not found:
            raise RegistryRefused(f"there is no hold {hold_id}", field="hold_id")
        query = sa.delete(holds).where(holds.c.hold_id == hold_id)
        self._db.write("lift a hold", lambda connection: connection.execute(query))
        return found[0]

    def holds(self) -> list[Hold]:
        """The holds in force, oldest first."""
        with self._db.reading("read holds") as connection:
            rows = connection.execute(sa.select(holds).order_by(holds.c.created_ms, holds.c.hold_id)).all()
        return [Hold(row.hold_id, row.scope, row.created_ms) for row in rows]

    def _covering(self, who: str) -> list[Hold]:
        """Holds that forbid erasing the subject with this pseudonym: on all, on it, or on a tenant it asked through."""
        found = [hold for hold in self.holds() if hold.scope in ("all", f"subject:{who}")]
        return found + self._tenant_holds(who)

    def _tenant_holds(self, who: str) -> list[Hold]:
        tenants = {h.scope[7:]: h for h in self.holds() if h.scope.startswith("tenant:")}
        if not tenants:
            return []
        query = sa.select(intents.c.tenant).join(prompts, prompts.c.record_id == intents.c.record_id)
        with self._db.reading("read holds") as connection:
            found = connection.execute(query.where(prompts.c.subject == who).distinct()).scalars().all()
        return [tenants[tenant] for tenant in found if tenant in tenants]
