"""A session's records from disk: by the index where there is one (with a check of each batch), else from the beginning.

Where two segments overlap (a write that failed was repeated), the later one is right from its first record on. Damage
costs one batch: it is reported, and reading goes on behind it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import google_crc32c
import pyarrow as pa

from kalshi_trio.errors import JournalDamaged
from kalshi_trio.journal.index import read_index
from kalshi_trio.journal.segment import Closed, Entry, decode, stream_head
from kalshi_trio.journal.window import Frames
from kalshi_trio.protocol.records import Records

PIECE = 5_000


class Damage(NamedTuple):
    """A batch that is not what was written."""

    file: str
    first: int
    last: int
    why: str


def read_session(
    folder: Path, after: int = 0, through: int | None = None, damage: Callable[[Damage], None] | None = None
) -> Iterator[Frames]:
    """Records behind `after` and up to `through`, in pieces of some thousands that never cross a segment.

    Without `damage`, a damaged batch raises JournalDamaged.
    """
    files = sorted(folder.glob("*.arrows"))
    starts = [_first(path) for path in files]
    for number, path in enumerate(files):
        later = [start for start in starts[number + 1 :] if start]
        stop = min((start - 1 for start in later), default=None)
        if through is not None:
            stop = through if stop is None else min(stop, through)
        if not starts[number] or (stop is not None and stop <= after):
            continue
        for runs in _segment(path, after, stop, damage or _raise):
            yield from _pieces(int(path.stem), runs)
            after = max(after, runs[-1].last)


def closed_files(folder: Path) -> list[Closed]:
    """The segments of a session that is over, as their indexes describe them."""
    found = []
    for path in sorted(folder.glob("*.arrows")):
        index = read_index(path.with_suffix(".index"))
        if index is not None and index[0]:
            entries, nbytes, sha256 = index
            found.append(Closed(path.name, entries[0].first_frame, entries[-1].last_frame, nbytes, sha256))
    return found


def last_frame(folder: Path) -> int:
    """The last record of a session that is over, 0 if it has none."""
    return max((file.last for file in closed_files(folder)), default=0)


def _raise(damage: Damage) -> None:
    raise JournalDamaged(f"{damage.file}: records {damage.first}-{damage.last}: {damage.why}")


def _first(path: Path) -> int:
    """The first record of a segment, 0 if it has none."""
    index = _index(path)
    if index:
        return index[0].first_frame
    for batch in _scan(path):
        return int(batch.column(0)[0].as_py())
    return 0


def _index(path: Path) -> list[Entry] | None:
    """The entries, if the index speaks of this very file."""
    try:
        found = read_index(path.with_suffix(".index"))
    except JournalDamaged:
        return None
    return found[0] if found and found[1] == path.stat().st_size else None


def _segment(path: Path, after: int, stop: int | None, damage: Callable[[Damage], None]) -> Iterator[list[Records]]:
    entries = _index(path)
    batches = _scan(path) if entries is None else _checked(path, entries, after, stop, damage)
    for batch in batches:
        runs = decode(batch, after, stop)
        if runs:
            yield runs
        if stop is not None and batch.column(0)[-1].as_py() >= stop:
            return


def _scan(path: Path) -> Iterator[pa.RecordBatch]:
    """Whole batches from the beginning; a torn last one, as a crash leaves it, is the end."""
    try:
        with pa.OSFile(os.fspath(path)) as file, pa.ipc.open_stream(file) as reader:
            while True:
                yield reader.read_next_batch()
    except (pa.ArrowInvalid, OSError, StopIteration, EOFError):
        return


def _checked(
    path: Path, entries: list[Entry], after: int, stop: int | None, damage: Callable[[Damage], None]
) -> Iterator[pa.RecordBatch]:
    with path.open("rb") as file:
        head = stream_head()
        for entry in entries:
            if entry.last_frame <= after or (stop is not None and entry.first_frame > stop):
                continue
            file.seek(entry.offset)
            data = file.read(entry.length)
            if google_crc32c.value(data) != entry.crc32c:
                damage(Damage(path.name, entry.first_frame, entry.last_frame, "checksum differs"))
                continue
            before = head if entry.offset else b""  # the first batch has its own
            yield pa.ipc.open_stream(pa.BufferReader(before + data)).read_next_batch()


def _pieces(segment: int, runs: list[Records]) -> Iterator[Frames]:
    held: list[Records] = []
    count = 0
    for run in runs:
        for start in range(0, len(run.data), PIECE):
            part = run._replace(first=run.first + start, data=run.data[start : start + PIECE])
            held.append(part)
            count += len(part.data)
            if count >= PIECE:
                yield Frames(segment, held)
                held, count = [], 0
    if held:
        yield Frames(segment, held)
