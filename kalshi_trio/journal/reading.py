"""A session's records from disk, for any thread or process, from any record on.

Where two segment files overlap (a write that failed was repeated), the later one is right from its first record on.
Damage costs one batch: it is reported, and reading goes on behind it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from kalshi_trio.journal.batches import NEVER, Damage, Report, batches, closed_index, first_frame, raise_damage
from kalshi_trio.journal.names import segment_of
from kalshi_trio.journal.segment import Closed, decode
from kalshi_trio.journal.window import Frames

__all__ = ["Damage", "closed_files", "last_frame", "read_session", "walk", "walk_files"]

PIECE = 5_000
"""Records unpacked at a time: a closed segment's whole batch would hold the interpreter's lock for 16 ms."""


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


def walk(folder: Path, after: int, through: int, report: Report) -> Iterator[tuple[Path, pa.RecordBatch]]:
    """The same as record batches, cut to what is asked for, with the file that each is from."""
    return walk_files(sorted(folder.glob("*.arrows")), after, through, report)


def walk_files(files: list[Path], after: int, through: int, report: Report) -> Iterator[tuple[Path, pa.RecordBatch]]:
    """The same from these files."""
    at = max(bisect_right(files, after + 1, key=first_frame) - 1, 0)
    for number in range(at, len(files)):
        later = (first_frame(path) for path in files[number + 1 :])
        stop = min(through, next((first for first in later if first != NEVER), NEVER) - 1)
        for batch in batches(files[number], after, stop, report):
            part = cut(batch, after, stop)
            if part.num_rows:
                yield files[number], part
                after = part.column(0)[-1].as_py()
        if stop == through:
            return


def cut(batch: pa.RecordBatch, after: int, through: int) -> pa.RecordBatch:
    """The records behind `after` and up to `through`."""
    frames = batch.column(0).to_numpy()
    lo, hi = np.searchsorted(frames, np.array([after, through], "u8"), side="right").tolist()
    return batch.slice(lo, max(hi - lo, 0))


def closed_files(folder: Path) -> list[Closed]:
    """The segments of a session that is over, as their indexes describe them."""
    found = []
    for path in sorted(folder.glob("*.arrows")):
        index = closed_index(path)
        if index is not None:
            first, last = index.entries[0].first_frame, index.entries[-1].last_frame
            found.append(Closed(path.name, first, last, index.bytes, index.sha256))
    return found


def last_frame(folder: Path) -> int:
    """The last record of a session that is over, 0 if it has none."""
    return max((file.last for file in closed_files(folder)), default=0)
