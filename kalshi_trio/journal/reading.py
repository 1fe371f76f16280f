"""A session's records from disk, for any thread or process, from any record on.

Where two segment files overlap (a write that failed was repeated), the later one is right from its first record on.
Damage costs one batch: it is reported, and reading goes on behind it.
"""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import groupby
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
from kalshi_trio.journal.files import open_regular
from kalshi_trio.journal.names import parts_of, segment_files, segment_of
from kalshi_trio.journal.segment import Closed, Missing, decode, numbers
from kalshi_trio.journal.window import Frames
from kalshi_trio.protocol.records import Records

PIECE = 5_000
"""Records unpacked at a time: a closed segment's whole batch would hold the interpreter's lock for 16 ms."""

TRIES = 20
"""How often a file may be gone that was there a moment ago, before nobody waits for it any more."""


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
    tries = TRIES
    while True:
        try:
            for path, batch in walk(folder, after, NEVER if through is None else through, damage or raise_damage):
                for at in range(0, batch.num_rows, PIECE):
                    frames = Frames(segment_of(path), _decoded(path, batch.slice(at, PIECE)))
                    yield frames
                    after, tries = frames.records[-1].last, TRIES
        except FileNotFoundError as error:
            tries -= 1
            if not tries:
                raise JournalDamaged(f"{error.filename}: comes and goes") from error
            continue  # parts of a segment were put together meanwhile: they are in its first file now
        return


def _decoded(path: Path, batch: pa.RecordBatch) -> list[Records]:
    try:
        return decode(batch)
    except (ValueError, IndexError, TypeError, AttributeError) as error:  # of format 1, where nothing was checked
        raise JournalDamaged(f"{path}: {error}") from error


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
    return walk_files(segment_files(folder), after, through, report, fields)


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


def segments_of(folder: Path) -> list[list[Path]]:
    """The files of each segment, in order."""
    return [list(parts) for _, parts in groupby(segment_files(folder), key=segment_of)]


def closed_files(folder: Path) -> list[Closed]:
    """The segments of a session that is over."""
    found = []
    for path, *more in segments_of(folder):
        index = None if more else closed_index(path)
        if index is None:
            found.append(as_it_stands(path))
        else:
            found.append(Closed(path.name, index.first, index.last, index.bytes, index.sha256))
    return [closed for closed in found if closed.last]


def newest_frame(folder: Path) -> int:
    """The last whole record of a session that may be recorded at the same time, 0 if it has none yet."""
    for _ in range(TRIES):
        with suppress(FileNotFoundError):  # parts of a segment were put together meanwhile
            return next(filter(None, map(last_of_file, reversed(segment_files(folder)))), 0)
    raise JournalDamaged(f"{folder}: its segments come and go")


def last_frame(folder: Path) -> int:
    """The last record of a session that is over, 0 if it has none."""
    return max((file.last for file in closed_files(folder)), default=0)


def as_it_stands(path: Path) -> Closed:
    """A segment without an index that fits: its disk refused, or it is damaged. `last` is 0 if nothing of it can be read."""
    parts = parts_of(path.parent, segment_of(path))
    last = max(map(last_of_file, parts), default=0)
    with open_regular(path) as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return Closed(path.name, first_frame(path) if last else 0, last, os.fstat(file.fileno()).st_size, sha256)


def records_of(path: Path, report: Report, fields: Sequence[int] = ()) -> Iterator[pa.RecordBatch]:
    """The batches of one segment, its parts cut where they overlap; what is missing is reported."""
    for _, batch in walk_files(parts_of(path.parent, segment_of(path)), 0, NEVER, report, fields):
        yield batch


def missing_of(path: Path) -> list[Missing]:
    """The records of one segment that cannot be read any more; those before its first one are not known to be its own."""
    parts = parts_of(path.parent, segment_of(path))
    said: list[Damage] = []
    following = next((first for part in parts if (first := first_frame(part)) != NEVER), 0)
    spans = []
    for batch in records_of(path, said.append, fields=(0,)):
        first, last = batch.column(0)[0].as_py(), batch.column(0)[-1].as_py()
        spans.append((following, first - 1))
        following = last + 1
    spans.append((following, max(map(last_of_file, parts), default=0)))
    return [Missing(first, last, _why(said, first, last)) for first, last in spans if 0 < first <= last]


def _why(said: list[Damage], first: int, last: int) -> str:
    return next((one.why for one in said if one.first <= last and one.last >= first), "no batch has them")
