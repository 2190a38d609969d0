"""A duty of a law, how the log can show it, and the result for a period."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gensafe.compliance.evidence import Evidence, Share


class Status(StrEnum):
    """What the evidence says about a duty.

    ``RECORDED``: there are facts for people to judge, no share to count. ``OUTSIDE``: software cannot show it.
    """

    MET = "met in the evidence"
    RECORDED = "evidence recorded"
    PARTLY = "partly"
    NOT_MET = "not met"
    NO_EVIDENCE = "no evidence"
    OUTSIDE = "outside software"


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer of the evidence to one duty."""

    status: Status
    summary: str
    share: tuple[int, int] | None = None  # (outputs that satisfy it, outputs it is about)
    exceptions: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Duty:
    """One duty.

    ``basis``: provision and standing of the source; ``unconfirmed``: what could not be confirmed in a primary source
    ("" = nothing); ``beyond``: what the log cannot prove about it.
    """

    key: str
    title: str
    basis: str
    feature: str
    judge: Callable[[Evidence], Finding]
    beyond: str
    unconfirmed: str = ""


@dataclass(frozen=True, slots=True)
class Regime:
    """A law or standard with the duties GenSafe keeps evidence for."""

    key: str
    title: str
    standing: str
    duties: tuple[Duty, ...]
    not_covered: tuple[str, ...]


def by_share(pick: Callable[[Evidence], Share], what: str) -> Callable[[Evidence], Finding]:
    """Judge a duty by the share of outputs that satisfy it."""

    def judge(evidence: Evidence) -> Finding:
        share = pick(evidence)
        if share.of == 0:
            return Finding(Status.NO_EVIDENCE, f"no output in the period is subject to this: {what}")
        status = Status.MET if share.met == share.of else (Status.PARTLY if share.met else Status.NOT_MET)
        text = f"{share.met:,} of {share.of:,} outputs ({_percent(share.met, share.of)}): {what}"
        return Finding(status, text, (share.met, share.of), tuple(share.exceptions))

    return judge


def by_facts(
    pick: Callable[[Evidence], Mapping[str, Any]], what: str, *, needs: Callable[[Evidence], bool] | None = None
) -> Callable[[Evidence], Finding]:
    """Judge a duty by whether there are facts at all; ``needs`` overrides what counts as there."""

    def judge(evidence: Evidence) -> Finding:
        facts = dict(pick(evidence))
        there = needs(evidence) if needs else any(bool(value) for value in facts.values())
        return Finding(Status.RECORDED if there else Status.NO_EVIDENCE, what, facts=facts)

    return judge


def outside(what: str) -> Callable[[Evidence], Finding]:
    """A duty that only people can show."""
    return lambda _: Finding(Status.OUTSIDE, what)


def outages_closed(evidence: Evidence) -> Finding:
    """Filters that were down must not have let outputs through."""
    facts = {"outages": evidence.outages, "blocked": evidence.events.get("generation.blocked", 0)}
    leaks = sum(int(outage["released_meanwhile"]) for outage in evidence.outages)
    if leaks:
        return Finding(Status.NOT_MET, f"{leaks} outputs left while a filter they name was down", facts=facts)
    judged = evidence.judged
    if judged.of == 0 and not facts["blocked"]:
        return Finding(Status.NO_EVIDENCE, "nothing was generated or blocked in the period", facts=facts)
    status = Status.MET if judged.met == judged.of else Status.PARTLY
    text = f"{judged.met:,} of {judged.of:,} outputs passed prompt and output filters that were all working; "
    text += f"{facts['blocked']:,} requests were blocked; {len(evidence.outages)} filter outages, nothing left in them"
    return Finding(status, text, (judged.met, judged.of), tuple(judged.exceptions), facts)


def _percent(part: int, whole: int) -> str:
    """Rounded down, so that 100 % means all."""
    return f"{part * 1000 // whole / 10:.1f} %"
