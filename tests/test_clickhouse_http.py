"""The HTTP path under faults: whatever happens to an answer, no row is lost and none is doubled."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest
import trio
from clickhouse_http import PASSWORD, USER, Front
from sink_fakes import Session
from sink_rows import SESSION, batch, delta_batch

from kalshi_trio.errors import ConfigError, SinkError, SinkRefused, SinkUnavailable
from kalshi_trio.observe.stats import SinkStats
from kalshi_trio.sinks.clickhouse import ClickHouseStore, Server
from kalshi_trio.sinks.gather import Limits
from kalshi_trio.tasks.writer import Sink, Source, run_writer
from kalshi_trio.thread import Door

_databases = (f"test_{i}" for i in itertools.count())


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    front = Front(tmp_path_factory.mktemp("server"))
    try:
        yield front
    finally:
        front.close()


@pytest.fixture
def store(front: Front) -> Iterator[ClickHouseStore]:
    store = ClickHouseStore(Server(front.url, USER, PASSWORD), next(_databases))
    store.open()
    store.positions(SESSION)
    yield store
    front.fault()
    store.close()


def count(store: ClickHouseStore, table: str = "deltas") -> int:
    return int(store._client.query(f"SELECT count() FROM {store._full(table)}").result_rows[0][0])  # noqa: S608  our own names


def test_a_server_that_is_not_there_is_named_in_one_short_line(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:  # bound, and not listening
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(SinkUnavailable, match=f"^no connection to 127.0.0.1:{port}: Connection refused$"):
            ClickHouseStore(Server(f"http://127.0.0.1:{port}", USER, PASSWORD), "nowhere").open()

    assert caplog.messages == []


def write_to_the_end(store: ClickHouseStore) -> None:
    """As the writer does: after an error ask, then write what is missing."""
    after = store.positions(SESSION)
    while True:
        try:
            store.write(batch(1, 500), after)
        except SinkError:
            store.open()
            after = store.positions(SESSION)
        else:
            return


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ("latest_levels", {"kind": "cut"}),
        ("latest_levels", {"kind": "lost", "hidden": 0.02, "running": 30.0}),
        ("deltas", {"kind": "cut"}),
        ("deltas", {"kind": "lost", "hidden": 0.02, "running": 0.0}),
        ("deltas", {"kind": "lost", "hidden": 0.02, "running": 30.0}),
        ("trades", {"kind": "cut"}),
        ("trades", {"kind": "reset"}),
        ("trades", {"kind": "status", "status": 503}),
        ("trades", {"kind": "status", "status": 500, "code": 252}),
    ],
    ids=str,
)
def test_a_fault_in_any_insert_loses_and_doubles_nothing(
    store: ClickHouseStore, front: Front, fault: dict[str, object], table: str
) -> None:
    before = len(front.fault(match=f"/{table}/", **fault))

    write_to_the_end(store)

    made = {name: rows.num_rows for name, rows in batch(1, 500).tables.items()}
    assert {name: count(store, name) for name in made} == made
    tried = [one for one in front.fault()[before:] if f"/{table}/" in one]
    assert len(tried) in {1, 2}, "the client repeats by itself"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "cut"}, SinkUnavailable),
        ({"kind": "reset"}, SinkUnavailable),
        ({"kind": "status", "status": 429}, SinkUnavailable),
        ({"kind": "status", "status": 502}, SinkUnavailable),
        ({"kind": "status", "status": 500, "code": 241}, SinkUnavailable),
        ({"kind": "status", "status": 500, "code": 243}, SinkUnavailable),
        ({"kind": "status", "status": 404, "code": 60}, SinkRefused),
        ({"kind": "status", "status": 500, "code": 497}, SinkRefused),
    ],
    ids=str,
)
def test_answers_become_ask_later_or_no(
    store: ClickHouseStore, front: Front, fault: dict[str, object], error: type[SinkError]
) -> None:
    front.fault(**fault)
    with pytest.raises(error):
        store.write(delta_batch(1, 5), {})


def test_each_insert_is_named_by_session_table_and_frames(store: ClickHouseStore, front: Front) -> None:
    before = len(front.fault())
    store.write(delta_batch(7, 9), {})
    epoch = store._fence.epoch(SESSION) if store._fence else 0
    assert front.fault()[before:] == [f"{SESSION}/latest_levels/7-9/{epoch}", f"{SESSION}/deltas/7-9/{epoch}"]


def test_an_insert_that_still_runs_is_ended_before_positions_are_told(store: ClickHouseStore, front: Front) -> None:
    front.fault(kind="lost", match="/deltas/", hidden=0.0, running=30.0)
    with pytest.raises(SinkUnavailable):
        store.write(delta_batch(1, 5), {})
    begun = time.monotonic()

    assert store.positions(SESSION)["deltas"] == 0

    assert time.monotonic() - begun < 5
    assert count(store) == 0


def test_a_wrong_password_is_a_refusal_that_does_not_show_it(front: Front) -> None:
    store = ClickHouseStore(Server(front.url, USER, "wr0ng-word"))
    with pytest.raises(SinkRefused, match="516") as caught:
        store.open()
    assert "wr0ng-word" not in str(caught.value)
    store.close()


def test_a_port_where_nobody_listens_is_unavailable() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        store = ClickHouseStore(Server(f"http://127.0.0.1:{bound.getsockname()[1]}"))
        with pytest.raises(SinkUnavailable):
            store.open()
    store.close()


def test_a_password_in_the_url_is_taken_out_and_never_shown() -> None:
    server = Server("https://me:p%40ss@db.example:9440")

    assert (server.url, server.user, server.password) == ("https://db.example:9440", "me", "p@ss")
    assert "ss" not in repr(server).replace("password", "")


@pytest.mark.parametrize(
    "url", ["localhost:8123", "ftp://me:secret@x", "http://", "http://me:secret@x/db", "http://x:y"]
)
def test_an_url_that_is_not_understood_is_said_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match="CLICKHOUSE_URL") as caught:
        Server(url)
    assert "secret" not in str(caught.value)


def test_a_call_that_waits_is_ended_from_another_thread(store: ClickHouseStore, front: Front) -> None:
    front.fault(kind="hang")
    timer = threading.Timer(0.1, store.interrupt)
    timer.start()
    begun = time.monotonic()

    with pytest.raises(SinkUnavailable):
        store.write(delta_batch(1, 5), {})

    timer.join()
    assert time.monotonic() - begun < 5
    with pytest.raises(SinkUnavailable, match="not connected"):
        store.positions(SESSION)
    store.open()
    assert store.positions(SESSION)["deltas"] == 0


async def test_the_writer_is_cancelled_although_the_server_hangs(store: ClickHouseStore, front: Front) -> None:
    await trio.to_thread.run_sync(partial(front.fault, kind="hang", match="/deltas/"))
    stats, session = SinkStats("ClickHouse"), Session([batch(1, 600)])

    async def durable(_frame: int) -> None:
        await trio.lowlevel.checkpoint()

    with trio.fail_after(20), trio.move_on_after(2):
        source = Source(SESSION, session.rows_after, durable)
        await run_writer(Sink(store, Door(), Limits(500, 1.0), stats), source)

    assert stats.pending_rows == batch(1, 600).rows
