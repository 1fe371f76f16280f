"""Putting batches together and taking apart what a sink already holds: whole frames only, on Arrow columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kalshi_trio.protocol.schema import RowBatch, beyond

__all__ = ["beyond", "frames_of", "merge", "pieces"]


def merge(batches: Sequence[RowBatch]) -> RowBatch:
    """One batch that says what these consecutive ones say; they share session and date, and there is at least one."""
    first, last = batches[0], batches[-1]
    if len(batches) == 1:
        return first
    parts: dict[str, list[pa.Table]] = {}
    for batch in batches:
        for name, rows in batch.tables.items():
            parts.setdefault(name, []).append(rows)
    return RowBatch(
        session=first.session,
        lo=first.lo,
        hi=last.hi,
        date=first.date,
        tables={name: pa.concat_tables(rows) for name, rows in parts.items()},
        frames=sum(batch.frames for batch in batches),
        nbytes=sum(batch.nbytes for batch in batches),
        ts_first=first.ts_first,
        ts_last=last.ts_last,
    )


def frames_of(rows: pa.Table) -> npt.NDArray[np.uint64]:
    """The column `frame`, ascending."""
    frames: npt.NDArray[np.uint64] = rows.column("frame").to_numpy()
    return frames


def pieces(rows: pa.Table, most: int) -> Iterator[pa.Table]:
    """Consecutive parts of at most `most` rows that never cut a frame; one frame with more rows is one part."""
    frames = frames_of(rows)
    start = 0
    while start < len(frames):
        end = start + most
        if end < len(frames):
            begins = int(np.searchsorted(frames, frames[end], side="left"))
            end = begins if begins > start else int(np.searchsorted(frames, frames[start], side="right"))
        yield rows.slice(start, end - start)
        start = end
