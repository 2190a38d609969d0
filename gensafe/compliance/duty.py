"""A duty of a law, when it applies, and what the log says about it for a period."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any

from gensafe.compliance.evidence import Evidence


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


class Standing(StrEnum):
    """Whether a duty applies on a day. ``UNKNOWN``: no source confirms that, or from when, it is law."""

    IN_FORCE = "in force"
    NOT_YET = "not yet in force"
    ENDED = "no longer in force"
    UNKNOWN = "not confirmed to be in force"


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
    """One duty, as ``gensafe/compliance/law/*.toml`` states it.

    ``basis``: provision; ``start``: first day on which it applies (None = not confirmed), ``end``: the day after the
    last one (None = open); ``carried_by``: who has it; ``feature``: what of GenSafe serves it; ``read``: the day its
    source was last read (None = from general knowledge); ``unconfirmed``: what could not be confirmed in a primary
    source ("" = nothing); ``beyond``: what the log cannot prove about it; ``events``: entries its evidence is made of,
    at least one of which must stand in the period (() = none could).
    """

    key: str
    title: str
    basis: str
    start: date | None
    end: date | None
    carried_by: str
    feature: str
    judge: Callable[[Evidence], Finding]
    beyond: str
    events: tuple[str, ...]
    read: date | None = None
    unconfirmed: str = ""

    def found(self, evidence: Evidence) -> Finding:
        """What the evidence says; without any of the duty's events there is none, whatever the counts say."""
        if self.events and not any(evidence.events[event] for event in self.events):
            return Finding(Status.NO_EVIDENCE, f"no {' or '.join(self.events)} entry in the period")
        return self.judge(evidence)

    def standing(self, day: date) -> Standing:
        """Whether it applies on ``day``."""
        if self.start is None:
            return Standing.UNKNOWN
        if day < self.start:
            return Standing.NOT_YET
        return Standing.ENDED if self.end is not None and day >= self.end else Standing.IN_FORCE

    @property
    def period(self) -> str:
        """From when to when it applies, in words."""
        if self.start is None:
            return Standing.UNKNOWN.value
        return f"from {self.start}" + (f" until {self.end}" if self.end else "")


@dataclass(frozen=True, slots=True)
class Regime:
    """A law or standard with the duties GenSafe keeps evidence for; ``dated``: the day of this statement of it."""

    key: str
    title: str
    standing: str
    dated: date
    duties: tuple[Duty, ...]
    not_covered: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Watched:
    """A bill or law that may bring duties and has none here yet; nothing is reported about it."""

    key: str
    title: str
    state: str
    read: date
