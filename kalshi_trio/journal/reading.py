"""A session's records from disk, for any thread or process, from any record on.

Where two segment files overlap (a write that failed was repeated), the later one is right from its first record on.
Damage costs one batch: it is reported, and reading goes on behind it.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from kalshi_trio.errors import JournalDamaged
from kalshi_trio.journal.batches import (
    NEVER,
    Damage,
    Report,
    batches,
    closed_index,
    first_frame,
    last_of_file,
    raise_damage,
)
from kalshi_trio.journal.names import parts_of, segment_of
from kalshi_trio.journal.segment import Closed, decode, numbers
from kalshi_trio.journal.window import Frames

PIECE = 5_000
"""Records unpacked at a time: a closed segment's whole batch would hold the interpreter's lock for 16 ms."""


class Hole(NamedTuple):
    """Records that are lost to damage; segment 0 where nobody knows which one had them."""

    segment: int
    first: int
    last: int
    why: str


def read_session(
    folder: Path, after: int = 0, through: int | None = None, damage: Report | None = None
) -> Iterator[Frames]:
    """Records behind `after` and up to `through`, in pieces of some thousands that never cross a segment.

    Without `damage`, a damaged batch raises JournalDamaged. The session may be recorded at the same time.
    """
    while True:
        try:
            for path, batch in walk(folder, after, NEVER if through is None else through, damage or raise_damage):
                for at in range(0, batch.num_rows, PIECE):
                    frames = Frames(segment_of(path), decode(batch.slice(at, PIECE)))
                    yield frames
                    after = frames.records[-1].last
        except FileNotFoundError:
            continue  # parts of a segment were put together meanwhile: they are in its first file now
        return


def read_around(folder: Path, after: int, through: int) -> Iterator[Frames | Hole]:
    """The same, with what is lost in its place: every record is in one or the other, in order."""
    found: list[Damage] = []
    for frames in read_session(folder, after, through, found.append):
        yield from _holes(found, after, frames.records[0].first - 1)
        found.clear()
        yield frames
        after = frames.records[-1].last
    yield from _holes(found, after, through)


def _holes(found: list[Damage], after: int, through: int) -> Iterator[Hole]:
    for damage in found:
        if damage.last > after:  # a file may have been read twice
            yield Hole(segment_of(Path(damage.file)), after + 1, damage.last, f"{damage.file}: {damage.why}")
            after = damage.last
    if through > after:
        yield Hole(0, after + 1, through, "no segment has them")


def walk(
    folder: Path, after: int, through: int, report: Report, fields: Sequence[int] = ()
) -> Iterator[tuple[Path, pa.RecordBatch]]:
    """The same as record batches, cut to what is asked for, with the file that each is from.

    `fields`: places of the columns wanted, 0 (the record's number) first; empty for all.
    """
    return walk_files(sorted(folder.glob("*.arrows")), after, through, report, fields)


def walk_files(
    files: list[Path], after: int, through: int, report: Report, fields: Sequence[int] = ()
) -> Iterator[tuple[Path, pa.RecordBatch]]:
    """The same from these files."""
    at = max(bisect_right(files, after + 1, key=first_frame) - 1, 0)
    for number in range(at, len(files)):
        later = (first_frame(path) for path in files[number + 1 :])
        stop = min(through, next((first for first in later if first != NEVER), NEVER) - 1)
        for batch in batches(files[number], after, stop, report, fields):
            part = cut(batch, after, stop)
            if part.num_rows:
                yield files[number], part
                after = part.column(0)[-1].as_py()
        if stop == through:
            return


def cut(batch: pa.RecordBatch, after: int, through: int) -> pa.RecordBatch:
    """The records behind `after` and up to `through`."""
    frames = numbers(batch.column(0), "u8")
    lo, hi = np.searchsorted(frames, np.array([after, through], "u8"), side="right").tolist()
    return batch.slice(lo, max(hi - lo, 0))


def closed_files(folder: Path) -> list[Closed]:
    """The segments of a session that is over."""
    found = []
    for segment in sorted({segment_of(path) for path in folder.glob("*.arrows")}):
        path, *more = parts_of(folder, segment)
        index = None if more else closed_index(path)
        if index is None:
            found.append(as_it_stands(path))
        else:
            first, last = index.entries[0].first_frame, index.entries[-1].last_frame
            found.append(Closed(path.name, first, last, index.bytes, index.sha256))
    return [closed for closed in found if closed.last]


def newest_frame(folder: Path) -> int:
    """The last whole record of a session that may be recorded at the same time, 0 if it has none yet."""
    while True:
        try:
            return next(filter(None, map(last_of_file, sorted(folder.glob("*.arrows"), reverse=True))), 0)
        except FileNotFoundError:
            continue  # parts of a segment were put together meanwhile


def last_frame(folder: Path) -> int:
    """The last record of a session that is over, 0 if it has none."""
    return max((file.last for file in closed_files(folder)), default=0)


def as_it_stands(path: Path) -> Closed:
    """A segment without an index that fits: its disk refused, or it is damaged. `last` is 0 if nothing of it can be read."""
    first, last = NEVER, 0
    for batch in records_of(path, strict=False):
        first = min(first, batch.column(0)[0].as_py())
        last = batch.column(0)[-1].as_py()
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Closed(path.name, first if last else 0, last, path.stat().st_size, sha256)


def records_of(path: Path, *, strict: bool = True) -> Iterator[pa.RecordBatch]:
    """The batches of one segment, its parts cut where they overlap. Strict: JournalDamaged if a record is missing."""
    files, last = parts_of(path.parent, segment_of(path)), 0
    for _, batch in walk_files(files, 0, NEVER, raise_damage if strict else _passed_over):
        first = batch.column(0)[0].as_py()
        if strict and last and first != last + 1:
            raise JournalDamaged(f"{path}: records {last + 1}-{first - 1} are missing")
        last = batch.column(0)[-1].as_py()
        yield batch


def _passed_over(_damage: Damage) -> None:
    """It stays in the file for whoever reads it."""
