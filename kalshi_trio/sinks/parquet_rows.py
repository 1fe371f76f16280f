"""Rows back from Parquet, each file checked before it is believed: its own hash, and its name against what it says.

A file under another name than it was written under (a copy, mostly) would bring rows twice. Readers that know nothing of
this project take every file of a folder, so `strays` names those that lie beside what is read here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kalshi_trio.own_hash import whole
from kalshi_trio.protocol.schema import ROW_SCHEMAS, beyond
from kalshi_trio.sinks.batch import frames_of
from kalshi_trio.sinks.parquet_names import RowFile, not_covered
from kalshi_trio.sinks.rows import NEVER, Report, RowDamage, raise_damage
from kalshi_trio.sinks.shelf import LocalShelf, Shelf

PIECE = 65_536
"""Rows unpacked at a time."""
_FOOT = 8
"""Bytes behind the footer: its length and a magic word."""
_LONGEST = 64 << 20
"""No footer is longer, whatever it says of itself."""


class Stray(NamedTuple):
    """A file that is not read here, but by those who take every file; `damage`: it has no right to be there."""

    path: str
    why: str
    damage: bool


class ParquetRows:
    """A `RowSource` over a folder, or any other `Shelf`."""

    name = "Parquet"

    def __init__(self, place: Path | Shelf) -> None:
        self._shelf: Shelf = LocalShelf(place) if isinstance(place, Path) else place
        self._looked: dict[str, str] = {}

    def open(self) -> None:
        """See RowSource: a folder that is not there holds no rows."""

    def close(self) -> None:
        """See RowSource."""

    def batches(
        self, table: str, session: str, after: int = 0, through: int = NEVER, report: Report = raise_damage
    ) -> Iterator[pa.Table]:
        """See RowSource. Of frames that two files hold, the first one's rows are given."""
        good, done = [], 0
        for file in self._files(table, session):
            wrong = self._wrong(table, file)
            if not wrong:
                good.append(file)
            elif file.hi > after and file.lo <= through:
                lost = (max(file.lo, after + 1), min(file.hi, through))
                report(RowDamage(f"{table}/{file.path}", *lost, wrong))
        for file in sorted(not_covered(good), key=lambda file: (file.lo, file.hi)):
            if file.hi > after and file.lo <= through:
                yield from self._rows(table, file, _Span(after, through, done), report)
            done = max(done, file.hi)

    def strays(self, table: str, session: str) -> list[Stray]:
        """Files of the table that `batches` passes over in silence although rows of the session are in them."""
        found = []
        read = set(not_covered(file for file in self._files(table, session) if not self._wrong(table, file)))
        for path in sorted(self._shelf.files(table)):
            file = RowFile.parse(path)
            if file is None and path.endswith(".parquet") and not path.rpartition("/")[2].startswith((".", "_")):
                if self._about(f"{table}/{path}").get("session") == session:
                    found.append(
                        Stray(f"{table}/{path}", "a copy under another name: its rows stand twice", damage=True)
                    )
            elif file is not None and file.session == session and file not in read and not self._wrong(table, file):
                why = "inside a larger file of the same frames, as compaction leaves it until the next start"
                found.append(Stray(f"{table}/{path}", why, damage=False))
        return found

    def _files(self, table: str, session: str) -> list[RowFile]:
        return [file for path in self._shelf.files(table) if (file := RowFile.parse(path)) and file.session == session]

    def _rows(self, table: str, file: RowFile, span: _Span, report: Report) -> Iterator[pa.Table]:
        where, twice = f"{table}/{file.path}", 0
        lost = (max(file.lo, span.after + 1), min(file.hi, span.through))
        try:
            with self._shelf.open(where) as source:
                names = ROW_SCHEMAS[table].names
                batches = pq.ParquetFile(source).iter_batches(PIECE, columns=names)
                for piece in whole_frames(_exact(table, batch) for batch in batches):
                    asked = up_to(beyond(piece, span.after), span.through)
                    rest = beyond(asked, span.done)
                    twice += asked.num_rows - rest.num_rows
                    if rest.num_rows:
                        yield rest
        except (pa.ArrowException, OSError, ValueError) as error:
            report(RowDamage(where, *lost, f"cannot be read: {error}"))
        if twice:
            report(RowDamage(where, lost[0], span.done, f"{twice} rows of frames that the file before it has, too"))

    def _wrong(self, table: str, file: RowFile) -> str:
        """Why a file must not be believed; empty if it is what was written. Files never change, so one look is enough."""
        path = f"{table}/{file.path}"
        if path not in self._looked:
            self._looked[path] = self._look(path, table, file)
        return self._looked[path]

    def _look(self, path: str, table: str, file: RowFile) -> str:
        about = self._about(path)
        if not about:
            return "cannot be read: checksum differs, or it is no Parquet file of ours"
        named = {"session": file.session, "table": table, "date": file.date}
        named |= {"first_frame": str(file.lo), "last_frame": str(file.hi)}
        if any(about.get(name) != value for name, value in named.items()):
            written = "{table}/date={date}/{session}-{first_frame}-{last_frame}.parquet".format_map(_Known(about))
            return f"it was written as {written}"
        return ""

    def _about(self, path: str) -> dict[str, str]:
        """The metadata that `encode` put in; empty for a file that is not what it wrote: no byte of that is decoded."""
        try:
            with self._shelf.open(path) as source:
                source.seek(max(source.size() - _FOOT, 0))
                footer = int.from_bytes(source.read(4), "little")
                if not whole(source, min(footer + _FOOT, _LONGEST)):
                    return {}
                found = pq.ParquetFile(source).metadata.metadata or {}
            return {key.decode(): value.decode() for key, value in found.items() if key != b"ARROW:schema"}
        except (pa.ArrowException, OSError, ValueError):
            return {}


class _Span(NamedTuple):
    """Frames behind `after` and up to `through` are asked for; those up to `done` were in files before."""

    after: int
    through: int
    done: int


class _Known(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


def _exact(table: str, batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([batch]).cast(ROW_SCHEMAS[table])


def up_to(rows: pa.Table, through: int) -> pa.Table:
    """The rows of frames up to `through`."""
    return rows.slice(0, int(np.searchsorted(frames_of(rows), np.uint64(through), side="right")))


def whole_frames(pieces: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows, cut only where a frame ends; they are in order of their frames."""
    held: list[pa.Table] = []
    for piece in pieces:
        if not piece.num_rows:
            continue
        frames = frames_of(piece)
        at = int(np.searchsorted(frames, frames[-1], side="left"))
        if at:
            yield pa.concat_tables([*held, piece.slice(0, at)])
            held = []
        held.append(piece.slice(at))
    if held:
        yield pa.concat_tables(held)
