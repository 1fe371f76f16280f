"""The questions that the demo asks at its end, to real sinks."""

from __future__ import annotations

import io
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from rich.console import Console
from sink_rows import DAY, SESSION, START_NS, delta_batch

from kalshi_trio.observe.queries import Answer, ask_clickhouse, ask_parquet, show
from kalshi_trio.protocol.schema import ROW_SCHEMAS, RowBatch
from kalshi_trio.sinks.clickhouse import ClickHouseStore, Embedded
from kalshi_trio.sinks.parquet import ParquetStore


def stored_rows() -> RowBatch:
    """Three hundred deltas behind a snapshot of one market, and two tops of its book."""
    whole = delta_batch(10, 309)
    snapshot = {
        "frame": 1,
        "row": 0,
        "ts_recv": START_NS,
        "connection": 1,
        "sid": 1,
        "seq": 1,
        "market": "KXTEST-26NOV24-T39",
    }
    levels = [
        snapshot | {"row": i, "levels": 2, "side": side, "price": price, "size": "7.50"}
        for i, (side, price) in enumerate([("yes", "0.4500"), ("no", "0.5")])
    ]
    top = snapshot | {"ts_event": START_NS // 1000, "book_frame": 1, "book_ts_recv": START_NS, "valid": True}
    tops = [
        top | {"frame": 10 + i, "bid": f"0.4{i}", "bid_size": "7.5", "ask": None, "ask_size": None} for i in range(2)
    ]
    tables = {"snapshots": _table("snapshots", levels), "top_of_book": _table("top_of_book", tops)}
    return RowBatch(SESSION, 1, 309, DAY, whole.tables | tables, 301, 1, START_NS, START_NS)


def _table(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    schema = ROW_SCHEMAS[name]
    columns = {
        field.name: pa.array([row.get(field.name) for row in rows]).cast(field.type)
        if not pa.types.is_decimal(field.type)
        else pa.array([row.get(field.name) for row in rows], pa.string()).cast(field.type)
        for field in schema
    }
    return pa.table(columns, schema=schema)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The embedded engine, after the recorder has closed it."""
    folder = tmp_path_factory.mktemp("data") / "clickhouse"
    store = ClickHouseStore(Embedded(folder))
    store.open()
    store.write(stored_rows(), dict.fromkeys(ROW_SCHEMAS, 0))
    store.close()
    place = Embedded(folder)
    yield place.connect()
    place.close()


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    store = ParquetStore(tmp_path)
    store.open()
    store.write(stored_rows(), dict.fromkeys(ROW_SCHEMAS, 0))
    store.close()
    return tmp_path


def test_parquet_says_which_markets_moved_most(parquet: Path) -> None:
    (answer,) = ask_parquet(parquet, SESSION)

    counts = stored_rows().tables["deltas"]["market"].value_counts().to_pylist()
    assert answer.columns == ["market", "ts_recv_count", "ts_recv_min", "ts_recv_max"]
    assert [row[1] for row in answer.rows] == sorted((one["counts"] for one in counts), reverse=True)[:10]


def test_the_code_that_is_shown_gives_what_is_shown(parquet: Path) -> None:
    (answer,) = ask_parquet(parquet, SESSION)
    code, _, last = answer.asked.rpartition("\n")

    scope: dict[str, Any] = {}
    exec(code, scope)  # noqa: S102  what a reader would paste
    found = eval(last, scope)  # noqa: S307  as above

    assert found.column_names == answer.columns
    assert found["market"].to_pylist() == [row[0] for row in answer.rows]


def test_what_is_shown_fits_a_usual_terminal(parquet: Path, client: Client) -> None:
    answers = ask_parquet(parquet, SESSION) + ask_clickhouse(client, "kalshi", SESSION)
    lines = [line for answer in answers for line in answer.asked.replace(str(parquet), "data").splitlines()]

    assert max(map(len, lines)) <= 76


def test_only_the_session_that_was_asked_for_counts(parquet: Path) -> None:
    (answer,) = ask_parquet(parquet, "20200101_000000-00000000")

    assert answer.rows == []


def test_where_no_delta_was_stored_parquet_is_not_asked(tmp_path: Path) -> None:
    assert ask_parquet(tmp_path, SESSION) == []


def test_clickhouse_says_the_last_best_prices(client: Client) -> None:
    tops, _ = ask_clickhouse(client, "kalshi", SESSION)

    assert tops.columns == ("market", "ts_event", "bid", "bid_size", "ask", "ask_size")
    assert [(row[0], str(row[2]), str(row[3]), row[4]) for row in tops.rows] == [
        ("KXTEST-26NOV24-T39", "0.4100", "7.50", None)
    ]


def test_clickhouse_shows_the_busiest_book(client: Client) -> None:
    _, book = ask_clickhouse(client, "kalshi", SESSION)

    prices = [Decimal(str(row[2])) for row in book.rows]
    assert {row[1] for row in book.rows} == {"bid", "ask"}
    assert prices == sorted(prices, reverse=True)
    assert len(prices) <= 6


def test_question_sql_and_result_are_shown() -> None:
    file = io.StringIO()
    hostile = "[red]KX\n\x1b[31m"

    show([Answer("What?", "SELECT 1\nFROM x", ("market", "n"), [(hostile, 1_234), ("A", None)])], Console(file=file))

    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    assert lines == [
        "What?",
        "",
        "    SELECT 1",
        "    FROM x",
        "",
        "market                 n",
        "[red]KX\\n\\x1b[31m  1,234",
        "A                      -",
        "",
    ]
