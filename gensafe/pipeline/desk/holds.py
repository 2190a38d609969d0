"""Legal holds and erasures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gensafe.core.errors import InvalidRequest, PermissionDenied, RegistryRefused
from gensafe.core.types.caller import Everything
from gensafe.pipeline.desk.base import NO_ENTRY, Desk, Person, check_words
from gensafe.registry import Act, Hold, OrderKind, owner_name

REASONS: Final = ("request of the subject", "retention", "end of contract", "order of an authority", "correction")
"""Reasons of an erasure: they are logged for good, so nobody's own words."""


@dataclass(frozen=True, slots=True)
class HoldWords:
    """A legal hold in force, how the log calls it, and who placed it and why, where that was said."""

    hold: Hold
    logged_as: str
    placed: Act | None


@dataclass(frozen=True, slots=True)
class Erasure:
    """Whose data, as the log names them, and how much of it; ``log_index`` NO_ENTRY = nothing was erased."""

    subject: str
    erased: Mapping[str, int]
    log_index: int = NO_ENTRY


def holds(desk: Desk, person: Person) -> list[HoldWords]:
    """The legal holds in force, oldest first."""
    _whole(person)
    found = []
    for hold in desk.registry.holds():
        name = desk.registry.hold_name(hold.hold_id) if desk.keys is not None else ""
        acts = [act for act in desk.registry.acts.of(name) if act.act == OrderKind.HOLD] if name else []
        found.append(HoldWords(hold, name, acts[-1] if acts else None))
    return found


def place_hold(
    desk: Desk, person: Person, hold_id: str, scope: str, reason: str, *, tenant: str = "", needed: bool = True
) -> dict[str, Any]:
    """Place a legal hold; returns ``logged_as``, ``scope`` as it is in force, ``log_index``.

    Args:
        desk: Where.
        person: Who; must see all tenants.
        hold_id: A name for it; the log gets a pseudonym.
        scope: ``all``, ``tenant:<tenant>`` or ``subject:<subject>``.
        reason: Why, in their own words.
        tenant: Whose end user the subject is; "" = the subject is a name of its own.
        needed: Whether who and why must be said.

    Raises:
        InvalidRequest: a field is empty, too long or does not fit the others.
        RegistryRefused: the name is taken, or the scope is none.
    """
    _whole(person)
    check_words(person, reason, needed=needed)
    if not hold_id.strip():
        raise InvalidRequest("is empty", field="hold_id", fix="give the hold a name")
    if scope.startswith("subject:"):
        scope = "subject:" + desk.registry.pseudonym(owner_of(tenant, scope.removeprefix("subject:")))
    elif tenant:
        raise InvalidRequest("is for one end user", field="tenant", fix="with scope subject:<subject>")
    return _hold(desk, person, OrderKind.HOLD, {"hold_id": hold_id, "scope": scope}, reason)


def lift_hold(desk: Desk, person: Person, hold_id: str, reason: str, *, needed: bool = True) -> dict[str, Any]:
    """Lift a legal hold; returns as ``place_hold``.

    Raises:
        InvalidRequest: as ``place_hold``.
        RegistryRefused: there is none of that name.
    """
    _whole(person)
    check_words(person, reason, needed=needed)
    return _hold(desk, person, OrderKind.LIFT, {"hold_id": hold_id}, reason)


def erase(
    desk: Desk, person: Person, reason: str, *, tenant: str = "", subject: str = "", dry_run: bool = False
) -> Erasure:
    """Destroy the key of a tenant with its end users, of one end user, or of a report of misuse.

    Args:
        desk: Where.
        person: Who; must see all tenants.
        reason: One of REASONS.
        tenant: A tenant; with ``subject`` only that end user of it.
        subject: An end user of ``tenant``; without one a tenant or ``misuse:<ticket>``.
        dry_run: Count what would go, and erase nothing.

    Raises:
        InvalidRequest: nobody is named, or the reason is none of those.
        RegistryRefused: nothing is kept about this subject, or a legal hold covers it.
    """
    _whole(person)
    if reason not in REASONS:
        raise InvalidRequest("is none that may be logged", field="reason", fix=", ".join(REASONS))
    if not tenant and not subject:
        raise InvalidRequest("say whose data", field="subject", fix="give a tenant, a subject or both")
    registry, one = desk.registry, bool(tenant and subject)
    if one:
        owners = [registry.pseudonym(owner_of(tenant, subject))]
    else:
        owners = registry.owners_of(tenant or subject)
    kept, known = registry.kept_of(owners), registry.knows(owners)
    who = registry.commitment_of(owners[0]) if one and known else owners[0]
    if dry_run:
        return Erasure(who, kept)
    if not known:
        raise RegistryRefused(
            "nothing is kept about this subject, so nothing was erased", field="subject", fix="check the spelling"
        )
    body = {"subject": who, "owners": owners, "reason": reason} | ({"tenant": tenant} if one else {})
    done = desk.have_done(OrderKind.ERASE, body | {k: v for k, v in desk.signed(person, "").items() if k == "actor"})
    desk.note(who, OrderKind.ERASE, person, reason, int(done["log_index"]))
    return Erasure(who, done["erased"], int(done["log_index"]))


def owner_of(tenant: str, subject: str) -> str:
    """Whose key seals the data of ``subject``, an end user of ``tenant`` or, without one, a name of its own.

    Raises:
        InvalidRequest: ``subject`` is empty or cannot name anybody.
    """
    if not tenant:
        return subject
    name = owner_name(tenant, subject)
    if name == tenant:
        raise InvalidRequest("is empty", field="subject", fix="name the end user as the requests did")
    return name


def _hold(desk: Desk, person: Person, kind: OrderKind, body: dict[str, str], reason: str) -> dict[str, Any]:
    done = desk.have_done(kind, body | desk.signed(person, reason))
    desk.note(str(done["logged_as"]), kind, person, reason, int(done["log_index"]))
    return done


def _whole(person: Person) -> None:
    """Holds and erasures concern all tenants.

    Raises:
        PermissionDenied: this person sees one tenant only.
    """
    if not isinstance(person.scope, Everything):
        raise PermissionDenied("legal holds and erasures are for those who see all tenants", fix="use the role admin")
