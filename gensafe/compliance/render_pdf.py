"""A report as PDF with reportlab (BSD); the extra ``pdf``. Deterministic: no creation date is written."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

from gensafe.compliance.duty import Status
from gensafe.core.clock import iso
from gensafe.core.errors import PluginError

if TYPE_CHECKING:
    from gensafe.compliance.report import Report

_COLOUR: Final = {
    Status.MET: "#1a7f37",
    Status.RECORDED: "#0550ae",
    Status.PARTLY: "#9a6700",
    Status.NOT_MET: "#b3261e",
    Status.NO_EVIDENCE: "#57606a",
    Status.OUTSIDE: "#57606a",
}
_LISTED: Final = 40  # exceptions that fit on a page in small print. Chosen by eye


def render_pdf(report: Report) -> bytes:
    """The PDF's bytes.

    Raises:
        PluginError: reportlab is not installed.
    """
    try:
        from reportlab.lib import colors
        from reportlab.lib.pagesizes import A4
        from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
        from reportlab.platypus import KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table
    except ImportError:
        raise PluginError("PDF needs reportlab", fix="pip install 'gensafe[pdf]'") from None
    from gensafe.compliance.report import DISCLAIMER, period_text

    styles = getSampleStyleSheet()
    for heading in ("Heading2", "Heading4"):
        styles[heading].keepWithNext = 1  # never alone at the foot of a page
    body = ParagraphStyle("body", parent=styles["BodyText"], fontSize=9, leading=12)
    small = ParagraphStyle("small", parent=body, fontSize=7.5, leading=10, textColor=colors.HexColor("#57606a"))
    warn = ParagraphStyle("warn", parent=body, backColor=colors.HexColor("#fff8c5"), borderPadding=4, spaceBefore=6)
    cell = ParagraphStyle("cell", parent=body, fontSize=8, leading=10)

    def text(value: str, style: Any = body) -> Any:  # noqa: ANN401 - reportlab is untyped
        return Paragraph(escape(value), style)

    def status(value: Status) -> Any:  # noqa: ANN401
        return Paragraph(f'<font color="{_COLOUR[value]}"><b>{value.value}</b></font>', cell)

    story: list[Any] = [text(report.regime.title, styles["Title"]), text(report.regime.standing, small)]
    scope = f", tenant {report.tenant}" if report.tenant else ""
    story.append(text(f"Log {report.origin}, {report.size:,} entries; {period_text(report)}{scope}."))
    story += [text(warning, warn) for warning in report.warnings]
    story += [Spacer(1, 10), text("Overview", styles["Heading2"])]
    rows = [[Paragraph(f"<b>{name}</b>", cell) for name in ("Duty", "Evidence", "Outputs")]]
    for duty, finding in report.findings:
        share = f"{finding.share[0]:,} of {finding.share[1]:,}" if finding.share else "-"
        rows.append([text(duty.title, cell), status(finding.status), text(share, cell)])
    grid = [("GRID", (0, 0), (-1, -1), 0.4, colors.HexColor("#d0d7de")), ("VALIGN", (0, 0), (-1, -1), "TOP")]
    story.append(Table(rows, colWidths=[285, 100, 66], style=grid, repeatRows=1, hAlign="LEFT"))
    story.append(text("Duties", styles["Heading2"]))
    for duty, finding in report.findings:
        block = [text(duty.title, styles["Heading4"]), status(finding.status), text(duty.basis, small)]
        block += [text(f"Shown by: {duty.feature}.", small), text(finding.summary)]
        if duty.unconfirmed:
            block.append(text(f"Unconfirmed: {duty.unconfirmed}", small))
        block.append(text(f"Software cannot prove: {duty.beyond}", small))
        story.append(KeepTogether(block))
        story += [text(f"{name}: {value}", small) for name, value in _facts(finding.facts)]
        story += [text(f"Exception: {item}", small) for item in finding.exceptions[:_LISTED]]
        if len(finding.exceptions) > _LISTED:
            story.append(text(f"… and {len(finding.exceptions) - _LISTED} more in the JSON report.", small))
    story.append(text("Integrity of the log", styles["Heading2"]))
    story.append(text(report.integrity_text, small))
    story.append(text("Not covered", styles["Heading2"]))
    story += [text(item, body) for item in report.regime.not_covered]
    story += [Spacer(1, 8), text(DISCLAIMER, small)]

    def footer(canvas: Any, document: Any) -> None:  # noqa: ANN401
        canvas.setFont("Helvetica", 7)
        canvas.setFillColor(colors.HexColor("#57606a"))
        canvas.drawString(document.leftMargin, 30, f"{report.regime.title} - log {report.origin}")
        canvas.drawRightString(A4[0] - document.rightMargin, 30, f"page {document.page}")

    out = io.BytesIO()
    document = SimpleDocTemplate(out, pagesize=A4, title=report.regime.title, author="GenSafe", invariant=1)
    document.build(story, onFirstPage=footer, onLaterPages=footer)
    return out.getvalue()


def _facts(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Facts as lines: names with spaces, times as dates, long lists cut (the JSON report has all)."""
    return [(name.replace("_", " "), _shown(name, value)) for name, value in facts.items()]


def _shown(name: str, value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{str(k).removesuffix('_ms')} {_shown(str(k), v)}" for k, v in value.items()) or "none"
    if isinstance(value, list | tuple):
        more = f" and {len(value) - _LISTED} more" if len(value) > _LISTED else ""
        return f"[{'; '.join(_shown(name, v) for v in value[:_LISTED])}]{more}" if value else "none"
    if name.endswith("_ms") and isinstance(value, int):
        return iso(value)
    return json.dumps(value) if isinstance(value, bool) or value is None else str(value)
