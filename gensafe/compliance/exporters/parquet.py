"""Parquet for data warehouses; needs the extra ``parquet`` (pyarrow, Apache-2.0)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from gensafe.compliance.exporters.flat import COLUMNS, flatten
from gensafe.core.errors import PluginError

NAME: Final = "entries.parquet"
ROWS: Final = 8192  # rows of a group, held in memory. Chosen, not measured


class ParquetExporter:
    """Writes ``entries.parquet`` with the columns of the CSV, ``time`` as a time stamp; row groups of 8,192, zstd."""

    format = "parquet"

    def export(self, entries: Iterator[Mapping[str, Any]], directory: str) -> tuple[str, ...]:
        """Write the file; return its name."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = {name: pa.int64() if kind is int else pa.string() for name, kind in COLUMNS.items()}
        schema = pa.schema(list((types | {"time": pa.timestamp("ms", tz="UTC")}).items()))
        with pq.ParquetWriter(Path(directory) / NAME, schema, compression="zstd") as writer:
            rows: list[dict[str, str | int | None]] = []
            for row in entries:
                rows.append(flatten(row) | {"time": row["time_ms"]})
                if len(rows) == ROWS:
                    writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                    rows = []
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
        return (NAME,)


def create(options: Mapping[str, str]) -> ParquetExporter:
    """Entry point of ``gensafe.exporters``.

    Raises:
        PluginError: pyarrow is not installed; told before anything is written.
    """
    if find_spec("pyarrow") is None:
        raise PluginError("the format parquet needs the library pyarrow", fix="pip install 'pyarrow>=18'")
    return ParquetExporter()
