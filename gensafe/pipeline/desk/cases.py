"""Reports of misuse: take one in, look at the cases, decide one and answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gensafe.core import ids
from gensafe.core.errors import Conflict, InvalidRequest, NotFound, RegistryError
from gensafe.pipeline.desk.base import Desk, Person, check_words
from gensafe.registry import Case, CaseDecision, OrderKind, owner_of_case

CATEGORIES: Final = (
    "takedown",
    "intimate-image",
    "child-safety",
    "impersonation",
    "deception",
    "privacy",
    "rights",
    "other",
)
MAX_TEXT: Final = 10_000  # characters: some pages. A round number
HOUR_MS: Final = 3_600_000  # milliseconds
DEADLINE_H: Final[Mapping[str, int]] = {
    # India's Amendment Rules 2026, read in secondary sources and not confirmed (compliance/law/india.toml): the
    # shortest clocks that we know, so that who is under a slower law is early
    "takedown": 3,
    "intimate-image": 2,
    "child-safety": 2,
}
OTHERWISE_H: Final = 72  # three days for the rest: chosen, no source
MAX_DEADLINE_H: Final = 24 * 90  # a quarter; more is no deadline


@dataclass(frozen=True, slots=True)
class CaseWords:
    """What was said about a case; empty where it was erased, or nobody has said it yet."""

    report: str = ""
    actor: str = ""  # who decided
    reason: str = ""  # why, for the file
    answer: str = ""  # what the reporter is told


def report_misuse(
    desk: Desk,
    person: Person,
    record_id: int,
    words: str,
    *,
    category: str = "other",
    found_by: str = "record id",
    within_h: int = 0,
) -> Case:
    """Open a case about an output; its words are sealed, and the log has that it came.

    Args:
        desk: Where.
        person: Who takes it in.
        record_id: Of the output.
        words: What the reporter says, 1 to MAX_TEXT characters.
        category: One of CATEGORIES.
        found_by: How the record was found.
        within_h: Hours until it is to be decided; 0 = as DEADLINE_H says for the category.

    Raises:
        InvalidRequest: names the field.
        NotFound: no such record, or none that this person sees.
    """
    if not words.strip() or len(words) > MAX_TEXT:
        raise InvalidRequest("say what is reported", field="words", fix=f"1 to {MAX_TEXT} characters")
    if category not in CATEGORIES:
        raise InvalidRequest(f"{category!r} is none", field="category", fix=", ".join(CATEGORIES))
    if not 0 <= within_h <= MAX_DEADLINE_H:
        raise InvalidRequest("is no deadline", field="within_hours", fix=f"1 to {MAX_DEADLINE_H}, or 0")
    record = desk.registry.by_record_id(record_id)
    if record is None or not person.scope.sees(record.tenant):
        raise NotFound(f"no record {ids.record_id_text(record_id)}", field="record_id")
    number = ids.new_record_id()
    ticket = ids.record_id_text(number)
    now_ms = desk.clock.now_ms()
    body = {
        "ticket": ticket,
        "category": category,
        "text_commitment": desk.registry.seal_prompt(number, owner_of_case(ticket), words),
        "record_id": ids.record_id_text(record_id),
        "tenant": record.tenant,
        "found_by": found_by,
        "reported_ms": now_ms,
        "due_ms": now_ms + (within_h or DEADLINE_H.get(category, OTHERWISE_H)) * HOUR_MS,
    }
    desk.have_done(OrderKind.MISUSE, body | _actor(desk, person))
    return desk.registry.cases.get(ticket)


def cases(desk: Desk, person: Person, *, decided: bool = False) -> list[Case]:
    """Open cases, the most urgent first; with ``decided`` the others as well."""
    table = desk.registry.cases
    return [case for case in (table.all() if decided else table.open()) if person.scope.sees(case.tenant)]


def case(desk: Desk, person: Person, ticket: str) -> tuple[Case, CaseWords]:
    """One case and what was said about it.

    Raises:
        NotFound: none of that ticket, or none that this person sees: the answers read the same.
    """
    found = desk.registry.cases.get(ticket)
    if not person.scope.sees(found.tenant):
        raise NotFound(f"no case {ticket}", field="ticket")
    decided = json.loads(_opened(desk, found.words_id) or "{}") if found.words_id else {}
    return found, CaseWords(_opened(desk, found.number), **decided)


def decide_case(
    desk: Desk, person: Person, ticket: str, decision: CaseDecision, *, reason: str, answer: str
) -> tuple[Case, CaseWords]:
    """Decide a case: why, and what the reporter is told. The log gets who, a commitment to it, and if it is late.

    Raises:
        NotFound: as ``case``.
        InvalidRequest: no actor, reason or answer.
        Conflict: it was decided before.
    """
    found, _ = case(desk, person, ticket)
    check_words(person, reason)
    if not answer.strip() or len(answer) > MAX_TEXT:
        raise InvalidRequest("say what the reporter is told", field="answer", fix=f"1 to {MAX_TEXT} characters")
    if found.decision is not None:
        raise Conflict("was decided before", field="ticket")
    words_id = ids.new_record_id()
    said = json.dumps({"actor": person.name, "reason": reason, "answer": answer})
    body = {
        "ticket": ticket,
        "decision": decision.value,
        "text_commitment": desk.registry.seal_prompt(words_id, found.owner, said),
        "words_id": words_id,
        "late": found.late(desk.clock.now_ms()),
    }
    desk.have_done(OrderKind.DECIDE_MISUSE, body | _actor(desk, person))
    return case(desk, person, ticket)


def _actor(desk: Desk, person: Person) -> dict[str, Any]:
    return {name: said for name, said in desk.signed(person, "").items() if name == "actor"}


def _opened(desk: Desk, number: int) -> str:
    """Sealed words; "" where they were erased."""
    try:
        found = desk.registry.open_prompt(number)
    except RegistryError:
        if desk.registry.kek_id:
            raise
        return ""  # opened without keys: what is sealed stays closed
    return found[0] if found is not None else ""
