"""Reports for people and programs: text, JSON, JUnit XML, CSV; and escaping for every sink.

Everything that comes out of a file (titles, names, certificate subjects) is hostile text: control, bidirectional and
other format characters are shown as escapes, lengths are capped, HTML is escaped, CSV formulas are disarmed.
"""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from xml.sax.saxutils import quoteattr

from gensafe.core.types import Conclusion, Outcome, VerificationReport
from gensafe.verify.conclusion import EXIT_CODES
from gensafe.verify.headline import Tone, headline

MAX_SHOWN: Final = 300  # characters of a name or title on a terminal, a few lines; chosen by eye
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
Paint = Callable[[str, Tone], str]


def plain(text: str, _tone: Tone) -> str:
    """No colour."""
    return text


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


def report_line(report: Result, source: str = "", paint: Paint = plain) -> str:
    """One line for a person: verdict, AI-made or not claimed, by whom, when, unchanged or how changed.

    Args:
        report: What was found.
        source: The server that says so; "" = this program.
        paint: Colours the verdict; only its own words may steer a terminal, all other text is escaped here.
    """
    name = escape_terminal(report.name)
    if isinstance(report, NotVerified):
        return f"{name}: {paint('NOT VERIFIED', Tone.BAD)} | {escape_terminal(report.reason, 600)}"
    first = headline(report)
    parts = [f"{name}: {paint(_capitals(first.verdict), first.tone)}"]
    if report.checks and report.conclusion is not Conclusion.UNREADABLE:
        parts += [escape_terminal(text) for text in (first.origin, first.signer, first.when)]
    parts.append(escape_terminal(first.change, 600))
    parts += [f"according to {escape_terminal(source)}"] if source else []
    return " | ".join(parts)


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
        f"{name}: {_capitals(headline(report).verdict)}{according}",
        f"  {escape_terminal(report.explanation, 600)}",
    ]
    lines += [f"  {_SYMBOLS[c.outcome]}  {c.name:<20}  {escape_terminal(c.summary)}" for c in report.checks]
    for check in report.checks:
        chain = check.evidence.get("chain")
        if isinstance(chain, Sequence) and not isinstance(chain, str) and len(chain) > 1:
            lines += ["  chain of credentials:", *(f"    {escape_terminal(str(text))}" for text in chain)]
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
        "headline": _headline_dict(report),
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


_CSV_HEADLINE: Final = ("ai", "signer", "trusted list", "development key", "time", "change")


def reports_csv(reports: Iterable[Result]) -> str:
    """One row per file: name, conclusion, the headline, one column per check.

    A file without a verdict has the conclusion "not verified" and the reason under "change".
    """
    rows = list(reports)
    names = list(dict.fromkeys(c.name for r in rows if isinstance(r, VerificationReport) for c in r.checks))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["file", "conclusion", "media type", "digest", *_CSV_HEADLINE, *names])
    for report in rows:
        if isinstance(report, NotVerified):
            empty = [""] * (len(_CSV_HEADLINE) + 1)
            writer.writerow([escape_csv(c) for c in (report.name, "not verified", *empty, report.reason)])
            continue
        by_name = {c.name: f"{c.outcome.value}: {c.summary}" for c in report.checks}
        first = headline(report)
        cells = [report.name, report.conclusion.value, report.media_type, report.digest, first.ai.value]
        cells += [first.subject, first.trusted_list, "yes" if first.development else "no", first.time, first.change]
        writer.writerow([escape_csv(cell) for cell in (*cells, *(by_name.get(n, "") for n in names))])
    return out.getvalue()


def junit(
    reports: Iterable[Result],
    fail_on: Sequence[Conclusion] = (),
    source: str = "",
    unmet: Mapping[int, Sequence[str]] = MappingProxyType({}),
) -> str:
    """A JUnit XML test suite: one test case per file.

    Args:
        reports: What was verified. A file without a verdict is an ``error``, not a failure.
        fail_on: Conclusions that count as failures; default: all but a proof and "nothing found".
        source: The server that was asked; "" = this program.
        unmet: What was demanded of a file and is not met, by its place in ``reports``; a failure too.
    """
    rows = list(reports)
    failing = set(fail_on) or {c for c, code in EXIT_CODES.items() if code not in (0, 2)}
    errors = sum(isinstance(r, NotVerified) for r in rows)
    failed = {
        i: isinstance(r, VerificationReport) and (r.conclusion in failing or i in unmet) for i, r in enumerate(rows)
    }
    failures = sum(failed.values())
    suite = quoteattr("gensafe verify" + (f" according to {escape_terminal(source)}" if source else ""))
    out = ['<?xml version="1.0" encoding="UTF-8"?>']
    out.append(f'<testsuite name={suite} tests="{len(rows)}" failures="{failures}" errors="{errors}">')
    for index, report in enumerate(rows):
        case = f'  <testcase classname="gensafe.verify" name={quoteattr(escape_terminal(report.name))}'
        if isinstance(report, NotVerified):
            out += [
                f"{case}>",
                f"    <error message={quoteattr(escape_terminal(report.reason, 600))}/>",
                "  </testcase>",
            ]
        elif failed[index]:
            why = "; ".join([report.explanation, *unmet.get(index, ())])
            message = quoteattr(f"{report.conclusion.value}: {escape_terminal(why, 900)}")
            body = html.escape(report_text(report, source))
            out += [f"{case}>", f"    <failure message={message}>{body}</failure>", "  </testcase>"]
        else:
            out.append(f"{case}/>")
    out.append("</testsuite>")
    return "\n".join(out) + "\n"


def _capitals(verdict: str) -> str:
    """The conclusion in capitals, what limits it after the comma in small letters."""
    conclusion, comma, limit = verdict.partition(",")
    return conclusion.upper() + comma + limit


def _headline_dict(report: VerificationReport) -> dict[str, Any]:
    first = headline(report)
    return {
        "verdict": first.verdict,
        "ai": first.ai.value,
        "signer": first.subject,
        "trusted_list": first.trusted_list,
        "development_key": first.development,
        "time": first.time,
        "change": first.change,
    }


def _visible(character: str) -> str:
    return character if character.isprintable() else f"\\u{ord(character):04x}"


def _json(value: Any) -> Any:  # noqa: ANN401 - evidence is JSON-like by contract, whatever else is in there becomes text
    if isinstance(value, Mapping):
        return {str(k): _json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_json(v) for v in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
