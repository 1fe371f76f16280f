"""Sessions taken out of the sinks again: all of one, nothing of the others, and whole again after any end in between."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from clickhouse_http import PASSWORD, USER, Front
from sink_rows import DAY, SESSION, batch
from stores import parquet

from kalshi_trio.errors import SinkUnavailable
from kalshi_trio.protocol.schema import TABLES
from kalshi_trio.sinks.base import Store
from kalshi_trio.sinks.batch import merge
from kalshi_trio.sinks.clickhouse import ClickHouseStore, Embedded, Server
from kalshi_trio.sinks.clickhouse_removal import delete, wait
from kalshi_trio.sinks.parquet import ParquetStore
from kalshi_trio.sinks.shelf import LocalShelf

OTHER = "20261124_060000-aaaaaaaa"
PART = f"{SESSION}~0123456789ab"
NEXT = DAY + datetime.timedelta(days=1)


@pytest.fixture(params=["parquet", "embedded", "server"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    front = Front(tmp_path / "server") if request.param == "server" else None
    made: Store = ParquetStore(tmp_path / "parquet")
    if front is not None:
        made = ClickHouseStore(Server(front.url, USER, PASSWORD))
    elif request.param == "embedded":
        made = ClickHouseStore(Embedded(tmp_path / "clickhouse"))
    made.open()
    yield made
    made.close()
    if front is not None:
        front.close()


def fill(store: Store, session: str) -> dict[str, int]:
    """Stores three batches over two days; the sink's positions then."""
    store.positions(session)
    for lo, date in ((1, DAY), (101, DAY), (201, NEXT)):
        store.write(batch(lo, lo + 99, session=session, date=date), {})
    store.progress(session, 300)
    return store.positions(session)


def test_a_session_is_gone_with_its_hint_and_the_others_stay(store: Store) -> None:
    mine, others = fill(store, SESSION), [fill(store, OTHER), fill(store, PART)]
    store.remove(SESSION)
    store.remove(SESSION)  # as after a kill: nothing is left to do

    assert max(mine.values()) == 300
    assert store.positions(SESSION) == dict.fromkeys(TABLES, 0)
    assert store.hint(SESSION) == 0
    assert [store.positions(OTHER), store.positions(PART)] == others
    assert [store.hint(OTHER), store.hint(PART)] == [300, 300]


def test_it_may_be_stored_again(store: Store) -> None:
    mine = fill(store, SESSION)
    store.remove(SESSION)

    assert fill(store, SESSION) == mine


class Mortal(LocalShelf):
    """Dies after so many files."""

    left = 0

    def remove(self, paths: Sequence[str]) -> None:
        for path in paths:
            if not self.left:
                raise SinkUnavailable("dead")
            self.left -= 1
            super().remove([path])


@pytest.mark.parametrize("files", range(0, 26, 3))
def test_parquet_files_that_are_left_have_no_hole(files: int, tmp_path: Path) -> None:
    shelf = Mortal(tmp_path / "parquet")
    store = ParquetStore(shelf)
    store.open()
    batches = [batch(lo, lo + 49, date=DAY if lo < 120 else NEXT) for lo in range(1, 200, 50)]
    for one in batches:
        store.write(one, {})
    store.write(merge(batches[:2]), {})  # as compaction leaves it for a while
    whole = parquet(tmp_path)
    shelf.left = files
    with pytest.raises(SinkUnavailable):
        store.remove(SESSION)
    held = store.positions(SESSION)
    for one in batches:
        store.write(one, held)

    for table, rows in whole.items():
        stored = {(row["frame"], row["row"]) for row in parquet(tmp_path)[table].to_pylist()}
        assert stored == {(row["frame"], row["row"]) for row in rows.to_pylist()}


def test_clickhouse_says_nothing_of_rows_that_are_being_removed(tmp_path: Path) -> None:
    store = ClickHouseStore(Embedded(tmp_path / "clickhouse"))
    store.open()
    mine = fill(store, SESSION)
    client = store._client
    for table in TABLES:
        client.command(f"SYSTEM STOP MERGES kalshi.{table}")  # mutations wait, as if each took long
    delete(client, "kalshi", TABLES, SESSION)
    with pytest.raises(SinkUnavailable, match="still being taken out of deltas: 3 parts to go"):
        wait(client, "kalshi", SESSION, 0.2)
    wait(client, "kalshi", OTHER, 0.2)
    for table in TABLES:
        client.command(f"SYSTEM START MERGES kalshi.{table}")
    began = time.monotonic()

    assert store.positions(SESSION) == dict.fromkeys(TABLES, 0)
    assert time.monotonic() - began < 10
    assert fill(store, SESSION) == mine
    store.close()
