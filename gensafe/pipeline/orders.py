"""Carry out what commands ask of the one process that may write the log (see ``gensafe.registry.orders``)."""

from __future__ import annotations

from typing import Any

from gensafe.audit import AuditLog, desk_entries, entries
from gensafe.audit.key_entries import tenant_switched
from gensafe.core import ids
from gensafe.core.errors import Conflict, GensafeError, LogUnavailable
from gensafe.keys import KeyRing, Role
from gensafe.pipeline.epochs import disclose
from gensafe.pipeline.key_changes import take_over
from gensafe.registry import Case, CaseDecision, KeyChange, Order, OrderKind, Registry


def carry_out_orders(registry: Registry, log: AuditLog, keys: KeyRing) -> int:
    """Carry out every order that waits; returns how many. One that is refused is done, and says why.

    Args:
        registry: Where they wait.
        log: Gets an entry for each.
        keys: Of the same data folder; an order about a key takes over what changed in them.

    Raises:
        LogUnavailable, RegistryError: the rest waits for the next call.
    """
    waiting = registry.orders.waiting()
    for order in waiting:
        try:
            result = _carry_out(registry, log, keys, order)
        except LogUnavailable:
            raise
        except GensafeError as error:
            result = {"error": error.message, "fix": error.fix}
        registry.orders.finish(order.order_id, result)
    return len(waiting)


def _carry_out(registry: Registry, log: AuditLog, keys: KeyRing, order: Order) -> dict[str, Any]:
    body = dict(order.body)
    match order.kind:
        case OrderKind.SHOW:
            entry = desk_entries.review_shown(**body)
            return {"log_index": log.append(entry).index}
        case OrderKind.MISUSE:
            return {"log_index": _open_case(registry, log, body)}
        case OrderKind.DECIDE_MISUSE:
            return {"log_index": _decide_case(registry, log, body)}
        case OrderKind.ERASE:
            erased = registry.erase_owners(body.pop("owners", [body["subject"]]))
            entry = desk_entries.tombstone(kind="subject", erased=erased, **body)
            return {"subject": body["subject"], "erased": erased, "log_index": log.append(entry).index}
        case OrderKind.KEY:
            take_over(keys, log, registry, rewrap=body["role"] == Role.KEK.value)
            return {"log_index": log.append(entries.key_rotated(**body)).index}
        case OrderKind.API_KEY:
            return {"log_index": _api_key(registry, log, body)}
        case OrderKind.STOP:
            return {"log_index": log.append(tenant_switched(entries.TENANT_STOPPED, **body)).index}
        case OrderKind.RESTORE:
            return {"log_index": log.append(tenant_switched(entries.TENANT_RESTORED, **body)).index}
        case OrderKind.DISCLOSE:
            return disclose(keys, log, int(body["epoch"]))
        case OrderKind.HOLD:
            hold = registry.set_hold(body["hold_id"], body["scope"])
            event = entries.HOLD_SET
        case OrderKind.LIFT:
            hold = registry.release_hold(body["hold_id"])
            event = entries.HOLD_RELEASED
    name, by = registry.hold_name(hold.hold_id), {key: str(body.get(key, "")) for key in ("actor", "why")}
    at = log.append(desk_entries.hold(event, hold_id=name, scope=hold.scope, **by)).index
    return {"logged_as": name, "scope": hold.scope, "log_index": at}


def _open_case(registry: Registry, log: AuditLog, body: dict[str, Any]) -> int:
    """Log a report of misuse; the case is open from then on."""
    tenant, reported_ms, record_id = (body.pop(name) for name in ("tenant", "reported_ms", "record_id"))
    number = ids.parse_record_id(record_id)
    index = log.append(desk_entries.misuse_reported(**body, record_id=number)).index
    facts = {name: body[name] for name in ("ticket", "category", "found_by", "due_ms")}
    case = Case(record_id=number, tenant=tenant, reported_ms=reported_ms, reported_index=index, **facts)
    registry.cases.add(case)
    return index


def _decide_case(registry: Registry, log: AuditLog, body: dict[str, Any]) -> int:
    """Log the decision of a case, and close it.

    Raises:
        Conflict: it was decided meanwhile; nothing is logged.
    """
    words_id, ticket = body.pop("words_id"), body["ticket"]
    if registry.cases.get(ticket).decision is not None:
        raise Conflict("was decided before", field="ticket")
    index = log.append(desk_entries.misuse_decided(**body)).index
    registry.cases.decide(ticket, CaseDecision(body["decision"]), index, words_id)
    return index


def _api_key(registry: Registry, log: AuditLog, body: dict[str, Any]) -> int:
    """Log what was done to an API key; a new one is in force from then on, and only then."""
    change, until = KeyChange(body["change"]), body["expire_replaced_ms"]
    key = registry.api_keys.get(body["key_id"])
    entry = entries.api_key_changed(
        key_id=key.key_id,
        change=change.value,
        tenant=key.tenant,
        roles=sorted(key.roles),
        models=sorted(key.models),
        actor=body["actor"],
        reason=body["reason"],
    )
    index = log.append(entry).index
    registry.api_keys.logged(key.key_id, change, index)
    if change is not KeyChange.REVOKED:
        registry.api_keys.activate(key.key_id, until)
    return index
