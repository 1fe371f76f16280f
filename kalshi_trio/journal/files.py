"""A segment's file: bytes out, their checksums, and the errors of the disk under one name."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import google_crc32c
import pyarrow as pa

from kalshi_trio.errors import JournalUnwritable
from kalshi_trio.journal.segment import SCHEMA, Entry, Missing, no_records
from kalshi_trio.journal.tags import FORMAT, METADATA, salt_of, stamp

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


def open_regular(path: Path) -> io.BufferedReader:
    """A file to read in. OSError also for what is none: a pipe would let its reader wait for ever."""
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(number).st_mode):
        return os.fdopen(number, "rb")
    os.close(number)
    raise OSError(errno.EINVAL, "not a regular file", str(path))


def read_regular(path: Path) -> bytes:
    """All of a file, as `open_regular` opens it."""
    with open_regular(path) as file:
        return file.read()


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
    """A new segment file. Bytes count once `sync` has returned; JournalUnwritable where the disk refuses.

    `missing`: what is to be said in it of records that it is left without.
    """

    def __init__(self, path: Path, metadata: dict[str, str], missing: Sequence[Missing] = ()) -> None:
        self.path = path
        self.missing = list(missing)
        self.entries: list[Entry] = []
        self.bytes = 0
        self.synced = 0
        """The last record that is on disk for good, 0 for none."""
        self._catcher = _Catcher()
        self._sha = hashlib.sha256()
        self._salt = salt_of(metadata.get("session", ""))
        about = {**metadata, "format": str(FORMAT)}
        about |= {"missing": json.dumps(self.missing)} if self.missing else {}
        self._writer = pa.ipc.new_stream(self._catcher, SCHEMA.with_metadata(about), options=_OPTIONS)
        self._fd = -1
        try:
            with refusals(path):
                self._fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o644)
                sync_folder(path.parent)
        except JournalUnwritable:
            self.abandon()
            raise

    def append(self, batch: pa.RecordBatch) -> None:
        """Writes one batch."""
        frames = batch.column(0)
        first, last = frames[0].as_py(), frames[-1].as_py()
        head = b"" if self.bytes else self._unit(no_records(), first, 0)
        data = self._unit(batch, first, len(head))
        entry = Entry(self.bytes + len(head), len(data), google_crc32c.value(data), first, last)
        self._put(head + data)
        self.entries.append(entry)

    def mark(self, following: int) -> None:
        """Says which record comes next: where the first ones of the file are missing, or the last."""
        self._put(self._unit(no_records(), following, 0))

    def _unit(self, batch: pa.RecordBatch, first: int, ahead: int) -> bytes:
        self._writer.write_batch(batch, custom_metadata=METADATA)
        return stamp(self._catcher.take(), self.bytes + ahead, first, batch.num_rows, self._salt)

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
