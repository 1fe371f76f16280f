"""The embedded engine as a process meets it: killed while it writes, held by another, met in a forked child."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from clickhouse_http import PASSWORD, USER, Front
from sink_child import all_batches
from sink_kills import ROUNDS, kill_at_random
from sink_rows import SESSION

from kalshi_trio.errors import FolderNotWritable, InUse, SinkRefused, SinkUnavailable
from kalshi_trio.sinks.clickhouse import ClickHouseStore, Embedded, Server

_HOLD = """
import clickhouse_connect, sys
client = clickhouse_connect.get_client(interface="chdb", path=sys.argv[1])
print("open", flush=True)
sys.stdin.read()
client.close()
"""


def assert_exactly_once(store: ClickHouseStore) -> None:
    store.open()
    batches = all_batches()
    for table in {name for one in batches for name in one.tables}:
        made = [
            (row["frame"], row["row"])
            for one in batches
            if table in one.tables
            for row in one.tables[table].select(["frame", "row"]).to_pylist()
        ]
        held = store._client.query(f"SELECT frame, row FROM kalshi.{table} ORDER BY frame, row").result_rows  # noqa: S608  our own names
        assert [tuple(row) for row in held] == made
    assert store.hint(SESSION) == batches[-1].hi
    store.close()


def test_kill_9_while_writing_loses_and_doubles_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "clickhouse"
    kill_at_random("embedded", folder, ROUNDS, within=0.6)
    assert_exactly_once(ClickHouseStore(Embedded(folder)))


def test_kill_9_while_a_server_takes_the_rows_loses_and_doubles_nothing(tmp_path: Path) -> None:
    front = Front(tmp_path / "server")
    try:
        kill_at_random(front.url, tmp_path, ROUNDS, within=0.6)
        assert_exactly_once(ClickHouseStore(Server(front.url, USER, PASSWORD)))
    finally:
        front.close()


def test_a_folder_that_another_store_holds_is_in_use(tmp_path: Path) -> None:
    first, second = Embedded(tmp_path / "clickhouse"), Embedded(tmp_path / "clickhouse")
    first.connect()
    with pytest.raises(InUse, match="another process has this embedded ClickHouse open"):
        second.connect()
    first.close()
    second.connect()
    second.close()


def test_a_folder_that_a_foreign_program_holds_is_in_use(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLD, str(tmp_path / "clickhouse")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:  # noqa: S603  our own child
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(InUse, match="the engine's own reason is on standard error"):
            Embedded(tmp_path / "clickhouse").connect()


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderNotWritable, match="DATA_DIR"):
        Embedded(tmp_path / "file/clickhouse").connect()


@pytest.mark.parametrize("short", [errno.EMFILE, errno.ENOMEM, errno.ENOSPC])
def test_a_folder_for_which_something_is_short_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short: int
) -> None:
    def open_(*_: object, **__: object) -> None:
        raise OSError(short, os.strerror(short))

    monkeypatch.setattr("kalshi_trio.file_lock.os.open", open_)
    with pytest.raises(SinkUnavailable, match=os.strerror(short)):
        Embedded(tmp_path / "clickhouse").connect()


_SHORT = """
import os, resource, sys
from pathlib import Path
from kalshi_trio.errors import SinkError
from kalshi_trio.sinks.clickhouse import ClickHouseStore, Embedded
from sink_rows import SESSION, batch
store = ClickHouseStore(Embedded(Path(sys.argv[1])))
store.open()
held = store.positions(SESSION)
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
for left in range(14):
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1 + left, hard))
    try:
        store.write(batch(1, 90), held)
    except SinkError as error:
        print(type(error).__name__)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    held = store.positions(SESSION)
store.write(batch(1, 90), held)
print(store.count(SESSION)["deltas"])
store.close()
"""


def test_descriptors_that_run_out_in_the_engine_are_passing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _SHORT, str(tmp_path / "clickhouse")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parent.parent)])
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603  our own child
    lines = done.stdout.split()

    assert lines[-1] == "90"
    assert set(lines[:-1]) == {"SinkUnavailable"}


def test_a_forked_child_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Embedded(tmp_path / "clickhouse")
    monkeypatch.setattr("os.getpid", lambda: 1)
    with pytest.raises(SinkRefused, match="forked child"):
        place.connect()
