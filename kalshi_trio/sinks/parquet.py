"""Rows as Parquet: hive folders, a file a table and batch, put whole. The files' names are the cursor.

Encodings by measurement (µs and bytes a row in this module's tests' commit): zstd 1, DELTA_BINARY_PACKED for what
counts upwards, dictionary for the rest, decimals as integers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from kalshi_trio.errors import SinkUnavailable
from kalshi_trio.logging_config import get_logger
from kalshi_trio.own_hash import KEY, PLACEHOLDER, with_own_hash
from kalshi_trio.protocol.schema import TABLES, RowBatch
from kalshi_trio.sinks.batch import beyond
from kalshi_trio.sinks.hints import NEVER, believed, seal
from kalshi_trio.sinks.pace import Pace
from kalshi_trio.sinks.parquet_names import RowFile, not_covered, row_file
from kalshi_trio.sinks.shelf import LocalShelf, Shelf

_logger = get_logger(__name__)


class ParquetStore:
    """A `Store` that puts files in a folder, or on any other `Shelf`."""

    name = "Parquet"

    def __init__(self, place: Path | Shelf) -> None:
        self._shelf: Shelf = LocalShelf(place) if isinstance(place, Path) else place
        self._said = Pace(_logger)

    def __repr__(self) -> str:
        return f"ParquetStore({self._shelf!r})"

    def open(self) -> None:
        """See Store. Raises FolderNotWritable."""
        self._shelf.prepare()

    def files(self, table: str, session: str | None = None) -> list[RowFile]:
        """The files of a table to read, of one session or of all; those that a larger one covers are left out."""
        found = filter(None, map(RowFile.parse, self._shelf.files(table)))
        return not_covered(file for file in found if session in {None, file.session})

    def positions(self, session: str) -> dict[str, int]:
        """See Store: the highest HI in the names; files that were never finished are removed."""
        for table in TABLES:
            self._shelf.sweep(table, f"{session}-")
        return {table: max((file.hi for file in self.files(table, session)), default=0) for table in TABLES}

    def write(self, batch: RowBatch, after: dict[str, int]) -> None:
        """See Store. A table without rows in the batch gets no file."""
        for table, rows in batch.tables.items():
            done = after.get(table, 0)
            rest = beyond(rows, done)
            if rest.num_rows:
                file = row_file(batch.session, batch.date, max(batch.lo, done + 1), batch.hi)
                self._put(table, file, rest)

    def count(self, session: str) -> dict[str, int]:
        """See Store: as the files' footers say. One that has none that can be read has no rows."""
        return {table: sum(self._rows(table, file) for file in self.files(table, session)) for table in TABLES}

    def progress(self, session: str, through: int, held: Mapping[str, int] = {}) -> None:
        """See Store."""
        text = json.dumps(seal(session, through, held))
        self._shelf.put(_hint(session), pa.py_buffer(text.encode()))

    def hint(self, session: str, held: Mapping[str, int] | None = None, last: int = NEVER) -> int:
        """See Store."""
        text = self._shelf.read(_hint(session))
        try:
            kept = json.loads(text) if text else {}
        except ValueError:
            kept = None
        return believed(self.name, kept if isinstance(kept, dict) else {"session": ""}, session, held, last)

    def remove(self, session: str) -> None:
        """See Store: the hint first; then the files of the highest frames, so that what is left never has a hole."""
        self._shelf.remove([_hint(session)])
        for table in TABLES:
            found = [file for file in map(RowFile.parse, self._shelf.files(table)) if file and file.session == session]
            found.sort(key=lambda file: (file.hi, file.lo), reverse=True)
            self._shelf.remove([f"{table}/{file.path}" for file in found])
            _logger.debug("Removed %d files of session %s from %s", len(found), session, table)

    def interrupt(self) -> None:
        """See Store: a local write ends by itself within milliseconds."""

    def close(self) -> None:
        """See Store: nothing is kept open."""

    def _rows(self, table: str, file: RowFile) -> int:
        try:
            with self._shelf.open(f"{table}/{file.path}") as opened:
                return int(pq.read_metadata(opened).num_rows)
        except pa.ArrowInvalid as error:
            _logger.warning("%s/%s cannot be read, its rows do not count: %s", table, file.path, error)
            return 0
        except (OSError, MemoryError) as error:
            raise SinkUnavailable(f"{table}/{file.path}: {error}") from error

    def _put(self, table: str, file: RowFile, rows: pa.Table) -> None:
        try:
            data = encode(table, file, rows)
        except MemoryError as error:  # pyarrow's is one, too
            raise SinkUnavailable(f"out of memory: {error}") from error
        self._said.line("Writing Parquet file: %d rows, ~%.2fMB", rows.num_rows, data.size / 1e6)
        self._shelf.put(f"{table}/{file.path}", data)
        _logger.debug("Wrote %d rows to %s/%s", rows.num_rows, table, file.path)


def _hint(session: str) -> str:
    return f"_progress/{session}.json"


def encode(table: str, file: RowFile, rows: pa.Table) -> pa.Buffer:
    """The bytes of one Parquet file; `session` becomes its first column, `date` is left to the folder.

    Metadata: `session`, `table`, `date`, `first_frame`, `last_frame` (what the file covers), `sha256` (see `own_hash`).
    """
    session = pa.repeat(pa.scalar(file.session), rows.num_rows)
    whole = rows.add_column(0, TABLES[table].field("session"), session)
    about = {"session": file.session, "table": table, "date": file.date}
    about |= {"first_frame": str(file.lo), "last_frame": str(file.hi), KEY: PLACEHOLDER}
    sink = pa.BufferOutputStream()
    pq.write_table(
        whole.replace_schema_metadata(about),
        sink,
        compression="zstd",
        compression_level=1,
        store_decimal_as_integer=True,
        use_dictionary=[name for name, counts in _leaves(whole.schema) if not counts],
        column_encoding={name: "DELTA_BINARY_PACKED" for name, counts in _leaves(whole.schema) if counts},
    )
    return pa.py_buffer(with_own_hash(sink.getvalue().to_pybytes()))


def _leaves(schema: pa.Schema) -> Iterator[tuple[str, bool]]:
    for field in schema:
        path = f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name
        yield path, field.type == pa.uint64() or pa.types.is_timestamp(field.type) or field.name == "sid"
