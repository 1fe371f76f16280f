"""A segment's file: bytes out, their checksums, and the errors of the disk under one name."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import google_crc32c
import pyarrow as pa

from kalshi_trio.errors import JournalUnwritable
from kalshi_trio.journal.segment import SCHEMA, Entry

LARGE = 16_384
"""Records a batch in a closed segment. Small batches cost three times the bytes (64 records; 1,024 cost 8 % more than these,
65,536 0.3 % less), large ones are unpacked whole for one record (3 ms; 65,536 took 18), and lost whole to a damaged byte."""
_OPTIONS = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", 1))


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Whatever the disk refuses inside is JournalUnwritable."""
    try:
        yield
    except OSError as error:
        raise JournalUnwritable(f"{path}: {error.strerror or error}") from error


class _Catcher(io.RawIOBase):
    """Catches what the Arrow writer writes, so that each batch's bytes are known."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        part = bytes(memoryview(data))  # type: ignore[arg-type]  # pyarrow hands over its own buffers
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        data, self._parts = b"".join(self._parts), []
        return data


class SegmentWriter:
    """A new segment file. Bytes count once `sync` has returned; JournalUnwritable where the disk refuses."""

    def __init__(self, path: Path, metadata: dict[str, str]) -> None:
        self.path = path
        self.entries: list[Entry] = []
        self.bytes = 0
        self.synced = 0
        """The last record that is on disk for good, 0 for none."""
        self._catcher = _Catcher()
        self._sha = hashlib.sha256()
        self._writer = pa.ipc.new_stream(self._catcher, SCHEMA.with_metadata(metadata), options=_OPTIONS)
        self._fd = -1
        try:
            with refusals(path):
                self._fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o644)
                sync_folder(path.parent)
            self._put(self._catcher.take())
        except JournalUnwritable:
            self.abandon()
            raise

    def append(self, batch: pa.RecordBatch) -> None:
        """Writes one batch."""
        self._writer.write_batch(batch)
        data = self._catcher.take()
        frames = batch.column(0)
        entry = Entry(self.bytes, len(data), google_crc32c.value(data), frames[0].as_py(), frames[-1].as_py())
        self._put(data)
        self.entries.append(entry)

    def sync(self) -> None:
        """Brings to disk what was written."""
        with refusals(self.path):
            os.fdatasync(self._fd)
        self.synced = self.entries[-1].last_frame if self.entries else 0

    def end(self) -> str:
        """Ends the stream; returns the file's SHA-256."""
        self._writer.close()
        self._put(self._catcher.take())
        self.sync()
        self.abandon()
        return self._sha.hexdigest()

    def abandon(self) -> None:
        """Closes the file as it stands; may be called again."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _put(self, data: bytes) -> None:
        view = memoryview(data)
        with refusals(self.path):
            while view:
                view = view[os.write(self._fd, view) :]
        self._sha.update(data)
        self.bytes += len(data)


def sync_folder(folder: Path) -> None:
    """Makes names in `folder` survive a power cut."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
