"""Which log entries a scope may read. The review saw on ed72f70: entries without a tenant, legal holds among them, were
everybody's, and a caller whose tenant was "" saw the entries of all.
"""

from __future__ import annotations

import pytest

from gensafe.audit import entries
from gensafe.audit.disclosure import PUBLIC, may_read, scope_of
from gensafe.core.types import Everything, OneTenant, Public

SCOPES = {"acme": OneTenant("acme"), "beta": OneTenant("beta"), "public": Public(), "all": Everything()}


def readers(entry: dict[str, object]) -> set[str]:
    return {name for name, scope in SCOPES.items() if may_read(scope, entry)}


@pytest.mark.parametrize("event", entries.EVENTS)
def test_an_entry_of_a_tenant_is_its_own(event: str):
    assert readers({"event": event, "tenant": "acme"}) == {"acme", "all"}


@pytest.mark.parametrize("event", entries.EVENTS)
def test_an_entry_of_nobody_is_the_owners_unless_its_event_is_public(event: str):
    assert readers({"event": event}) == (set(SCOPES) if event in PUBLIC else {"all"})


def test_holds_and_tombstones_are_not_public():
    private = {entries.HOLD_SET, entries.HOLD_RELEASED, entries.TOMBSTONE, entries.MISUSE_REPORTED, entries.VERIFIED}
    assert not private & PUBLIC


@pytest.mark.parametrize("tenant", ["", None, 0, ["acme"], {"acme": 1}, "*", "acme "])
def test_an_odd_tenant_is_nobodys(tenant: object):
    assert readers({"event": entries.KEY_ROTATED, "tenant": tenant}) == {"all"}


def test_an_empty_name_never_means_all():
    assert scope_of(None) == Everything()
    assert scope_of("acme") == OneTenant("acme")
    with pytest.raises(ValueError, match="name"):
        scope_of("")
