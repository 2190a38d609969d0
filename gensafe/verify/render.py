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
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class NotVerified:
    """A file about which no verdict was reached, for a reason that is not in the file.

    Args:
        name: The file.
        reason: One sentence: "could not ask HOST: connection refused".
        exit_code: 69 where a server could not be asked, 70 for a fault of ours.
    """

    name: str
    reason: str
    exit_code: int


Result = VerificationReport | NotVerified


def exit_code(result: Result) -> int:
    """What ``gensafe verify`` exits with for this file alone."""
    return result.exit_code if isinstance(result, NotVerified) else EXIT_CODES[result.conclusion]


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


def report_text(report: Result, source: str = "") -> str:
    """Lines for a person: the conclusion first, then one line per check.

    Args:
        report: What was found.
        source: The server that says so; "" = this program.
    """
    name = escape_terminal(report.name)
    if isinstance(report, NotVerified):
        return f"{name}: NOT VERIFIED\n  {escape_terminal(report.reason, 600)}"
    according = f" (according to {escape_terminal(source)})" if source else ""
    lines = [
        f"{name}: {report.conclusion.value.upper()}{according}",
        f"  {escape_terminal(report.explanation, 600)}",
    ]
    lines += [f"  {_SYMBOLS[c.outcome]}  {c.name:<20}  {escape_terminal(c.summary)}" for c in report.checks]
    for check in report.checks:
        difference = check.evidence.get("difference")
        if isinstance(difference, Sequence) and not isinstance(difference, str):
            lines += ["  difference:", *(f"    {escape_terminal(str(text))}" for text in difference)]
    return "\n".join(lines)


def report_dict(report: Result, source: str = "") -> dict[str, Any]:
    """The report as JSON values. Strings are as found: whoever shows them must escape them for the sink.

    A file without a verdict has ``error`` and no ``conclusion``; ``according_to`` names the server that was asked.
    """
    asked = {"according_to": source} if source else {}
    if isinstance(report, NotVerified):
        return {"name": report.name, "error": report.reason, "exit_code": report.exit_code, **asked}
    return {
        **asked,
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


def junit(reports: Iterable[Result], fail_on: Sequence[Conclusion] = (), source: str = "") -> str:
    """A JUnit XML test suite: one test case per file.

    Args:
        reports: What was verified. A file without a verdict is an ``error``, not a failure.
        fail_on: Conclusions that count as failures; default: all but a proof and "nothing found".
        source: The server that was asked; "" = this program.
    """
    rows = list(reports)
    failing = set(fail_on) or {c for c, code in EXIT_CODES.items() if code not in (0, 2)}
    errors = sum(isinstance(r, NotVerified) for r in rows)
    failures = sum(isinstance(r, VerificationReport) and r.conclusion in failing for r in rows)
    suite = quoteattr("gensafe verify" + (f" according to {escape_terminal(source)}" if source else ""))
    out = ['<?xml version="1.0" encoding="UTF-8"?>']
    out.append(f'<testsuite name={suite} tests="{len(rows)}" failures="{failures}" errors="{errors}">')
    for report in rows:
        case = f'  <testcase classname="gensafe.verify" name={quoteattr(escape_terminal(report.name))}'
        if isinstance(report, NotVerified):
            out += [
                f"{case}>",
                f"    <error message={quoteattr(escape_terminal(report.reason, 600))}/>",
                "  </testcase>",
            ]
        elif report.conclusion in failing:
            message = quoteattr(f"{report.conclusion.value}: {escape_terminal(report.explanation, 600)}")
            body = html.escape(report_text(report, source))
            out += [f"{case}>", f"    <failure message={message}>{body}</failure>", "  </testcase>"]
        else:
            out.append(f"{case}/>")
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
