"""One line of evidence, each part of it tagged with who may read it; and the cut to what one asker may.

The tags are data, set where the evidence is made. Nothing is decided by the wording of a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from gensafe.core.languages import Sentence
from gensafe.core.types import Check, Outcome
from gensafe.core.types.caller import Everything, Public, Scope


class Audience(IntEnum):
    """Who may read a finding; each level reads what the lower ones read."""

    ANYONE = 0  # strangers on the verify page: no scores (a detector must not guide an attacker), no titles or names
    CALLER = 1  # a caller with an identity: also what his own file says, and how sure the mark search is
    OWNER = 2  # the record's tenant, or the owner of the data directory: also what the record says


def audience_of(scope: Scope, tenant: str | None) -> Audience:
    """The level of ``scope`` in a report that leads to a record of ``tenant`` (None = to no record)."""
    if isinstance(scope, Everything) or (tenant is not None and scope.sees(tenant)):
        return Audience.OWNER
    return Audience.ANYONE if isinstance(scope, Public) else Audience.CALLER


@dataclass(frozen=True, slots=True)
class Remark:
    """A sentence of the explanation, and who may read it. A plain ``text`` is a detail that exists in English only."""

    text: Sentence | str
    audience: Audience = Audience.ANYONE


@dataclass(frozen=True, slots=True)
class Line:
    """A check before the cut.

    Args:
        name, outcome: As in ``Check``; everybody reads them.
        summary: Fit for anyone.
        public: Evidence for anyone.
        evidence: Evidence for a caller with an identity.
        owner: Evidence from the record, for those who see it.
        caller_summary: Replaces ``summary`` from the level CALLER on; "" = the same.
        owner_summary: Replaces it at the level OWNER; "" = as for a caller.
    """

    name: str
    outcome: Outcome
    summary: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    public: Mapping[str, Any] = field(default_factory=dict)
    owner: Mapping[str, Any] = field(default_factory=dict)
    caller_summary: str = ""
    owner_summary: str = ""

    def shown_to(self, audience: Audience) -> Check:
        """The check as ``audience`` may read it."""
        summary, evidence = self.summary, dict(self.public)
        if audience >= Audience.CALLER:
            summary = self.caller_summary or summary
            evidence |= self.evidence
        if audience >= Audience.OWNER:
            summary = self.owner_summary or summary
            evidence |= self.owner
        return Check(self.name, self.outcome, summary, evidence)
