"""Batches put together and taken apart: whole frames, nothing lost, nothing twice."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from sink_rows import batch

from kalshi_trio.sinks.batch import beyond, merge, pieces


def table(frames: list[int]) -> pa.Table:
    """A table cut into chunks, as merged batches are."""
    half = len(frames) // 2
    return pa.table({"frame": pa.chunked_array([frames[:half], frames[half:]], pa.uint64())})


@given(frames=st.lists(st.integers(1, 30)).map(sorted), most=st.integers(1, 10))
def test_pieces_never_cut_a_frame(frames: list[int], most: int) -> None:
    cut = [piece["frame"].to_pylist() for piece in pieces(table(frames), most)]

    assert [frame for piece in cut for frame in piece] == frames
    assert all(len(piece) <= most or len(set(piece)) == 1 for piece in cut)
    assert sum(len(set(piece)) for piece in cut) == len(set(frames))


@given(frames=st.lists(st.integers(1, 30)).map(sorted), after=st.integers(0, 31))
def test_beyond_keeps_the_frames_behind(frames: list[int], after: int) -> None:
    assert beyond(table(frames), after)["frame"].to_pylist() == [frame for frame in frames if frame > after]


def test_merged_batches_say_what_the_single_ones_said() -> None:
    parts = [batch(1, 10), batch(11, 11)._replace(tables={}), batch(12, 30)]

    whole = merge(parts)

    assert (whole.lo, whole.hi, whole.frames, whole.rows) == (1, 30, 30, sum(part.rows for part in parts))
    assert whole.tables["deltas"]["frame"].to_pylist() == [*range(1, 11), *range(12, 31)]
    assert (whole.ts_first, whole.ts_last) == (parts[0].ts_first, parts[2].ts_last)
