"""What both renderings of a report say the same way: colours of a status, and facts as lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from gensafe.compliance.duty import Duty, Standing, Status
from gensafe.core.clock import iso

if TYPE_CHECKING:
    from gensafe.compliance.report import Report

COLOUR: Final = {
    Status.MET: "#1a7f37",
    Status.RECORDED: "#0550ae",
    Status.PARTLY: "#9a6700",
    Status.NOT_MET: "#b3261e",
    Status.NO_EVIDENCE: "#57606a",
    Status.OUTSIDE: "#57606a",
}
LISTED: Final = 40  # items of a list before "and N more": two printed pages; the JSON report has all
_WORDS: Final = {True: "yes", False: "no", None: "none"}


def facts_lines(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Facts as (name, text): names with spaces, times as dates, long lists cut, no braces or quotes."""
    return [(_name(name), _shown(name, value)) for name, value in facts.items()]


def law_line(duty: Duty, standing: Standing) -> str:
    """Provision, from when, who has it and when its source was read, in one line."""
    read = f"source read {duty.read}" if duty.read else "from general knowledge"
    law = duty.period if standing in (Standing.IN_FORCE, Standing.UNKNOWN) else f"{standing.value}: {duty.period}"
    return f"{duty.basis} · {law} · carried by the {duty.carried_by} · {read}"


def _name(name: str) -> str:
    return name.removesuffix("_ms").replace("_", " ")


def _shown(name: str, value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{_name(str(k))} {_shown(str(k), v)}".strip() for k, v in value.items()) or "none"
    if isinstance(value, list | tuple):
        more = f" and {len(value) - LISTED} more" if len(value) > LISTED else ""
        return "; ".join(_shown(name, v) for v in value[:LISTED]) + more if value else "none"
    if isinstance(value, bool) or value is None:
        return _WORDS[value]
    if name.endswith("_ms") and isinstance(value, int):
        return iso(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def drill_lines(report: Report) -> list[tuple[str, str]]:
    """The last drills, newest first: when, and what was found."""
    lines = []
    for one in reversed(report.last_drills):
        bad = "; ".join(f"{step['step']}: {step['said']}" for step in one["steps"] if step["outcome"] == "failed")
        lines.append((iso(one["time_ms"]), f"FAILED: {bad}" if bad else "everything held"))
    return lines
