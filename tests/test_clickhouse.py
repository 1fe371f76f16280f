"""ClickHouse, embedded in this process and behind the real HTTP client: the same promises at both places."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from clickhouse_http import PASSWORD, USER, Front
from sink_rows import DAY, SESSION, any_rows, batch, delta_batch, deltas

from kalshi_trio.errors import ConfigError, SinkRefused
from kalshi_trio.protocol.schema import ROW_SCHEMAS, TABLES
from kalshi_trio.sinks.clickhouse import ClickHouseStore, Embedded, Server
from kalshi_trio.sinks.clickhouse_places import Place
from kalshi_trio.sinks.clickhouse_schema import BOOK, create_statements

_databases = (f"test_{i}" for i in itertools.count())


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Place]]:
    front = Front(tmp_path_factory.mktemp("server"))
    try:
        yield {
            "embedded": Embedded(tmp_path_factory.mktemp("embedded") / "clickhouse"),
            "server": Server(front.url, USER, PASSWORD),
        }
    finally:
        front.close()


@pytest.fixture(params=["embedded", "server"])
def place(request: pytest.FixtureRequest, places: dict[str, Place]) -> Place:
    return places[request.param]


@pytest.fixture
def store(place: Place) -> Iterator[ClickHouseStore]:
    store = ClickHouseStore(place, next(_databases))
    store.open()
    store.positions(SESSION)
    yield store
    store.close()


def ask(store: ClickHouseStore, sql: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in store._client.query(sql.format(db=store._database)).result_rows]


def test_every_table_comes_back_as_it_went_in(store: ClickHouseStore) -> None:
    whole = batch(1, 100)
    for rare in ("sessions", "audits"):
        whole.tables[rare] = any_rows(rare, [1, 50])

    store.write(whole, {})

    assert whole.tables.keys() == TABLES.keys()
    for table, rows in whole.tables.items():
        names = ", ".join(f"`{name}`" for name in TABLES[table].names)
        back = store._client.query_arrow(f"SELECT {names} FROM {store._full(table)} ORDER BY frame, row")  # noqa: S608  our own names
        assert set(back["session"].to_pylist()) == {SESSION}
        plain = pa.table({name: back[name].cast(ROW_SCHEMAS[table].field(name).type) for name in rows.column_names})
        assert plain.to_pylist() == rows.to_pylist()
        assert ask(store, f"SELECT DISTINCT date FROM {{db}}.{table}") == [(DAY,)]  # noqa: S608  our own names


def test_one_write_is_one_part_of_each_table(store: ClickHouseStore) -> None:
    store.write(batch(1, 2000), {})

    parts = ask(store, "SELECT table, count(), sum(rows) FROM system.parts WHERE database = '{db}' GROUP BY table")
    assert {table: (count, rows) for table, count, rows in parts if table in TABLES} == {
        table: (1, rows.num_rows) for table, rows in batch(1, 2000).tables.items()
    }


def test_a_hundred_thousand_rows_are_still_one_part(store: ClickHouseStore) -> None:
    rows = deltas(range(1, 1001))
    many = pa.concat_tables([rows] * 101).take(list(range(101_000)))
    frames = pa.array(range(1, 101_001), pa.uint64())
    many = many.set_column(0, ROW_SCHEMAS["deltas"].field("frame"), frames)

    store.write(delta_batch(1, 1)._replace(hi=101_000, tables={"deltas": many}), {})

    # 100,000 rows an insert at most; the rest is an insert of its own.
    parts = ask(store, "SELECT rows FROM system.parts WHERE database = '{db}' AND table = 'deltas' ORDER BY rows")
    assert parts == [(1000,), (100_000,)]


def test_positions_are_the_last_frames_of_the_session(store: ClickHouseStore) -> None:
    assert store.positions(SESSION) == dict.fromkeys(TABLES, 0)

    store.write(delta_batch(1, 90), {})
    other = "20261124_050102-00000000"
    store.positions(other)
    store.write(delta_batch(1, 500, session=other), {})

    assert store.positions(SESSION) == dict.fromkeys(TABLES, 0) | {"deltas": 90}


def test_only_frames_that_a_table_does_not_hold_are_written(store: ClickHouseStore) -> None:
    whole = batch(1, 100)
    store.write(batch(1, 60), {})

    store.write(whole, dict.fromkeys(TABLES, 60) | {"trades": 100})

    assert ask(store, "SELECT count(), uniqExact(frame), max(frame) FROM {db}.deltas") == [(100, 100, 100)]
    ((last,),) = ask(store, "SELECT max(frame) FROM {db}.trades")
    assert isinstance(last, int)
    assert last <= 60


def test_the_same_batch_again_is_stored_again(store: ClickHouseStore) -> None:
    """No deduplication window stands between us and the table: it would lose rows in a crash."""
    store.write(delta_batch(1, 10), {})
    store.write(delta_batch(1, 10), {})

    assert ask(store, "SELECT count() FROM {db}.deltas") == [(20,)]


def test_the_hint_is_a_table_beside_the_rows(store: ClickHouseStore) -> None:
    assert store.hint(SESSION) == 0
    store.progress(SESSION, 1200)
    store.progress(SESSION, 1300)
    assert store.hint(SESSION) == 1300


def test_a_hint_that_was_changed_or_is_an_older_versions_is_not_believed(store: ClickHouseStore) -> None:
    store.progress(SESSION, 1300, {"deltas": 1290})
    assert store.hint(SESSION, {"deltas": 1290}, 1300) == 1300
    assert store.hint(SESSION, {"deltas": 1289}, 1300) == 0
    assert store.hint(SESSION, {"deltas": 1290}, 1299) == 0

    store._client.command(
        f"ALTER TABLE {store._full('progress')} UPDATE held = '{{}}' WHERE 1 SETTINGS mutations_sync = 2"
    )
    assert store.hint(SESSION) == 0
    store._client.command(f"INSERT INTO {store._full('progress')} (session, through) VALUES ('{SESSION}', 1400)")  # noqa: S608  our own names
    assert store.hint(SESSION) == 0


def test_a_table_of_hints_of_an_older_version_gets_its_columns(place: Place) -> None:
    store = ClickHouseStore(place, next(_databases))
    store._link.open()
    store._client.command(f"CREATE DATABASE {store._database}")
    older = "(session LowCardinality(String), through UInt64) ENGINE = ReplacingMergeTree(through) ORDER BY session"
    store._client.command(f"CREATE TABLE {store._full('progress')} {older}")
    store._client.command(f"INSERT INTO {store._full('progress')} VALUES ('{SESSION}', 1200)")  # noqa: S608  our own names

    store.open()
    store.open()
    store.positions(SESSION)

    assert store.hint(SESSION) == 0
    store.progress(SESSION, 1300)
    assert store.hint(SESSION) == 1300
    store.close()


def test_rows_are_counted_in_the_tables(store: ClickHouseStore) -> None:
    store.write(batch(1, 100), {})
    store._client.command(f"DELETE FROM {store._full('deltas')} WHERE frame <= 40")  # noqa: S608  our own names

    made = {table: rows.num_rows for table, rows in batch(1, 100).tables.items()}
    assert store.count(SESSION) == dict.fromkeys(TABLES, 0) | made | {"deltas": 60}


def test_yes_price_and_book_side_are_aliases(store: ClickHouseStore) -> None:
    store.write(batch(1, 300), {})

    wrong = """
        SELECT count() FROM {db}.%s WHERE (side = 'yes' AND (book_side, yes_price) != ('bid', price))
            OR (side = 'no' AND (book_side, yes_price) != ('ask', 1 - price))
            OR (side IS NULL AND (book_side IS NOT NULL OR yes_price IS NOT NULL))
    """
    assert ask(store, wrong % "deltas") == [(0,)]
    assert ask(store, wrong % "snapshots") == [(0,)]


def test_opening_again_changes_nothing(store: ClickHouseStore) -> None:
    store.write(delta_batch(1, 90), {})

    store.open()
    again = ClickHouseStore(store._place, store._database)
    again.open()

    assert again.positions(SESSION)["deltas"] == 90


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("CREATE TABLE {db}.deltas (a Int8) ENGINE = MergeTree ORDER BY a", "column session .* is missing"),
        ("CREATE TABLE {db}.latest_book (a Int8) ENGINE = MergeTree ORDER BY a", "no view but a table"),
        ("CREATE TABLE {db}.progress (session String, through UInt64) ENGINE = Log", "its engine is Log"),
    ],
)
def test_a_foreign_table_is_left_alone(place: Place, statement: str, reason: str) -> None:
    store = ClickHouseStore(place, next(_databases))
    store._link.open()
    store._client.command(f"CREATE DATABASE {store._database}")
    store._client.command(statement.format(db=store._database))

    with pytest.raises(ConfigError, match=reason) as caught:
        store.open()

    assert "CLICKHOUSE_DATABASE" in str(caught.value)
    assert len(ask(store, "SELECT name FROM system.tables WHERE database = '{db}'")) == 1
    store.close()


def test_a_dropped_table_is_a_refusal_and_made_again_when_opened(store: ClickHouseStore) -> None:
    store._client.command(f"DROP TABLE {store._full('deltas')} SYNC")
    with pytest.raises(SinkRefused, match="60"):
        store.write(delta_batch(1, 90), {})

    store.open()
    store.write(delta_batch(1, 90), store.positions(SESSION))
    assert store.positions(SESSION)["deltas"] == 90


def test_flushing_and_inserting_are_logged(store: ClickHouseStore, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "kalshi_trio")

    store.write(delta_batch(1, 500), {})

    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert ("INFO", "Flushing 500 events to ClickHouse") in lines
    assert ("DEBUG", "Inserted 500 rows to deltas") in lines


def test_a_database_name_is_never_sql() -> None:
    with pytest.raises(ConfigError, match="CLICKHOUSE_DATABASE"):
        ClickHouseStore(Embedded(Path("unused")), "kalshi; DROP TABLE x")


def test_only_the_embedded_engine_is_asked_for_fewer_merges_since_older_servers_do_not_know_the_setting() -> None:
    served, embedded = create_statements("kalshi"), create_statements("kalshi", embedded=True)

    assert not any("merge_selector_base" in statement for statement in served.values())
    assert {name for name, statement in embedded.items() if "merge_selector_base" not in statement} == {BOOK}
