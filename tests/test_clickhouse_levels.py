"""`latest_levels` from rows: versions, bases and the book that follows from them, against a plain model."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sink_rows import DAY, SESSION, START_NS

from kalshi_trio.protocol.schema import ROW_SCHEMAS, RowBatch
from kalshi_trio.sinks.clickhouse import ClickHouseStore, Embedded
from kalshi_trio.sinks.clickhouse_levels import LevelState, level_rows

Key = tuple[str, str, Decimal]
Books = dict[str, dict[tuple[str, Decimal], Decimal]]


class Market:
    """Makes deltas and snapshots of a few markets, frame by frame, and keeps the books that should follow."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311  test data
        self.books: Books = {}
        self.frame = 0
        self.now = START_NS

    def batch(self, frames: int) -> RowBatch:
        rows: dict[str, list[dict[str, object]]] = {"deltas": [], "snapshots": []}
        lo = self.frame + 1
        for _ in range(frames):
            self.frame += 1
            # Clocks stand still within one read, and sometimes they are set back.
            self.now += self.random.choice([0, 0, 1000, 250_000, -3_000_000])
            market = self.random.choice("ABC")
            if market not in self.books or self.random.random() < 0.1:
                rows["snapshots"] += self._snapshot(market)
            else:
                rows["deltas"].append(self._delta(market))
        tables = {
            name: pa.Table.from_pylist([_full(name, row) for row in made], schema=ROW_SCHEMAS[name])
            for name, made in rows.items()
            if made
        }
        return RowBatch(SESSION, lo, self.frame, DAY, tables, frames, 0, self.now, self.now)

    def _snapshot(self, market: str) -> list[dict[str, object]]:
        levels = {self._level(): Decimal(self.random.randrange(1, 100)) for _ in range(self.random.randrange(4))}
        self.books[market] = dict(levels)
        common = self._common(market) | {"levels": len(levels)}
        if not levels:
            return [common | {"row": 0, "side": None, "price": None, "size": None}]
        return [
            common | {"row": row, "side": side, "price": price, "size": size}
            for row, ((side, price), size) in enumerate(levels.items())
        ]

    def _delta(self, market: str) -> dict[str, object]:
        (side, price), size = self._level(), Decimal(self.random.randrange(3) * 10)
        valid = self.random.random() < 0.8
        if valid:
            self.books[market][side, price] = size
        level = {"side": side, "price": price, "delta": Decimal(1), "size": size if valid else None, "valid": valid}
        return self._common(market) | {"row": 0} | level

    def _level(self) -> tuple[str, Decimal]:
        return self.random.choice(["yes", "no"]), Decimal(self.random.randrange(1, 5)).scaleb(-2)

    def _common(self, market: str) -> dict[str, object]:
        return {"frame": self.frame, "ts_recv": self.now, "market": market}

    def whole(self) -> Books:
        full = {market: {key: size for key, size in book.items() if size} for market, book in self.books.items()}
        return {market: book for market, book in full.items() if book}


def _full(table: str, row: dict[str, object]) -> dict[str, object]:
    return {field.name: 1 for field in ROW_SCHEMAS[table] if pa.types.is_integer(field.type)} | row


def book_of(tables: list[pa.Table]) -> Books:
    """What `latest_book` shows: newest version of each level, of the newest base of its market, if not empty."""
    levels: dict[Key, dict[str, object]] = {}
    bases: dict[str, int] = {}
    for row in (row for table in tables for row in table.to_pylist()):
        key = (row["market"], row["side"], row["price"])
        if key not in levels or row["version"] >= levels[key]["version"]:
            levels[key] = row
        bases[row["market"]] = max(bases.get(row["market"], 0), row["base"])
    books: Books = {}
    for (market, side, price), row in levels.items():
        if row["base"] == bases[market] and row["size"]:
            books.setdefault(market, {})[side, price] = row["size"]  # type: ignore[assignment]  # a row is Any
    return books


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_the_newest_levels_are_the_books(seed: int, sizes: list[int]) -> None:
    market, state, tables = Market(seed), LevelState(), []
    for size in sizes:
        rows, state = level_rows(market.batch(size), {}, state)
        tables.append(rows)
        assert book_of(tables) == market.whole()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_rows_made_again_after_a_crash_change_no_book(seed: int) -> None:
    market, state, tables = Market(seed), LevelState(), []
    batches = [market.batch(20) for _ in range(4)]
    for one in (*batches, *batches[2:]):
        rows, state = level_rows(one, {}, state)
        tables.append(rows)
    assert book_of(tables) == market.whole()


def test_versions_increase_with_every_frame_although_clocks_do_not() -> None:
    market, state = Market(7), LevelState(version=START_NS + 10**9)
    whole = market.batch(200)

    rows, after = level_rows(whole, {}, state)

    versions = rows["version"].to_pylist()
    invalid = sum(not valid for valid in whole.tables["deltas"]["valid"].to_pylist())
    assert versions == sorted(versions)
    assert versions[-1] == after.version
    assert after.version >= START_NS + 10**9 + 200 - invalid


def test_of_the_changes_of_one_level_only_the_newest_is_written() -> None:
    whole = Market(7).batch(200)

    rows, _ = level_rows(whole, {}, LevelState())

    levels = [(row["market"], row["side"], row["price"]) for row in rows.to_pylist()]
    changed = [
        (row["market"], row["side"] or "", row["price"] or 0)
        for table in whole.tables.values()
        for row in table.to_pylist()
        if row.get("valid") is not False
    ]
    assert len(levels) == len(set(levels))
    assert set(levels) == set(changed)


def test_an_emptied_book_leaves_a_marker_row() -> None:
    row = {"frame": 1, "row": 0, "ts_recv": START_NS, "market": "A", "levels": 0}
    snapshots = pa.Table.from_pylist([_full("snapshots", row)], schema=ROW_SCHEMAS["snapshots"])
    empty = RowBatch(SESSION, 1, 1, DAY, {"snapshots": snapshots}, 1, 0, START_NS, START_NS)

    rows, _ = level_rows(empty, {}, LevelState())

    (marker,) = rows.to_pylist()
    assert (marker["market"], marker["side"], marker["price"], marker["size"]) == ("A", "", 0, 0)
    assert marker["base"] == marker["version"] == START_NS


def test_rows_that_both_tables_hold_are_not_made_again() -> None:
    whole = Market(3).batch(50)
    rows, _ = level_rows(whole, {"deltas": 50, "snapshots": 50}, LevelState())
    assert rows.num_rows == 0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ClickHouseStore]:
    store = ClickHouseStore(Embedded(tmp_path / "clickhouse"))
    yield store
    store.close()


def test_latest_book_shows_it_also_after_a_restart(store: ClickHouseStore) -> None:
    market = Market(11)
    for _ in range(3):
        store.open()  # reads version and bases again, as a new process does
        store.write(market.batch(60), {})
        shown = store._client.query("SELECT market, side, price, size FROM kalshi.latest_book").result_rows
        books: Books = {}
        for name, side, price, size in shown:
            books.setdefault(name, {})[side, price] = size
        assert books == market.whole()
        store.close()


def test_a_session_that_is_not_live_leaves_the_levels_alone(store: ClickHouseStore) -> None:
    store.open()
    store.write(Market(1).batch(20)._replace(session=f"{SESSION}~ab12"), {})
    assert store._client.query("SELECT count() FROM kalshi.latest_levels").result_rows[0][0] == 0
