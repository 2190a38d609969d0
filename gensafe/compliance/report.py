"""Make a regime report from the log, and write it as JSON, HTML or PDF."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gensafe import __version__
from gensafe.audit.disclosure import name_of
from gensafe.audit.export import EVERYTHING
from gensafe.audit.fsck import FsckReport
from gensafe.audit.log import LogReader
from gensafe.compliance.duty import Duty, Finding, Regime, Status
from gensafe.compliance.evidence import Evidence, collect, integrity_facts
from gensafe.compliance.regimes import REGIMES
from gensafe.core.clock import iso
from gensafe.core.errors import InvalidRequest
from gensafe.core.types.caller import Scope

SCHEMA: Final = "gensafe.compliance.report/1"
DISCLAIMER: Final = (
    "This report states what the service's own log shows. It is not legal advice and not a finding of conformity. "
    "Duties marked unconfirmed rest on sources that were not the official text."
)


@dataclass(frozen=True, slots=True)
class Report:
    """A regime, the duties with what was found, and the facts behind them."""

    regime: Regime
    origin: str
    size: int
    period: tuple[int | None, int | None]
    tenant: str
    evidence: Evidence
    findings: tuple[tuple[Duty, Finding], ...]
    integrity: Mapping[str, Any]

    @property
    def summary(self) -> str:
        """One line: how many duties stand how."""
        counts = {status: sum(f.status is status for _, f in self.findings) for status in Status}
        parts = [f"{count} {status.value}" for status, count in counts.items() if count]
        return f"{self.regime.title}: " + ", ".join(parts)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes the whole report weaker."""
        found: list[str] = []
        if not self.integrity:
            found.append("The log was not rebuilt for this report; its integrity is not stated.")
        elif not self.integrity["sound"]:
            found.append("The log is not valid: " + "; ".join(self.integrity["findings"][:5]))
        elif self.integrity["signed"] is None:
            found.append("No log key was given: who signed the log was not judged.")
        if self.evidence.outputs and self.evidence.environments.get("production", 0) < self.evidence.outputs:
            found.append(
                "Some or all outputs were made in a development environment: they prove nothing to third parties."
            )
        if self.evidence.pruned:
            found.append(f"{self.evidence.pruned} of the period's entries: contents pruned, only hashes remain.")
        if self.evidence.unfinished:
            found.append(f"Requests without a final state in the period: {len(self.evidence.unfinished)}.")
        return tuple(found)

    @property
    def integrity_text(self) -> str:
        """What the check of the whole log found, in words."""
        if not self.integrity:
            return "not checked"
        known = {
            True: "its checkpoints are signed by the given keys",
            False: "a signature is not valid",
            None: "signatures were not judged",
        }
        sound = "OK" if self.integrity["sound"] else "not valid: " + "; ".join(self.integrity["findings"])
        size, pruned, root = (self.integrity[name] for name in ("size", "pruned", "root"))
        return (
            f"{size:,} entries ({pruned:,} pruned) rebuilt to root {root}: {sound}; {known[self.integrity['signed']]}."
        )

    def as_json(self) -> dict[str, Any]:
        """The report for machines."""
        evidence = self.evidence
        return {
            "schema": SCHEMA,
            "generator": f"gensafe {__version__}",
            "regime": self.regime.key,
            "title": self.regime.title,
            "standing": self.regime.standing,
            "log": {"origin": self.origin, "size": self.size},
            "period": {"start": _time(self.period[0]), "end": _time(self.period[1])},
            "tenant": self.tenant,
            "summary": self.summary,
            "warnings": list(self.warnings),
            "integrity": dict(self.integrity),
            "outputs": {"released": dict(evidence.released), "events": dict(sorted(evidence.events.items()))},
            "blocked": {"categories": dict(evidence.blocked_categories), "stages": dict(evidence.blocked_stages)},
            "ended_without_output": dict(evidence.end_reasons),
            "duties": [
                {
                    "key": duty.key,
                    "title": duty.title,
                    "basis": duty.basis,
                    "feature": duty.feature,
                    "evidence_events": list(duty.events),
                    "status": finding.status.value,
                    "summary": finding.summary,
                    "share": list(finding.share) if finding.share else None,
                    "exceptions": list(finding.exceptions),
                    "facts": dict(finding.facts),
                    "unconfirmed": duty.unconfirmed,
                    "cannot_be_proved_by_software": duty.beyond,
                }
                for duty, finding in self.findings
            ],
            "not_covered": list(self.regime.not_covered),
            "disclaimer": DISCLAIMER,
        }


def make_report(
    log: LogReader,
    regime: str,
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
    scope: Scope = EVERYTHING,
    integrity: FsckReport | None = None,
) -> Report:
    """Judge the duties of ``regime`` by what the log shows for [start_ms, end_ms).

    Raises:
        InvalidRequest: no such regime.
    """
    if regime not in REGIMES:
        raise InvalidRequest(f"no regime {regime!r}", field="regime", fix=f"one of: {', '.join(REGIMES)}")
    law = REGIMES[regime]
    evidence = collect(log, start_ms=start_ms, end_ms=end_ms, scope=scope)
    findings = tuple((duty, duty.found(evidence)) for duty in law.duties)
    facts = integrity_facts(integrity)
    return Report(law, log.origin, log.size, (start_ms, end_ms), name_of(scope), evidence, findings, facts)


def period_text(report: Report) -> str:
    """The period in words."""
    start, end = (_time(moment) for moment in report.period)
    return f"{start or 'the beginning of the log'} to {end or 'its end'}"


def _time(moment: int | None) -> str | None:
    return None if moment is None else iso(moment)
