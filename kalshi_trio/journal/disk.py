"""The journal's blocking half: which file records go to, closing a segment, rewriting it in large batches."""

from __future__ import annotations

import os
from itertools import groupby
from pathlib import Path

import pyarrow as pa

from kalshi_trio.errors import FolderNotWritable, JournalUnwritable
from kalshi_trio.journal.files import LARGE, SegmentWriter, sync_folder
from kalshi_trio.journal.index import write_index
from kalshi_trio.journal.segment import Closed, encode
from kalshi_trio.protocol.records import Records


class Disk:
    """Writes the files of one session; calls come one at a time, from a worker thread."""

    def __init__(self, folder: Path, metadata: dict[str, str]) -> None:
        self.folder = folder
        self.metadata = metadata
        self._writer: SegmentWriter | None = None
        self._segment = 0
        self._number = 0
        self.closed: list[Closed] = []

    def open(self) -> None:
        """Makes the folder; FolderNotWritable where that is refused."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            sync_folder(self.folder.parent)
        except OSError as error:
            raise FolderNotWritable(f"{self.folder}: {error.strerror}. Choose another DATA_DIR.") from error

    def write(self, pending: list[tuple[int, Records]]) -> None:
        """Brings these records to disk.

        After JournalUnwritable all of them are to be written again: to a new file, which is right from its first record
        on, whatever the old one holds beyond that.
        """
        try:
            for segment, runs in groupby(pending, key=lambda entry: entry[0]):
                writer = self._for(segment)
                writer.append(encode([run for _, run in runs]))
            if self._writer is not None:
                self._writer.sync()
        except JournalUnwritable:
            if self._writer is not None:
                self._writer.abandon()
                self._writer = None
            raise

    def _for(self, segment: int) -> SegmentWriter:
        if self._writer is not None and segment != self._segment:
            self._close(self._writer)
            self._writer = None
        if self._writer is None:
            self._segment = segment
            self._number += 1
            self._writer = SegmentWriter(self.folder / f"{self._number:06}.arrows", self.metadata)
        return self._writer

    def _close(self, writer: SegmentWriter) -> None:
        sha256 = writer.end()
        write_index(writer.path.with_suffix(".index"), writer.entries, writer.bytes, sha256)
        first, last = writer.entries[0].first_frame, writer.entries[-1].last_frame
        self.closed.append(Closed(writer.path.name, first, last, writer.bytes, sha256))

    def end(self) -> None:
        """Closes the last segment as it stands."""
        if self._writer is not None:
            self._close(self._writer)
            self._writer = None


def rewrite(path: Path, metadata: dict[str, str]) -> Closed:
    """Puts a closed segment into large batches, under its own name. A reader that holds the old file goes on with it."""
    temporary = path.with_suffix(".arrows.tmp")
    writer = SegmentWriter(temporary, metadata)
    with pa.OSFile(os.fspath(path)) as source, pa.ipc.open_stream(source) as reader:
        held: list[pa.RecordBatch] = []
        for batch in reader:
            held.append(batch)
            if sum(part.num_rows for part in held) >= LARGE:
                _put(writer, held)
                held = []
        if held:
            _put(writer, held)
    sha256 = writer.end()
    temporary.replace(path)
    write_index(path.with_suffix(".index"), writer.entries, writer.bytes, sha256)
    return Closed(path.name, writer.entries[0].first_frame, writer.entries[-1].last_frame, writer.bytes, sha256)


def _put(writer: SegmentWriter, batches: list[pa.RecordBatch]) -> None:
    (whole,) = pa.Table.from_batches(batches).combine_chunks().to_batches()
    writer.append(whole)
