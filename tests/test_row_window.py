"""The window of rows: bounded, consecutive, honest about what it no longer has."""

from __future__ import annotations

import datetime

import pyarrow as pa
import pytest
import trio

from kalshi_trio.protocol.builder import Builder
from kalshi_trio.protocol.records import Records
from kalshi_trio.protocol.schema import RowBatch
from kalshi_trio.row_window import RowWindow

DATE = datetime.date(2026, 11, 24)


def batch(lo: int, hi: int, nbytes: int = 10) -> RowBatch:
    return RowBatch("s", lo, hi, DATE, {}, hi - lo + 1, nbytes, 0, 0)


def test_what_was_put_is_found_by_the_frame_before_it() -> None:
    window = RowWindow(100)
    window.put(batch(1, 5))
    window.put(batch(6, 9))

    assert window.after(0) == batch(1, 5)
    assert window.after(5) == batch(6, 9)
    assert window.after(9) is None


def test_the_oldest_batches_go_when_there_are_too_many_bytes_and_the_newest_stays() -> None:
    window = RowWindow(25)
    for lo in (1, 2, 3):
        window.put(batch(lo, lo))

    assert window.first == 2
    assert window.after(0) is None

    window.put(batch(4, 4, nbytes=1000))

    assert (window.first, window.last) == (4, 4)


def test_a_reader_joins_inside_a_batch_at_a_record_boundary() -> None:
    builder = Builder("s")
    builder.feed(Records(1, "connection", 1, 10**18, 0, [b'{"event":"open"}']))
    frames = [
        b'{"type":"trade","sid":2,"seq":%d,"msg":{"market_ticker":"A","yes_price_dollars":"0.5000",'
        b'"no_price_dollars":"0.5000","count_fp":"1.00"}}' % seq
        for seq in (1, 2, 3)
    ]
    builder.feed(Records(2, "frame", 1, 10**18, 0, frames))
    window = RowWindow(10**6)
    window.put(builder.take()[0].rows())

    joined = window.after(3)

    assert joined is not None
    assert (joined.lo, joined.hi) == (4, 4)
    assert joined.tables["trades"]["frame"] == pa.chunked_array([pa.array([4], pa.uint64())])


def test_a_session_that_is_over_has_nothing_in_memory() -> None:
    window = RowWindow.past(7)

    assert window.closed
    assert (window.first, window.last) == (8, 7)


@pytest.mark.parametrize("change", ["put", "close"])
async def test_who_waits_hears_of_each_change(change: str, autojump_clock: trio.testing.MockClock) -> None:
    window = RowWindow(100)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(window.changed)
        await trio.testing.wait_all_tasks_blocked()
        if change == "put":
            window.put(batch(1, 1))
        else:
            window.close()
