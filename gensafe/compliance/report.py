"""Make a regime report from the log, and write it as JSON, HTML or PDF."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from gensafe import __version__
from gensafe.audit.disclosure import name_of
from gensafe.audit.export import EVERYTHING
from gensafe.audit.fsck import FsckReport
from gensafe.audit.log import LogReader
from gensafe.compliance.duty import Duty, Finding, Regime, Standing, Status
from gensafe.compliance.evidence import Evidence, collect, integrity_facts
from gensafe.compliance.law import regimes
from gensafe.core.clock import SystemClock, iso
from gensafe.core.errors import InvalidRequest
from gensafe.core.types.caller import Scope

SCHEMA: Final = "gensafe.compliance.report/2"  # 2: duties have a standing on the day ``as_of``
LAST_DRILLS: Final = 12  # a year of monthly ones
DISCLAIMER: Final = (
    "This report states what the service's own log shows. It is not legal advice and not a finding of conformity. "
    "Duties marked unconfirmed rest on sources that were not the official text."
)


@dataclass(frozen=True, slots=True)
class Report:
    """A regime, the duties with what was found, and the facts behind them. ``as_of``: the day whose law is applied."""

    regime: Regime
    as_of: date
    origin: str
    size: int
    period: tuple[int | None, int | None]
    tenant: str
    evidence: Evidence
    findings: tuple[tuple[Duty, Finding], ...]
    integrity: Mapping[str, Any]

    @property
    def summary(self) -> str:
        """One line: how the duties stand that are in force on ``as_of``, and how many are not."""
        counted = [f.status for duty, f in self.findings if duty.standing(self.as_of) is Standing.IN_FORCE]
        parts = [f"{counted.count(status)} {status.value}" for status in Status if status in counted]
        others = [duty.standing(self.as_of) for duty, _ in self.findings]
        parts += [f"{others.count(s)} {s.value}" for s in Standing if s is not Standing.IN_FORCE and s in others]
        return f"{self.regime.title}, as of {self.as_of}: " + ", ".join(parts)

    @property
    def last_drills(self) -> list[dict[str, Any]]:
        """Those of the period, oldest first."""
        return self.evidence.drills[-LAST_DRILLS:]

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
            "as_of": self.as_of.isoformat(),
            "law_dated": self.regime.dated.isoformat(),
            "log": {"origin": self.origin, "size": self.size},
            "period": {"start": _time(self.period[0]), "end": _time(self.period[1])},
            "tenant": self.tenant,
            "summary": self.summary,
            "warnings": list(self.warnings),
            "integrity": dict(self.integrity),
            "outputs": {"released": dict(evidence.released), "events": dict(sorted(evidence.events.items()))},
            "blocked": {"categories": dict(evidence.blocked_categories), "stages": dict(evidence.blocked_stages)},
            "ended_without_output": dict(evidence.end_reasons),
            "drills": [dict(one) for one in self.last_drills],
            "duties": [
                {
                    "key": duty.key,
                    "title": duty.title,
                    "basis": duty.basis,
                    "standing": duty.standing(self.as_of).value,
                    "from": duty.start.isoformat() if duty.start else None,
                    "until": duty.end.isoformat() if duty.end else None,
                    "carried_by": duty.carried_by,
                    "source_read": duty.read.isoformat() if duty.read else None,
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
    as_of: date | None = None,
    scope: Scope = EVERYTHING,
    integrity: FsckReport | None = None,
) -> Report:
    """Judge the duties of ``regime`` by what the log shows for [start_ms, end_ms).

    Args:
        log: Open for reading.
        regime: A key of ``law.regimes()``.
        start_ms: Unix milliseconds; None = from the beginning.
        end_ms: Unix milliseconds, not included; None = to the end.
        as_of: The day (UTC) whose law is applied; None = the last day of the period, or today when it is open.
        scope: Whose entries are read.
        integrity: What ``fsck`` said about the log, if it ran.

    Raises:
        InvalidRequest: no such regime.
    """
    law = regimes().get(regime)
    if law is None:
        raise InvalidRequest(f"no regime {regime!r}", field="regime", fix=f"one of: {', '.join(regimes())}")
    evidence = collect(log, start_ms=start_ms, end_ms=end_ms, scope=scope)
    findings = tuple((duty, duty.found(evidence)) for duty in law.duties)
    facts = integrity_facts(integrity)
    return Report(
        law,
        as_of or last_day(end_ms),
        log.origin,
        log.size,
        (start_ms, end_ms),
        name_of(scope),
        evidence,
        findings,
        facts,
    )


def last_day(end_ms: int | None) -> date:
    """The last day (UTC) of a period that ends before ``end_ms``; today when it is open."""
    moment = SystemClock().now_ms() if end_ms is None else end_ms - 1
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment)).date()


def period_text(report: Report) -> str:
    """The period in words."""
    start, end = (_time(moment) for moment in report.period)
    return f"{start or 'the beginning of the log'} to {f'before {end}' if end else 'its end'}"


def _time(moment: int | None) -> str | None:
    return None if moment is None else iso(moment)
