"""Rows on their way to several sinks: whoever makes them waits for the slowest, and whoever begins anew gets them again."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from past import generated, imported
from sink_rows import SESSION, delta_batch
from trio.testing import MockClock, wait_all_tasks_blocked

from kalshi_trio.history.replay.choice import Choice
from kalshi_trio.history.replay.outlet import Outlet
from kalshi_trio.history.replay.refold import Chosen, Refold
from kalshi_trio.protocol.schema import RowBatch
from kalshi_trio.rebuild import Pieces

BATCHES = [delta_batch(lo, lo + 9) for lo in range(1, 201, 10)]


class Again:
    """The batches behind `after`, from disk as it were."""

    def __init__(self, after: int) -> None:
        self.left = [one.beyond(after) for one in BATCHES if one.hi > after]

    def piece(self, through: int) -> list[RowBatch]:
        due = [one for one in self.left[:1] if one.hi <= through]
        self.left = self.left[len(due) :]
        return due


def outlet(sinks: int, batches: int = 3) -> Outlet:
    """Room for so many batches."""
    return Outlet(SESSION, sinks, Again, window_bytes=batches * BATCHES[0].nbytes)


async def put_all(to: Outlet) -> None:
    await to.put(BATCHES)
    to.close()


async def test_every_sink_gets_every_row_in_order(autojump_clock: MockClock) -> None:
    to, got = outlet(2), [list[int](), list[int]()]

    async def read(number: int, pause: float) -> None:
        rows = to.source(number).rows_after(0)
        while got[number][-1:] != [BATCHES[-1].hi]:
            got[number].append((await rows.receive()).hi)
            await trio.sleep(pause)
        with pytest.raises(trio.EndOfChannel):
            await rows.receive()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(put_all, to)
        nursery.start_soon(read, 0, 0.0)
        nursery.start_soon(read, 1, 5.0)

    assert got == [[one.hi for one in BATCHES]] * 2


async def test_whoever_makes_them_waits_for_the_slowest_sink() -> None:
    to = outlet(2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(put_all, to)
        await wait_all_tasks_blocked()
        assert to._window.last == BATCHES[2].hi  # nobody has begun
        quick, slow = to.source(0).rows_after(0), to.source(1).rows_after(100)
        for _ in range(3):
            await quick.receive()
        await wait_all_tasks_blocked()
        assert to._window.last == BATCHES[5].hi  # the other has no need of them
        for _ in range(17):
            await quick.receive()
            await wait_all_tasks_blocked()
            if to._window.last == BATCHES[12].hi:
                break
        assert to._window.last == BATCHES[12].hi
        for place in range(10, 20):
            assert (await slow.receive()).hi == BATCHES[place].hi
            await wait_all_tasks_blocked()
            if place >= 12:
                await quick.receive()


async def test_a_sink_that_lost_rows_gets_them_again_and_holds_nobody_up() -> None:
    to = outlet(1)
    rows = to.source(0).rows_after(0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(put_all, to)
        for _ in range(9):
            await rows.receive()
        rows.close()
        again = to.source(0).rows_after(0)
        got = [(await again.receive()).hi for _ in BATCHES]

    assert got == [one.hi for one in BATCHES]


@pytest.mark.parametrize("after", [0, 700, 1_234])
async def test_a_choices_rows_from_disk_are_those_that_were_made_first(after: int, tmp_path: Path) -> None:
    folder, manifest = await imported(tmp_path, generated(tmp_path / "past.jsonl"), journal_segment_records=1_000)
    choice = Choice(600, 2_000, tuple(manifest.coverage)[:1])
    refold = Refold(folder, manifest, choice, "x~y")
    first = list[RowBatch]()
    while (found := refold.read()) is not None:
        first += refold.rows(found)
    pieces: Pieces = Chosen(folder, manifest, choice, "x~y", after)
    second = [batch for part in iter(lambda: pieces.piece(2_000), []) for batch in part]

    expected = [row for one in first for row in one.tables["deltas"].to_pylist() if row["frame"] > after]
    assert expected
    assert [row for one in second for row in one.tables.get("deltas", one.tables["deltas"]).to_pylist()] == expected
    assert (second[0].lo, second[-1].hi, first[0].lo, first[-1].hi) == (after + 1, 2_000, 1, 2_000)
    assert {one.session for one in first + second} == {"x~y"}
