"""JSON lines for log shippers: one object per entry with an RFC 3339 time. Proofs stay in the bundle's own files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from gensafe.core.canonical import canonical_json
from gensafe.core.clock import iso

NAME: Final = "events.jsonl"


class JsonlExporter:
    """Writes ``events.jsonl``."""

    format = "jsonl"

    def export(self, entries: Iterator[Mapping[str, Any]], directory: str) -> tuple[str, ...]:
        """Write the file; return its name."""
        with (Path(directory) / NAME).open("xb") as file:
            for row in entries:
                file.write(canonical_json({**row, "time": iso(row["time_ms"])}) + b"\n")
        return (NAME,)


def create(options: Mapping[str, str]) -> JsonlExporter:
    """Entry point of ``gensafe.exporters``."""
    return JsonlExporter()
