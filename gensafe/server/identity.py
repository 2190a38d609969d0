"""Identities: who a call is served for. Established by ``access`` before a handler runs, read by ``caller``."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from gensafe.core.errors import Unauthenticated
from gensafe.core.types import Everything, OneTenant, Scope

ROLES: Final = frozenset({"generate", "verify", "classify", "audit"})
"""Those of a caller for whom none are named: what is done for one tenant."""

METRICS: Final = "metrics"  # about the whole server: held only by keys that name it
REVIEW: Final = "review"  # decides what is made of others' outputs: likewise
ADMIN: Final = "admin"  # the desk of the whole installation, all tenants: likewise
NAMED: Final = frozenset({METRICS, REVIEW, ADMIN})
"""Roles that nobody holds for whom they are not named."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller: tenant name, the roles it holds, and whether it owns the whole data directory.

    ``key_id``: the API key, where one of ``gensafe keys api`` was presented. ``models``: those it may use; empty = all.
    ``subject``: the end user that a token names; "" = requests name them.
    """

    tenant: str
    roles: frozenset[str]
    owner: bool = False
    key_id: str = ""
    models: frozenset[str] = frozenset()
    subject: str = ""

    def may_use(self, model: str) -> bool:
        """Whether this caller may have ``model`` make something."""
        return not self.models or model in self.models

    @property
    def scope(self) -> Scope:
        """What this caller may see."""
        return Everything() if self.owner else OneTenant(self.tenant)


LOCAL: Final = Identity("local", ROLES | {REVIEW, ADMIN}, owner=True)
"""A caller on loopback of a server without identities."""

_current: ContextVar[Identity] = ContextVar("identity")


def caller() -> Identity:
    """The identity of the call being served.

    Raises:
        Unauthenticated: none was established. That is a fault of ours, and it must not open anything.
    """
    identity = _current.get(None)
    if identity is None:
        raise Unauthenticated("no identity was established for this call")
    return identity


def known_caller() -> Identity | None:
    """The identity of the call being served, for the server's own records; None = none was established."""
    return _current.get(None)


def establish_caller(identity: Identity) -> None:
    """Serve the rest of this call, and the threads it starts, for ``identity``."""
    _current.set(identity)
