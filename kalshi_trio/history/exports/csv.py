"""Tables as CSV, columns as in Parquet: times as ISO 8601 (UTC), prices and counts as exact decimals, lists as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from kalshi_trio.errors import UsageError
from kalshi_trio.history.exports.target import Writable, packed
from kalshi_trio.protocol.schema import TABLES, TEXTS, RowBatch


class Csv:
    """Blocking: takes batches in order. `place` is a folder, or the `single` file of table `only`, packed as `name` says.

    Raises UsageError for a table that there is not.
    """

    def __init__(self, place: Path, name: str, only: str | None, *, single: bool) -> None:
        if only is not None and only not in TABLES:
            raise UsageError(f"There is no table {only!r}: {', '.join(TABLES)}.")
        self._place, self._name, self._only, self._single = place, name, only, single
        self._files: dict[str, tuple[Writable, csv.CSVWriter]] = {}
        self.written = 0
        if only is not None:
            self._writer(only)

    def take(self, batch: RowBatch) -> None:
        """Writes its rows."""
        for name, rows in batch.tables.items():
            if self._only in (None, name) and rows.num_rows:
                self._writer(name).write_table(_shown(name, batch, rows))
                self.written += rows.num_rows

    def close(self) -> None:
        """All is written, or nothing more will be."""
        for file, writer in self._files.values():
            writer.close()
            file.close()
        self._files = {}

    def _writer(self, name: str) -> csv.CSVWriter:
        if name not in self._files:
            file = packed(self._place, self._name) if self._single else packed(self._place / f"{name}.csv", "")
            self._files[name] = (file, csv.CSVWriter(file, _schema(name)))
        return self._files[name][1]


def _schema(name: str) -> pa.Schema:
    return pa.schema([(f.name, pa.string() if f.type == TEXTS else f.type) for f in TABLES[name]])


def _shown(name: str, batch: RowBatch, rows: pa.Table) -> pa.Table:
    """With the columns that are the same for all rows of a batch."""
    columns = []
    for field in TABLES[name]:
        if field.name in ("session", "date"):
            value = batch.session if field.name == "session" else batch.date
            columns.append(pa.repeat(pa.scalar(value, field.type), rows.num_rows))
        elif field.type == TEXTS:
            columns.append(pa.array([json.dumps(names) for names in rows[field.name].to_pylist()], pa.string()))
        else:
            columns.append(rows[field.name])
    return pa.table(columns, schema=_schema(name))
