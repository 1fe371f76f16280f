"""The journal's blocking half: which file records go to, closing a segment, rewriting it in large batches."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pyarrow as pa

from kalshi_trio.errors import FolderNotWritable, JournalDamaged, JournalUnwritable
from kalshi_trio.journal.batches import Damage, Report, raise_damage
from kalshi_trio.journal.files import LARGE, SegmentWriter, refusals, sync_folder
from kalshi_trio.journal.index import Index, write_index
from kalshi_trio.journal.names import part_path, parts_of, segment_of
from kalshi_trio.journal.reading import as_it_stands, records_of
from kalshi_trio.journal.segment import Closed, Missing, encode
from kalshi_trio.journal.window import cut
from kalshi_trio.logging_config import get_logger
from kalshi_trio.protocol.records import Records

log = get_logger(__name__)


class Disk:
    """Writes the files of one session; calls come one at a time, from a worker thread."""

    def __init__(self, folder: Path, metadata: dict[str, str]) -> None:
        self.folder = folder
        self.metadata = metadata
        self.closed: list[Closed] = []
        self._segment = 0
        self._writer: SegmentWriter | None = None
        self._parts: list[Path] = []
        """Files of this segment that hold records for good and get no more."""
        self._durable = 0

    def open(self) -> None:
        """Makes the folder; FolderNotWritable where that is refused."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            sync_folder(self.folder.parent)
            sync_folder(self.folder.parent.parent)
        except OSError as error:
            raise FolderNotWritable(f"{self.folder}: {error.strerror}. Choose another DATA_DIR.") from error

    def write(self, pending: list[tuple[int, Records]]) -> None:
        """Brings these records to disk.

        After JournalUnwritable call it again with the same records and any that came since. After a failed fsync nobody
        knows what the file holds behind its last good one, so what is not certain is written again to a new part.
        """
        try:
            for segment, entries in groupby(pending, key=lambda entry: entry[0]):
                left = [cut(run, self._durable) for _, run in entries if run.last > self._durable]
                if left:
                    self._file_for(segment).append(encode(left))
            if self._writer is not None:
                self._writer.sync()
                self._durable = self._writer.synced
        except JournalUnwritable:
            self._give_up()
            raise

    def end(self) -> None:
        """Closes the last segment as it stands. May be called again after JournalUnwritable: all records are on disk."""
        try:
            self._close()
        except JournalUnwritable:
            self._give_up()
            raise

    def _file_for(self, segment: int) -> SegmentWriter:
        if segment != self._segment:
            self._close()
            self._segment = segment
        if self._writer is None:
            self._writer = SegmentWriter(part_path(self.folder, segment, len(self._parts) + 1), self.metadata)
        return self._writer

    def _close(self) -> None:
        closed = None
        if self._writer is not None:
            closed = end_segment(self._writer)
            self._durable = closed.last
            self._parts.append(self._writer.path)
            self._writer = None
        if self._parts and (closed is None or len(self._parts) > 1):
            closed = self._one_file(self._parts[0])
        if closed is not None:
            self.closed.append(closed)
        self._parts = []

    def _one_file(self, path: Path) -> Closed:
        try:
            return put_together(path, self.metadata)
        except JournalDamaged as error:
            log.error("Segment %s stays in parts: %s", path.name, error)  # noqa: TRY400 -- the text says it all
            return as_it_stands(path)

    def _give_up(self) -> None:
        """The file gets no more; if nothing of it is certain, its name is used again."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.abandon()
            self._durable = max(self._durable, writer.synced)
            if writer.synced:
                self._parts.append(writer.path)


def end_segment(writer: SegmentWriter, path: Path | None = None) -> Closed:
    """Ends a file that has records, under its own name or as `path`, and puts its index beside it."""
    sha256, path = writer.end(), path or writer.path
    if path != writer.path:
        with refusals(path):
            writer.path.replace(path)
            sync_folder(path.parent)
    index = Index(writer.entries, writer.bytes, sha256, writer.missing)
    write_index(path.with_suffix(".index"), index)
    return Closed(path.name, index.first, index.last, writer.bytes, sha256)


def rewrite(path: Path, metadata: dict[str, str], missing: list[Missing] | None = None) -> Closed:
    """Puts a closed segment and its parts into large batches in one file. A reader that holds an old one goes on with it.

    Where the disk refuses, or more is damaged than `missing`, the files stay as they are, which the log says: damage is
    not made truth.
    """
    try:
        return put_together(path, metadata, missing)
    except (JournalUnwritable, JournalDamaged) as error:
        log.warning("Segment %s stays as it was written: %s", path.name, error)
        path.with_suffix(".arrows.tmp").unlink(missing_ok=True)
        return as_it_stands(path)
    finally:
        pa.default_memory_pool().release_unused()  # else what the large batches took stays with the process


def put_together(path: Path, metadata: dict[str, str], missing: list[Missing] | None = None) -> Closed:
    """The same, or JournalUnwritable, JournalDamaged; killed at any point, it can be done again, with the same result.

    `missing`: what of the segment recovery gives up (`missing_of`); unless given, nothing may be missing. The new file
    names it before it takes the old one's place, else whoever is killed behind that would find a file with nothing amiss.
    """
    parts = parts_of(path.parent, segment_of(path))
    report: Report = raise_damage if missing is None else _passed_over
    writer = SegmentWriter(path.with_suffix(".arrows.tmp"), metadata, missing or ())
    try:
        following = 0
        for batch in _large(records_of(path, report)):
            first = batch.column(0)[0].as_py()
            if not following and missing and missing[0].first < first:
                writer.mark(missing[0].first)
            if missing is None and following and first != following:
                raise JournalDamaged(f"{path}: records {following}-{first - 1} are missing")
            writer.append(batch)
            following = batch.column(0)[-1].as_py() + 1
        if not writer.entries and not missing:
            raise JournalDamaged(f"{path}: no record in it can be read")
        if missing and missing[-1].last >= following:
            if not writer.bytes:
                writer.mark(missing[0].first)
            writer.mark(missing[-1].last + 1)
        closed = end_segment(writer, path)
    finally:
        writer.abandon()
    with refusals(path):
        for part in parts[1:]:
            part.unlink()
            part.with_suffix(".index").unlink(missing_ok=True)
    return closed


def _large(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same records in batches of about LARGE, none of them across records that are missing."""
    held: list[pa.RecordBatch] = []
    following = 0
    for batch in batches:
        if held and batch.column(0)[0].as_py() != following:
            yield _one(held)
            held = []
        held.append(batch)
        following = batch.column(0)[-1].as_py() + 1
        if sum(part.num_rows for part in held) >= LARGE:
            yield _one(held)
            held = []
    if held:
        yield _one(held)


def _passed_over(_damage: Damage) -> None:
    """The new file names it."""


def _one(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    (whole,) = pa.Table.from_batches(batches).combine_chunks().to_batches()
    return whole
