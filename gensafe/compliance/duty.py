"""A duty of a law, how the log can show it, and the result for a period."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gensafe.audit import entries as names
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
    ("" = nothing); ``beyond``: what the log cannot prove about it; ``events``: entries its evidence is made of, at
    least one of which must stand in the period (() = it is outside software).
    """

    key: str
    title: str
    basis: str
    feature: str
    judge: Callable[[Evidence], Finding]
    beyond: str
    unconfirmed: str = ""
    events: tuple[str, ...] = (names.RELEASED,)

    def found(self, evidence: Evidence) -> Finding:
        """What the evidence says; without any of the duty's events there is none, whatever the counts say."""
        if self.events and not any(evidence.events[event] for event in self.events):
            return Finding(Status.NO_EVIDENCE, f"no {' or '.join(self.events)} entry in the period")
        return self.judge(evidence)


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
    """Judge a duty by whether there are facts at all; ``needs`` overrides what counts as there. Zeroes are no facts."""

    def judge(evidence: Evidence) -> Finding:
        facts = dict(pick(evidence))
        there = needs(evidence) if needs else any(bool(value) for value in facts.values())
        return Finding(Status.RECORDED if there else Status.NO_EVIDENCE, what, facts=facts)

    return judge


def outside(what: str) -> Callable[[Evidence], Finding]:
    """A duty that only people can show."""
    return lambda _: Finding(Status.OUTSIDE, what)


def filters_held(*categories: str) -> Callable[[Evidence], Finding]:
    """Filters for ``categories`` judged every output, and none left while one of its filters was down.

    What no classifier covers is not met, however well the others worked: it is named as the gap.
    """

    def judge(evidence: Evidence) -> Finding:
        blocked = evidence.events[names.BLOCKED]
        facts: dict[str, Any] = {"outages": evidence.outages, "blocked": blocked}
        leaks = sum(int(outage["released_meanwhile"]) for outage in evidence.outages)
        if leaks:
            return Finding(Status.NOT_MET, f"{leaks} outputs left although a filter failed on them", facts=facts)
        judged = evidence.judged
        if judged.of == 0:
            return Finding(Status.NO_EVIDENCE, f"no output was released; {_requests(blocked)} blocked", facts=facts)
        covered, gaps = evidence.coverage.summary(categories)
        facts["coverage"] = evidence.coverage.facts(categories)
        text = f"{judged.met:,} of {judged.of:,} outputs passed prompt and output filters that were all working; "
        text += f"{_requests(blocked)} blocked; {len(evidence.outages)} filter outages, nothing left in them"
        if gaps:
            text += "; gap: " + "; ".join(gaps)
        status = Status.MET if judged.met == judged.of and not gaps else Status.PARTLY
        if categories and not covered:
            status = Status.NO_EVIDENCE
        return Finding(status, text, (judged.met, judged.of), tuple(judged.exceptions), facts)

    return judge


def _requests(count: int) -> str:
    return "1 request was" if count == 1 else f"{count:,} requests were"


def _percent(part: int, whole: int) -> str:
    """Rounded down, so that 100 % means all."""
    return f"{part * 1000 // whole / 10:.1f} %"
