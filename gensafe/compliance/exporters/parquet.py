"""Parquet for data warehouses; needs the extra ``parquet`` (pyarrow, Apache-2.0)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from gensafe.compliance.exporters.flat import COLUMNS, flatten
from gensafe.core.errors import PluginError

NAME: Final = "entries.parquet"
ROWS: Final = 8192


class ParquetExporter:
    """Writes ``entries.parquet`` with the columns of the CSV; row groups of 8,192, zstd."""

    format = "parquet"

    def export(self, entries: Iterator[Mapping[str, Any]], directory: str) -> tuple[str, ...]:
        """Write the file; return its name.

        Raises:
            PluginError: pyarrow is not installed.
        """
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError:
            raise PluginError("Parquet needs pyarrow", fix="pip install 'gensafe[parquet]'") from None
        schema = pa.schema([(name, pa.int64() if kind is int else pa.string()) for name, kind in COLUMNS.items()])
        with pq.ParquetWriter(Path(directory) / NAME, schema, compression="zstd") as writer:
            rows: list[dict[str, str | int | None]] = []
            for row in entries:
                rows.append(flatten(row))
                if len(rows) == ROWS:
                    writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                    rows = []
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
        return (NAME,)


def create(options: Mapping[str, str]) -> ParquetExporter:
    """Entry point of ``gensafe.exporters``."""
    return ParquetExporter()
