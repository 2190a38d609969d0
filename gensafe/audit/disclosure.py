"""Who may read a log entry. One rule for queries, proofs, exports and reports.

An entry that names a tenant is that tenant's. An entry without one is for the owner of the log, unless its event is
``PUBLIC``: what everybody needs to check signatures, to know the policy they were judged under, to know when a
classifier was down, or that the clock was put right. Legal holds, tombstones, reports of misuse, verifications and
the owner's exports are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gensafe.audit import entries
from gensafe.core.types.caller import Everything, OneTenant, Scope

PUBLIC: Final = frozenset(
    {
        entries.KEY_ROTATED,
        entries.KEY_COMMITTED,
        entries.KEY_DISCLOSED,
        entries.POLICY_CHANGED,
        entries.SERVICE_STARTED,
        entries.FILTER_UNAVAILABLE,
        entries.FILTER_RESTORED,
        entries.CLOCK_CORRECTED,
    }
)
"""Events about the service itself, which say nothing about any tenant."""


def may_read(scope: Scope, entry: Mapping[str, Any]) -> bool:
    """Whether ``entry`` is disclosed within ``scope``. A tenant that is no string, or empty, is nobody's."""
    if isinstance(scope, Everything):
        return True
    if "tenant" not in entry:
        return entry.get("event") in PUBLIC
    tenant = entry["tenant"]
    return isinstance(tenant, str) and bool(tenant) and scope.sees(tenant)


def scope_of(tenant: str | None) -> Scope:
    """The scope an owner chose on the command line: one tenant, or everything when none was named (None).

    Raises:
        ValueError: the name is empty; an empty name never means everything.
    """
    return Everything() if tenant is None else OneTenant(tenant)


def name_of(scope: Scope) -> str:
    """How an export's manifest names its scope: the tenant, or "" for everything."""
    return scope.tenant if isinstance(scope, OneTenant) else ""
