"""Write a report as JSON, HTML or PDF."""

from __future__ import annotations

import json
from pathlib import Path

from gensafe.compliance.render_html import render_html
from gensafe.compliance.report import Report
from gensafe.core.errors import InvalidRequest
from gensafe.core.outfile import write_file


def write_report(report: Report, path: Path) -> None:
    """Write by the suffix of ``path``: .json, .html or .pdf (extra ``pdf``); whole or not at all.

    Raises:
        InvalidRequest: another suffix.
        OutputFailed: no such folder, no right, a full disk.
        PluginError: PDF without its library.
    """
    suffix = path.suffix.lower()
    if suffix == ".json":
        text = json.dumps(report.as_json(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"
        data = text.encode("utf-8")
    elif suffix in (".html", ".htm"):
        data = render_html(report).encode("utf-8")
    elif suffix == ".pdf":
        from gensafe.compliance.render_pdf import render_pdf

        data = render_pdf(report)
    else:
        raise InvalidRequest(f"reports are written as .json, .html or .pdf, not {suffix!r}", field="out")
    write_file(path, data, "out")
