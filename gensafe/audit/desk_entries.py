"""Entries of what people do at the desk (``pipeline.desk``): legal holds, erasures, misuse cases, drills, copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gensafe.audit import entries
from gensafe.audit.entry_parts import Entry, given
from gensafe.core.ids import record_id_text


def hold(event: str, *, hold_id: str, scope: str, actor: str = "", why: str = "") -> Entry:
    """A legal hold was placed (``HOLD_SET``) or lifted (``HOLD_RELEASED``) on a scope, e.g. ``tenant:p-…``.

    ``hold_id``, ``actor``: pseudonyms, since their own names are words of the operator; ``why``: a keyed digest.
    """
    if event not in (entries.HOLD_SET, entries.HOLD_RELEASED):
        raise ValueError(f"{event} is not about a hold")
    return entries.of_event(event) | {"hold_id": hold_id, "scope": scope} | given(actor=actor, why=why)


def tombstone(
    *, kind: str, subject: str, erased: Mapping[str, int], reason: str, actor: str = "", tenant: str = ""
) -> Entry:
    """Something erasable was erased: what kind, whose, how much, why. Proofs are untouched by it.

    ``subject``: a pseudonym; of an end user of ``tenant`` the commitment that its entries carry.
    """
    entry = entries.of_event(entries.TOMBSTONE) | {
        "kind": kind,
        "subject": subject,
        "erased": dict(erased),
        "reason": reason,
    }
    return entry | given(actor=actor, tenant=tenant)


def misuse_reported(
    *, ticket: str, category: str, text_commitment: str, record_id: int, found_by: str, due_ms: int, actor: str = ""
) -> Entry:
    """A report of misuse arrived; its words lie sealed and can be erased, ``text_commitment`` is keyed.

    Args:
        ticket: Names the case.
        category: Of ``pipeline.desk.CATEGORIES``.
        text_commitment: To the reporter's words.
        record_id: Of the output.
        found_by: How the record was found.
        due_ms: When it is to be decided by.
        actor: Who took it in, as a pseudonym.
    """
    entry = entries.of_event(entries.MISUSE_REPORTED) | {
        "ticket": ticket,
        "category": category,
        "text_commitment": text_commitment,
    }
    return entry | {"record_id": record_id_text(record_id), "found_by": found_by, "due_ms": due_ms} | given(actor=actor)


def misuse_decided(*, ticket: str, decision: str, text_commitment: str, late: bool, actor: str = "") -> Entry:
    """A person decided a case and answered; reason and answer lie sealed, ``text_commitment`` is to both."""
    entry = entries.of_event(entries.MISUSE_DECIDED) | {"ticket": ticket, "decision": decision, "late": late}
    return entry | {"text_commitment": text_commitment} | given(actor=actor)


def drill_performed(*, steps: Sequence[Mapping[str, str]], tenant: str, actor: str = "") -> Entry:
    """The installation was drilled (``pipeline.drill``): each step, how it ended and what was seen.

    ``tenant``: of the requests that the drill made; named so that they can be told from others.
    """
    failed = sum(step["outcome"] == "failed" for step in steps)
    entry = entries.of_event(entries.DRILL) | {
        "passed": not failed,
        "failed": failed,
        "steps": [dict(step) for step in steps],
    }
    return entry | {"drill_tenant": tenant} | given(actor=actor)


def review_shown(*, review_id: str, record_id: int, tenant: str, reviewer: str, copy_id: int, marked: bool) -> Entry:
    """A person took a copy of a held output; ``copy_id`` is in the copy's watermark if ``marked``."""
    entry = entries.of_event(entries.REVIEW_SHOWN) | {
        "review_id": review_id,
        "record_id": record_id_text(record_id),
        "tenant": tenant,
    }
    return entry | {"reviewer": reviewer, "copy_id": record_id_text(copy_id), "marked": marked}
