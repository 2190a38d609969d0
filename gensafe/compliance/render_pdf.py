"""A report as PDF with reportlab (BSD); the extra ``pdf``. Deterministic: no creation date is written."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from gensafe.compliance.duty import Standing, Status
from gensafe.compliance.present import COLOUR, LISTED, drill_lines, facts_lines, law_line
from gensafe.core.errors import PluginError

if TYPE_CHECKING:
    from gensafe.compliance.report import Report


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
        return Paragraph(f'<font color="{COLOUR[value]}"><b>{value.value}</b></font>', cell)

    story: list[Any] = [text(report.regime.title, styles["Title"]), text(report.regime.standing, small)]
    scope = f", tenant {report.tenant}" if report.tenant else ""
    story.append(text(f"Log {report.origin}, {report.size:,} entries; {period_text(report)}{scope}."))
    story.append(text(f"Law as of {report.as_of}, as this version states it (dated {report.regime.dated}).", small))
    story.append(text(report.summary))
    story += [text(warning, warn) for warning in report.warnings]
    story += [Spacer(1, 10), text("Overview", styles["Heading2"])]
    rows = [[Paragraph(f"<b>{name}</b>", cell) for name in ("Duty", "Evidence", "Outputs")]]
    for duty, finding in report.findings:
        share = f"{finding.share[0]:,} of {finding.share[1]:,}" if finding.share else "-"
        law = duty.standing(report.as_of)
        title = duty.title if law is Standing.IN_FORCE else f"{duty.title} ({law.value})"
        rows.append([text(title, cell), status(finding.status), text(share, cell)])
    grid = [("GRID", (0, 0), (-1, -1), 0.4, colors.HexColor("#d0d7de")), ("VALIGN", (0, 0), (-1, -1), "TOP")]
    story.append(Table(rows, colWidths=[285, 100, 66], style=grid, repeatRows=1, hAlign="LEFT"))
    story.append(text("Duties", styles["Heading2"]))
    for duty, finding in report.findings:
        block = [
            text(duty.title, styles["Heading4"]),
            status(finding.status),
            text(law_line(duty, duty.standing(report.as_of)), small),
        ]
        block += [text(f"Shown by: {duty.feature}.", small), text(finding.summary)]
        if duty.unconfirmed:
            block.append(text(f"Unconfirmed: {duty.unconfirmed}", small))
        block.append(text(f"Software cannot prove: {duty.beyond}", small))
        story.append(KeepTogether(block))
        story += [text(f"{name}: {value}", small) for name, value in facts_lines(finding.facts)]
        story += [text(f"Exception: {item}", small) for item in finding.exceptions[:LISTED]]
        if len(finding.exceptions) > LISTED:
            story.append(text(f"… and {len(finding.exceptions) - LISTED} more in the JSON report.", small))
    story.append(text("Drills", styles["Heading2"]))
    drills = [f"{when}: {what}" for when, what in drill_lines(report)]
    story += [text(line, small) for line in drills or ["No drill was performed in the period."]]
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
