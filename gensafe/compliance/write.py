"""Write a report as JSON, HTML or PDF."""

from __future__ import annotations

import json
from pathlib import Path

from gensafe.compliance.render_html import render_html
from gensafe.compliance.report import Report
from gensafe.core.errors import InvalidRequest


def write_report(report: Report, path: Path) -> None:
    """Write by the suffix of ``path``: .json, .html or .pdf (extra ``pdf``).

    Raises:
        InvalidRequest: another suffix.
        PluginError: PDF without its library.
    """
    suffix = path.suffix.lower()
    if suffix == ".json":
        path.write_text(json.dumps(report.as_json(), indent=2, ensure_ascii=False, sort_keys=True) + "\n", "utf-8")
    elif suffix in (".html", ".htm"):
        path.write_text(render_html(report), "utf-8")
    elif suffix == ".pdf":
        from gensafe.compliance.render_pdf import render_pdf

        path.write_bytes(render_pdf(report))
    else:
        raise InvalidRequest(f"reports are written as .json, .html or .pdf, not {suffix!r}", field="out")
