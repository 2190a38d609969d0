"""CSV (RFC 4180) that is safe to open in a spreadsheet: no cell can start a formula."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from gensafe.compliance.exporters.flat import COLUMNS, flatten

NAME: Final = "entries.csv"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class CsvExporter:
    """Writes ``entries.csv``: one row per entry, UTF-8, CRLF."""

    format = "csv"

    def export(self, entries: Iterator[Mapping[str, object]], directory: str) -> tuple[str, ...]:
        """Write the file; return its name."""
        with (Path(directory) / NAME).open("x", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for row in entries:
                writer.writerow([safe_cell(value) for value in flatten(row).values()])
        return (NAME,)


def safe_cell(value: str | int | None) -> str | int:
    """A cell that no spreadsheet runs: text that begins like a formula gets an apostrophe (OWASP, CSV injection)."""
    if value is None:
        return ""
    if isinstance(value, int):
        return value
    text = value.replace("\x00", "")
    return "'" + text if text.lstrip(" ").startswith(_FORMULA) or text.startswith(_FORMULA) else text


def create(options: Mapping[str, str]) -> CsvExporter:
    """Entry point of ``gensafe.exporters``."""
    return CsvExporter()
