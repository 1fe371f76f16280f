"""The fence around a server's tables: what it lets in, what it keeps out, and who may raise it."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest
from clickhouse_http import PASSWORD, USER, Balancer, Front
from sink_rows import SESSION, batch, delta_batch, deltas

from kalshi_trio.errors import ConfigError, SinkError, SinkRefused, SinkUnavailable
from kalshi_trio.protocol.schema import ROW_SCHEMAS, TABLES, RowBatch
from kalshi_trio.sinks import clickhouse_fence
from kalshi_trio.sinks.clickhouse import ClickHouseStore, Server
from kalshi_trio.sinks.clickhouse_fence import STRANGERS, next_epoch
from kalshi_trio.sinks.clickhouse_schema import BOOK, check_replicated, create_statements

_databases = (f"fenced_{i}" for i in itertools.count())
Made = Callable[[], ClickHouseStore]


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    front = Front(tmp_path_factory.mktemp("server"))
    try:
        yield front
    finally:
        front.close()


@pytest.fixture
def made(front: Front) -> Iterator[Made]:
    """Makes stores of one database, as processes one after the other, or at once."""
    database, stores = next(_databases), []

    def another() -> ClickHouseStore:
        store = ClickHouseStore(Server(front.url, USER, PASSWORD), database)
        stores.append(store)
        store.open()
        return store

    yield another
    front.fault()
    for store in stores:
        store.close()


def count(store: ClickHouseStore, table: str = "deltas") -> int:
    return int(store._link.one(f"SELECT count() FROM {store._full(table)}")[0])  # noqa: S608  our own names


def epochs(store: ClickHouseStore) -> int:
    return int(store._link.one(f"SELECT max(epoch) FROM {store._full('fence')}")[0])  # noqa: S608  our own names


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def many(rows: int) -> RowBatch:
    whole = pa.concat_tables([deltas(range(1, 1001))] * (rows // 1000))
    frames = pa.array(range(1, rows + 1), pa.uint64())
    tables = {"deltas": whole.set_column(0, ROW_SCHEMAS["deltas"].field("frame"), frames)}
    return delta_batch(1, 1)._replace(hi=rows, tables=tables)


@pytest.mark.parametrize(
    ("held", "bits", "epoch"),
    [(0, 0, 1 << 32), (0, 5, (1 << 32) + 5), ((1 << 32) + 5, 0, 2 << 32), ((7 << 32) - 1, 9, (7 << 32) + 9)],
)
def test_an_epoch_is_above_all_before_it_whatever_the_random_bits(held: int, bits: int, epoch: int) -> None:
    assert next_epoch(held, bits) == epoch
    assert epoch > held


@pytest.mark.parametrize("rows", [1000, 10_000, 50_000])
def test_a_guarded_insert_is_one_part(made: Made, rows: int) -> None:
    store = made()
    store.write(many(rows), store.positions(SESSION))

    asked = "SELECT rows FROM system.parts WHERE database = {database:String} AND table = 'deltas'"
    assert store._link.ask(asked, {"database": store._database}) == [(rows,)]


def test_the_table_is_what_others_expect(made: Made) -> None:
    store = made()
    asked = "SELECT create_table_query FROM system.tables WHERE database = {database:String} AND name = 'fence'"
    (statement,) = store._link.one(asked, {"database": store._database})

    for part in (
        "`session` String",
        "`epoch` UInt64",
        "ReplacingMergeTree(epoch) ORDER BY session",
        "non_replicated_deduplication_window = 0",
    ):
        assert part in statement


def test_each_question_what_is_held_raises_the_epoch_by_random_bits_of_our_own(front: Front) -> None:
    given = iter([1, 2, 3, 4])
    store = ClickHouseStore(Server(front.url, USER, PASSWORD), next(_databases), bits=lambda n: next(given) + n)
    store.open()
    seen = []
    for _ in range(3):
        store.positions(SESSION)
        seen.append(epochs(store))
    store.close()

    assert seen == [(1 << 32) + 33, (2 << 32) + 34, (3 << 32) + 35]


def test_nothing_is_inserted_before_it_is_asked_what_is_there(made: Made, front: Front) -> None:
    store, before = made(), front.fault()
    with pytest.raises(SinkUnavailable, match="has to be asked first"):
        store.write(delta_batch(1, 5), {})
    with pytest.raises(SinkUnavailable, match="has to be asked first"):
        store.progress(SESSION, 5)
    assert front.fault() == before


def test_an_insert_of_an_older_epoch_is_refused_by_the_server_and_the_writer_goes_on(made: Made) -> None:
    old, new = made(), made()
    held = old.positions(SESSION)
    new.write(batch(1, 50), new.positions(SESSION))

    with pytest.raises(SinkUnavailable, match="fenced: the epoch was raised"):
        old.write(batch(1, 50), held)
    with pytest.raises(SinkUnavailable, match="has to be asked first"):
        old.write(batch(1, 50), held)
    old.write(batch(1, 90), old.positions(SESSION))

    assert count(old) == 90


@pytest.mark.parametrize("table", ["deltas", "latest_levels", "trades"])
@pytest.mark.parametrize("same", [True, False], ids=["same process", "new process"])
def test_an_insert_that_comes_after_all_is_fenced(made: Made, front: Front, table: str, *, same: bool) -> None:
    store, seen = made(), len(front.late())
    held = store.positions(SESSION)
    front.fault(kind="lost", match=f"/{table}/", hidden=4.0)
    with pytest.raises(SinkUnavailable):
        store.write(batch(1, 100), held)
    store = store if same else made()
    store.write(batch(1, 100), store.positions(SESSION))
    until(lambda: len(front.late()) > seen)

    assert front.late()[-1][1] == "fenced"
    assert {name: count(store, name) for name in batch(1, 100).tables} == {
        name: rows.num_rows for name, rows in batch(1, 100).tables.items()
    }


def test_levels_that_come_late_leave_the_book_as_it_is(made: Made, front: Front) -> None:
    """They are of the session before, whose fence was raised when its rows were stored to their end."""
    store, seen = made(), len(front.late())
    held = store.positions(SESSION)
    front.fault(kind="lost", match="/latest_levels/", hidden=4.0)
    with pytest.raises(SinkUnavailable):
        store.write(batch(1, 100), held)
    later = made()
    later.write(batch(1, 100), later.positions(SESSION))
    after = f"{SESSION[:-1]}0"
    later.write(batch(101, 200, session=after), later.positions(after))
    asked = f"SELECT market, side, price, size, version FROM {store._full('latest_book')} ORDER BY ALL"  # noqa: S608  our own names
    book = later._link.ask(asked)
    until(lambda: len(front.late()) > seen)

    assert front.late()[-1][1] == "fenced"
    assert book
    assert later._link.ask(asked) == book


def test_versions_go_on_from_levels_that_came_in_before_the_raise(made: Made, front: Front) -> None:
    store, seen = made(), len(front.late())
    held = store.positions(SESSION)
    front.fault(kind="lost", match="/latest_levels/", hidden=0.0)
    with pytest.raises(SinkUnavailable):
        store.write(batch(1, 100), held)
    until(lambda: len(front.late()) > seen)
    store.positions(SESSION)

    newest = store._link.one(f"SELECT max(version) FROM {store._full('latest_levels')}")[0]  # noqa: S608  our own names
    assert store._levels.version == newest > 0


def test_a_raise_that_comes_late_or_a_hint_does_no_harm(made: Made, front: Front) -> None:
    store, seen = made(), len(front.late())
    front.fault(kind="lost", match="/fence/", hidden=4.0)
    with pytest.raises(SinkUnavailable):
        store.positions(SESSION)
    store.write(batch(1, 100), store.positions(SESSION))
    front.fault(kind="lost", match="/progress/", hidden=4.0)
    with pytest.raises(SinkUnavailable):
        store.progress(SESSION, 100)
    store.remove(SESSION)
    until(lambda: len(front.late()) > seen + 1)

    assert sorted(became for _, became in front.late()[seen:]) == ["fenced", "let in"]
    assert store.hint(SESSION) == 0
    assert store.positions(SESSION) == dict.fromkeys(TABLES, 0)


def test_a_query_id_that_runs_already_is_passing(made: Made, front: Front) -> None:
    store = made()
    held = store.positions(SESSION)
    front.fault(kind="status", match="/deltas/", status=500, code=216)

    with pytest.raises(SinkUnavailable):
        store.write(batch(1, 100), held)


def test_two_recorders_of_one_session_do_not_raise_against_each_other_for_ever(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = made(), made()
    one.positions(SESSION)
    with pytest.raises(SinkRefused, match=f"another process stores session {SESSION} into .*stop one of the two"):  # noqa: PT012  each in turn
        for _ in range(STRANGERS):
            other.positions(SESSION)
            one.positions(SESSION)
    left = epochs(one)
    for _ in range(3):
        with pytest.raises(SinkRefused):
            one.positions(SESSION)
    assert epochs(one) == left, "it is left to the other one"
    other.write(batch(1, 50), dict.fromkeys(TABLES, 0))

    monkeypatch.setattr(clickhouse_fence, "QUIET_SECS", 0.0)
    with pytest.raises(SinkRefused):
        one.positions(SESSION)  # rows have come since
    one.write(batch(1, 90), one.positions(SESSION))
    assert count(one) == 90


def test_a_single_restart_beside_it_is_no_second_recorder(made: Made) -> None:
    one = made()
    for _ in range(2 * STRANGERS):
        one.positions(SESSION)
        made().positions(SESSION)
        one.positions(SESSION)
        one.positions(SESSION)


def test_an_epoch_that_cannot_be_raised_is_said(made: Made) -> None:
    store = made()
    store._client.command(f"INSERT INTO {store._full('fence')} VALUES ('{SESSION}', {2**64 - 1})")  # noqa: S608  our own names
    with pytest.raises(SinkRefused, match=r"holds an epoch of session .* that cannot be raised"):
        store.positions(SESSION)


def test_an_insert_that_this_user_may_not_end_is_waited_for(made: Made, front: Front) -> None:
    store = made()
    held = store.positions(SESSION)
    front.faults([{"kind": "lost", "match": "/deltas/", "hidden": 0.0, "running": 1.0}, denied()])
    with pytest.raises(SinkUnavailable):
        store.write(batch(1, 100), held)
    time.sleep(0.3)
    store.write(batch(1, 100), store.positions(SESSION))

    assert count(store) == 100


def test_what_to_grant_is_said_where_an_insert_does_not_end(
    made: Made, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clickhouse_fence, "ENDING_SECS", 0.3)
    store = made()
    held = store.positions(SESSION)
    front.faults([{"kind": "lost", "match": "/deltas/", "hidden": 0.0, "running": 2.0}, denied()])
    with pytest.raises(SinkUnavailable):
        store.write(batch(1, 100), held)
    time.sleep(0.3)
    with pytest.raises(
        SinkRefused, match=r"still runs and does not end, and this user may not end it .GRANT KILL QUERY"
    ):
        store.positions(SESSION)


def denied() -> dict[str, object]:
    words = "Code: 497. DB::Exception: recorder: Not enough privileges (ACCESS_DENIED)"
    return {"kind": "status", "sql": "KILL QUERY", "status": 403, "code": 497, "body": words}


@pytest.fixture
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    front = Front(tmp_path_factory.mktemp("second"))
    try:
        yield front
    finally:
        front.close()


def test_two_servers_behind_one_address_are_refused(front: Front, second: Front) -> None:
    balancer = Balancer([front.port, second.port])
    store = ClickHouseStore(Server(balancer.url, USER, PASSWORD), next(_databases))
    with pytest.raises(ConfigError, match=r"CLICKHOUSE_URL is answered by more than one server .*Name one of them"):
        store.open()
    with pytest.raises(SinkUnavailable, match="not connected"):
        store.positions(SESSION)
    store.close()
    balancer.close()


def test_another_server_that_answers_later_is_no_place_to_look(front: Front, second: Front) -> None:
    balancer = Balancer([front.port])
    store = ClickHouseStore(Server(balancer.url, USER, PASSWORD), "kalshi")
    store.open()
    held = store.positions(SESSION)
    store.write(batch(1, 50), held)
    other = ClickHouseStore(Server(second.url, USER, PASSWORD), "kalshi")
    other.open()
    other.positions(SESSION)

    balancer.turn_to(second.port)
    store._place.reconnect()
    with pytest.raises(SinkUnavailable, match="fenced"):
        store.write(batch(51, 90), held | {"deltas": 50})
    store.open()
    with pytest.raises(SinkRefused, match=r"another server answers than before .server-"):
        store.positions(SESSION)

    assert count(other) == 0
    for one in (store, other):
        one.close()
    balancer.close()


def test_many_threads_with_late_inserts_share_one_server(made: Made) -> None:
    """Epochs belong to sessions: one that is raised fences no other one."""
    stores = [made() for _ in range(4)]
    failures: list[SinkError] = []

    def run(number: int) -> None:
        try:
            session = f"{SESSION[:-1]}{number}"
            for _ in range(3):
                held = stores[number].positions(session)
                stores[number].write(batch(held["deltas"] + 1, held["deltas"] + 20, session=session), held)
        except SinkError as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert failures == []
    assert count(stores[0]) == 4 * 60


def test_replicas_of_a_cluster_are_stored_into_by_one_of_them(tmp_path_factory: pytest.TempPathFactory) -> None:
    fronts = [Front(tmp_path_factory.mktemp("replica"), cluster="ours") for _ in range(2)]
    balancer = Balancer([one.port for one in fronts])
    store = ClickHouseStore(Server(balancer.url, USER, PASSWORD), cluster="ours")
    store.open()
    for hi in range(20, 100, 20):
        fronts[0].fault(kind="cut", match="/deltas/")
        fronts[1].fault(kind="cut", match="/deltas/")
        while True:
            try:
                store.open()
                held = store.positions(SESSION)
                store.write(delta_batch(1, hi), held)
            except SinkUnavailable:
                continue
            break
    each = []
    for front in fronts:
        alone = ClickHouseStore(Server(front.url, USER, PASSWORD), cluster="ours")
        alone.open()
        each.append(count(alone))
        alone.close()

    assert sorted(each) == [0, 80], "one of them, and no row twice"
    balancer.turn_to(fronts[0 if each[1] else 1].port)
    store._place.reconnect()
    with pytest.raises(SinkUnavailable, match="the replica of ours that this recorder stores into does not answer"):
        store.open()
    store.close()
    balancer.close()
    for front in fronts:
        front.close()


def test_a_cluster_that_the_server_does_not_know_or_has_not_replicated_is_said(front: Front, made: Made) -> None:
    made()
    store = ClickHouseStore(Server(front.url, USER, PASSWORD), cluster="theirs")
    with pytest.raises(ConfigError, match="CLICKHOUSE_CLUSTER 'theirs': the server knows no cluster of that name"):
        store.open()
    store.close()
    with pytest.raises(ConfigError, match=r"the table kalshi.deltas is not replicated .MergeTree."):
        check_replicated("ours", "kalshi", "deltas", "MergeTree")


def test_tables_of_a_cluster_are_made_on_all_its_servers() -> None:
    made = create_statements("kalshi", cluster="ours")

    assert all(" ON CLUSTER `ours` " in statement for statement in made.values())
    assert {name for name, statement in made.items() if "ENGINE = Replicated" not in statement} == {BOOK}
    assert not any(
        "CLUSTER" in statement or "Replicated" in statement for statement in create_statements("kalshi").values()
    )
