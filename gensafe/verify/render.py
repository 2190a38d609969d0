"""Reports for people and programs: text, JSON, JUnit XML, CSV; and escaping for every sink.

Everything that comes out of a file (titles, names, certificate subjects) is hostile text: control, bidirectional and
other format characters are shown as escapes, lengths are capped, HTML is escaped, CSV formulas are disarmed.
"""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from xml.sax.saxutils import quoteattr

from gensafe.core.types import Conclusion, Outcome, VerificationReport
from gensafe.verify.conclusion import EXIT_CODES

MAX_SHOWN: Final = 300
_SYMBOLS: Final = {
    Outcome.PASS: "ok    ",
    Outcome.FAIL: "FAIL  ",
    Outcome.ABSENT: "absent",
    Outcome.UNSUPPORTED: "n/a   ",
    Outcome.ERROR: "error ",
}


def escape_terminal(text: str, limit: int = MAX_SHOWN) -> str:
    """One line that cannot steer a terminal: unseen characters as escapes, at most ``limit`` characters."""
    shown = "".join(_visible(c) for c in text[:limit])
    return shown + "…" if len(text) > limit else shown


def escape_html(text: str, limit: int = MAX_SHOWN) -> str:
    """Text for HTML content or a quoted attribute."""
    return html.escape(escape_terminal(text, limit), quote=True)


def escape_csv(text: str, limit: int = MAX_SHOWN) -> str:
    """A cell that no spreadsheet takes for a formula."""
    shown = escape_terminal(text, limit)
    return "'" + shown if shown.startswith(("=", "+", "-", "@", "\t", "\r", "|", "%")) else shown


def report_text(report: VerificationReport) -> str:
    """Lines for a person: the conclusion first, then one line per check."""
    lines = [
        f"{escape_terminal(report.name)}: {report.conclusion.value.upper()}",
        f"  {escape_terminal(report.explanation, 600)}",
    ]
    lines += [f"  {_SYMBOLS[c.outcome]}  {c.name:<20}  {escape_terminal(c.summary)}" for c in report.checks]
    for check in report.checks:
        difference = check.evidence.get("difference")
        if isinstance(difference, Sequence) and not isinstance(difference, str):
            lines += ["  difference:", *(f"    {escape_terminal(str(text))}" for text in difference)]
    return "\n".join(lines)


def report_dict(report: VerificationReport) -> dict[str, Any]:
    """The report as JSON values. Strings are as found: whoever shows them must escape them for the sink."""
    return {
        "name": report.name,
        "conclusion": report.conclusion.value,
        "exit_code": EXIT_CODES[report.conclusion],
        "explanation": report.explanation,
        "media_type": report.media_type,
        "digest": report.digest,
        "checks": [
            {"name": c.name, "outcome": c.outcome.value, "summary": c.summary, "evidence": _json(c.evidence)}
            for c in report.checks
        ],
    }


def reports_json(reports: Iterable[VerificationReport]) -> str:
    """A JSON array of reports, ASCII only."""
    return json.dumps([report_dict(r) for r in reports], indent=2, sort_keys=True)


def reports_csv(reports: Iterable[VerificationReport]) -> str:
    """One row per file: name, conclusion, one column per check."""
    rows = list(reports)
    names = list(dict.fromkeys(c.name for r in rows for c in r.checks))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["file", "conclusion", "media type", "digest", *names])
    for report in rows:
        by_name = {c.name: f"{c.outcome.value}: {c.summary}" for c in report.checks}
        cells = [report.name, report.conclusion.value, report.media_type, report.digest]
        writer.writerow([escape_csv(cell) for cell in (*cells, *(by_name.get(n, "") for n in names))])
    return out.getvalue()


def junit(reports: Iterable[VerificationReport], fail_on: Sequence[Conclusion] = ()) -> str:
    """JUnit XML for build servers: one test case per file.

    Args:
        reports: What was verified.
        fail_on: Conclusions that count as failures; default: everything that exits with 1 or 3.
    """
    rows = list(reports)
    failing = set(fail_on) or {c for c, code in EXIT_CODES.items() if code in (1, 3)}
    failures = sum(r.conclusion in failing for r in rows)
    out = ['<?xml version="1.0" encoding="UTF-8"?>']
    out.append(f'<testsuite name="gensafe verify" tests="{len(rows)}" failures="{failures}" errors="0">')
    for report in rows:
        name = quoteattr(escape_terminal(report.name))
        if report.conclusion in failing:
            message = quoteattr(f"{report.conclusion.value}: {escape_terminal(report.explanation, 600)}")
            body = html.escape(report_text(report))
            out.append(f'  <testcase classname="gensafe.verify" name={name}>')
            out.append(f"    <failure message={message}>{body}</failure>")
            out.append("  </testcase>")
        else:
            out.append(f'  <testcase classname="gensafe.verify" name={name}/>')
    out.append("</testsuite>")
    return "\n".join(out) + "\n"


def _visible(character: str) -> str:
    return character if character.isprintable() else f"\\u{ord(character):04x}"


def _json(value: Any) -> Any:  # noqa: ANN401 - evidence is JSON-like by contract, whatever else is in there becomes text
    if isinstance(value, Mapping):
        return {str(k): _json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_json(v) for v in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
