"""The batches of one segment file: by its index where that fits, each checked, else found by a walk through the file.

A walk believes what it reads, so it is only taken where nothing better can be known: the segment is still open, or the
whole file has the SHA-256 that the manifest (or the index) names. So damage is never taken for truth.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

import google_crc32c
import pyarrow as pa

from kalshi_trio.errors import JournalDamaged
from kalshi_trio.journal import manifest as manifests
from kalshi_trio.journal.index import Index, read_index
from kalshi_trio.journal.segment import Entry, stream_head


class Damage(NamedTuple):
    """A batch that is not what was written."""

    file: str
    first: int
    last: int
    why: str


Report = Callable[[Damage], None]
NEVER = 1 << 63
"""Behind every record."""


def raise_damage(damage: Damage) -> None:
    """The report of whoever did not ask for one: JournalDamaged."""
    raise JournalDamaged(f"{damage.file}: records {damage.first}-{damage.last}: {damage.why}")


def first_frame(path: Path) -> int:
    """The first record of a segment file, NEVER if it has none. FileNotFoundError if it is gone."""
    with path.open("rb") as file:
        entries = _fitting(path, file) or scan(file, most=1)
    return entries[0].first_frame if entries else NEVER


def last_of_file(path: Path) -> int:
    """The last whole record of a segment file, 0 if it has none; it may be written at the same time."""
    with path.open("rb") as file:
        entries = _fitting(path, file) or scan(file)
    return entries[-1].last_frame if entries else 0


def closed_index(path: Path) -> Index | None:
    """The index of a closed segment if it speaks of this very file."""
    try:
        index = read_index(path.with_suffix(".index"))
    except JournalDamaged:
        return None
    return index if index and index.bytes == path.stat().st_size else None


def batches(
    path: Path, after: int, through: int, report: Report, fields: Sequence[int] = ()
) -> Iterator[pa.RecordBatch]:
    """Whole batches with records behind `after` and up to `through`; of their columns only `fields`, unless empty.

    FileNotFoundError if the file is gone.
    """
    options = pa.ipc.IpcReadOptions(included_fields=list(fields) or None)
    with path.open("rb") as file:
        entries = _fitting(path, file)
        checked = entries is not None
        if entries is None:
            entries, checked = _found(path, file, report, after)
        for entry in entries:
            if entry.last_frame > after and entry.first_frame <= through:
                batch = _load(path, file, entry, options, checked=checked)
                if isinstance(batch, Damage):
                    report(batch)
                else:
                    yield batch


def scan(file: BufferedReader, most: int | None = None) -> list[Entry]:
    """The whole batches from the beginning; what is not the next record (a torn end, as a crash leaves it) ends them.

    Only the column of record numbers is unpacked. The entries have no checksum. OSError where the disk does not give what
    it has: then nobody knows where the file ends.
    """
    found: list[Entry] = []
    file.seek(0)
    source = pa.PythonFile(file, mode="r")  # not mapped: a part that is begun again is truncated, which would be SIGBUS
    try:
        reader = pa.ipc.open_stream(source, options=_NUMBERS)
        while most is None or len(found) < most:
            frames = reader.read_next_batch().column(0)
            offset = found[-1].offset + found[-1].length if found else 0
            first, last = frames[0].as_py(), frames[-1].as_py()
            if (found and first != found[-1].last_frame + 1) or last - first + 1 != len(frames):
                break
            found.append(Entry(offset, source.tell() - offset, 0, first, last))
    except OSError as error:
        if error.errno is not None:  # the disk's own word: Arrow's has no number
            raise
    except (pa.ArrowException, StopIteration, EOFError, IndexError):
        pass
    return found


_NUMBERS = pa.ipc.IpcReadOptions(included_fields=[0])


def _fitting(path: Path, file: BufferedReader) -> list[Entry] | None:
    """The entries of the index, if it speaks of the file that is open (it may be rewritten at this moment)."""
    try:
        index = read_index(path.with_suffix(".index"))
    except JournalDamaged:
        return None
    return index.entries if index and index.bytes == os.fstat(file.fileno()).st_size else None


def _found(path: Path, file: BufferedReader, report: Report, after: int) -> tuple[list[Entry], bool]:
    """The entries of a file without a fitting index, and whether their checksums are known."""
    sealed = sealed_segment(path)
    if sealed is None or _sha256(file) == sealed.sha256:
        return scan(file), False
    try:
        index = read_index(path.with_suffix(".index"))
    except JournalDamaged:
        index = None
    if index is not None and index.sha256 == sealed.sha256:
        return index.entries, True
    first, last = sealed.frames
    report(Damage(path.name, max(first, after + 1), last, "the segment differs from its seal, and its index is lost"))
    return [], False


def sealed_segment(path: Path) -> manifests.Segment | None:
    """What the manifest says of a segment file, None while it is open."""
    about = manifests.read(path.parent)
    found = (one for one in about.segments if one.file == path.name) if about else iter(())
    return next((one for one in found if one.state == "sealed"), None)


def _load(
    path: Path, file: BufferedReader, entry: Entry, options: pa.ipc.IpcReadOptions, *, checked: bool
) -> pa.RecordBatch | Damage:
    file.seek(entry.offset)
    data = file.read(entry.length)
    if checked and google_crc32c.value(data) != entry.crc32c:
        return Damage(path.name, entry.first_frame, entry.last_frame, "checksum differs")
    head = stream_head() if entry.offset else b""  # the first batch has its own
    try:
        return pa.ipc.open_stream(pa.BufferReader(head + data), options=options).read_next_batch()
    except (pa.ArrowException, OSError, StopIteration) as error:
        return Damage(path.name, entry.first_frame, entry.last_frame, f"cannot be read: {error}")


def _sha256(file: BufferedReader) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()
