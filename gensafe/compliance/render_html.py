"""A report as one self-contained HTML page; prints on A4."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any, Final

from gensafe.compliance.duty import Duty, Finding, Standing, Status
from gensafe.compliance.present import COLOUR, drill_lines, facts_lines, law_line

if TYPE_CHECKING:
    from gensafe.compliance.report import Report

_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;color:#1f2328;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}
td,th{border:1px solid #d0d7de;padding:.35rem .5rem;text-align:left;vertical-align:top}
.duty{border:1px solid #d0d7de;border-radius:6px;padding:.8rem 1rem;margin:.9rem 0;break-inside:avoid}
.duty h3{margin:0 0 .3rem;font-size:1.02rem}.status{color:#fff;border-radius:1em;padding:.05rem .6rem;font-size:.85rem;
white-space:nowrap}.law{background:#fff;color:#57606a;border:1px solid #57606a}
.bar{background:#d0d7de;height:8px;border-radius:4px;overflow:hidden;margin:.4rem 0}
.bar i{display:block;height:100%}.small{font-size:.88rem;color:#57606a}.warn{background:#fff8c5;
border:1px solid #d4a72c;padding:.5rem .8rem;border-radius:6px;margin:.5rem 0}
details summary{cursor:pointer}code,td{overflow-wrap:anywhere}
details table{font-size:.85rem}details th{width:11rem;font-weight:600;background:#f6f8fa}
@media(max-width:30rem){.status{white-space:normal}td,th{padding:.25rem}details th{width:6rem}}
@media print{body{margin:0;font-size:11px}details>*{display:block}}
"""


def render_html(report: Report) -> str:
    """The page; everything from the log is escaped, nothing is loaded from elsewhere."""
    from gensafe.compliance.report import DISCLAIMER, period_text

    evidence = report.evidence
    rows = "".join(
        f"<tr><td>{escape(duty.title)}</td><td>{_standing(duty, report)}{_badge(finding.status)}</td>"
        f"<td>{_share(finding)}</td></tr>"
        for duty, finding in report.findings
    )
    events = "".join(f"<tr><td>{escape(k)}</td><td>{v:,}</td></tr>" for k, v in sorted(evidence.events.items()))
    period = escape(period_text(report))
    scope = f" · tenant {escape(report.tenant)}" if report.tenant else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(report.regime.title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(report.regime.title)}</h1><p class=small>{escape(report.regime.standing)}</p>"
        f"<p>Log <code>{escape(report.origin)}</code>, {report.size:,} entries · {period}{scope}<br>"
        f"Law as of {report.as_of}, as this version states it (dated {report.regime.dated}).</p>"
        f"<p><b>{escape(report.summary)}</b></p>"
        + "".join(f'<p class="warn">{escape(text)}</p>' for text in report.warnings)
        + f"<h2>Overview</h2><table><tr><th>Duty</th><th>Evidence</th><th>Outputs</th></tr>{rows}</table>"
        + "<h2>Duties</h2>"
        + "".join(_duty(duty, finding, report) for duty, finding in report.findings)
        + f"<h2>The period in numbers</h2><table><tr><th>Event</th><th>Entries</th></tr>{events}</table>"
        + _drills(report)
        + "<h2>Integrity of the log</h2>"
        + f"<p><code>{escape(report.integrity_text)}</code></p>"
        + "<h2>Not covered</h2><ul>"
        + "".join(f"<li>{escape(text)}</li>" for text in report.regime.not_covered)
        + f"</ul><p class=small>{escape(DISCLAIMER)}</p></body></html>\n"
    )


def _duty(duty: Duty, finding: Finding, report: Report) -> str:
    bar = ""
    if finding.share:
        met, of = finding.share
        bar = f'<div class=bar><i style="width:{100 * met // of}%;background:{COLOUR[finding.status]}"></i></div>'
    unconfirmed = f"<p class=small>⚠ Unconfirmed: {escape(duty.unconfirmed)}</p>" if duty.unconfirmed else ""
    return (
        f'<div class="duty"><h3>{escape(duty.title)} {_standing(duty, report)}{_badge(finding.status)}</h3>'
        f"<p class=small>{escape(law_line(duty, duty.standing(report.as_of)))}<br>"
        f"Shown by: {escape(duty.feature)}</p>"
        f"<p>{escape(finding.summary)}</p>{bar}{_listed('Exceptions', finding.exceptions)}{_facts(finding.facts)}"
        f"{unconfirmed}<p class=small>Software cannot prove: {escape(duty.beyond)}</p></div>"
    )


def _drills(report: Report) -> str:
    rows = "".join(f"<tr><td>{escape(when)}</td><td>{escape(what)}</td></tr>" for when, what in drill_lines(report))
    none = "<p>No drill was performed in the period.</p>"
    return "<h2>Drills</h2>" + (f"<table><tr><th>When</th><th>What was found</th></tr>{rows}</table>" if rows else none)


def _listed(title: str, items: tuple[str, ...]) -> str:
    if not items:
        return ""
    rows = "".join(f"<li><code>{escape(item)}</code></li>" for item in items)
    return f"<details><summary>{escape(title)} ({len(items)})</summary><ul>{rows}</ul></details>"


def _facts(facts: Mapping[str, Any]) -> str:
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in facts_lines(facts))
    return f"<details><summary>Facts</summary><table>{rows}</table></details>" if rows else ""


def _badge(status: Status) -> str:
    return f'<span class="status" style="background:{COLOUR[status]}">{escape(status.value)}</span>'


def _standing(duty: Duty, report: Report) -> str:
    standing = duty.standing(report.as_of)
    return "" if standing is Standing.IN_FORCE else f'<span class="status law">{escape(standing.value)}</span> '


def _share(finding: Finding) -> str:
    return f"{finding.share[0]:,} of {finding.share[1]:,}" if finding.share else "—"
