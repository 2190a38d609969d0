"""End users of tenants: each owns what is sealed for it, and is known here by a pseudonym only."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from gensafe.core.ids import check_subject
from gensafe.registry.database import Database
from gensafe.registry.tables import end_users


def owner_name(tenant: str, subject: str = "") -> str:
    """Whose key seals what a request leaves: the end user's, or the tenant's where it names none.

    No tenant's name has a NUL (``server.tenant_names``), so no two pairs share a name.

    Raises:
        InvalidRequest: ``subject`` cannot name anybody.
    """
    subject = check_subject(subject)
    return f"{tenant}\0{subject}" if subject else tenant


class EndUsers:
    """Which pseudonyms are end users of which tenant. Safe between threads and processes."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def note(self, who: str, tenant: str) -> None:
        """Remember that ``who`` is an end user of ``tenant``. Doing it twice changes nothing."""
        if self.tenant_of(who) == tenant:
            return
        query = sa.insert(end_users).values(subject=who, tenant=tenant)
        try:
            self._db.write("note an end user", lambda connection: connection.execute(query).rowcount)
        except IntegrityError:
            pass  # another thread was first

    def tenant_of(self, who: str) -> str:
        """Whose end user ``who`` is; "" = nobody's."""
        with self._db.reading("read end users") as connection:
            return str(
                connection.execute(sa.select(end_users.c.tenant).where(end_users.c.subject == who)).scalar() or ""
            )

    def of(self, tenant: str) -> list[str]:
        """Pseudonyms of every end user that a tenant ever named."""
        query = sa.select(end_users.c.subject).where(end_users.c.tenant == tenant).order_by(end_users.c.subject)
        with self._db.reading("read end users") as connection:
            return list(connection.execute(query).scalars())
