"""Bad input gets one clear line and an exit code, or is counted while the feed goes on; never a traceback."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from recorded_child import __file__ as child
from stores import parquet

from kalshi_trio.journal.folder import DataLock
from kalshi_trio.journal.manifest import Manifest, read

ROOT = Path(__file__).parent.parent
KEY = ("--kalshi-api-key-id", "some-id", "--kalshi-private-key-path", "key.pem")


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("KALSHI", "MARKET", "CLICKHOUSE"))
    }
    return subprocess.run(  # noqa: S603  our own command
        [sys.executable, "-m", "kalshi_trio", *arguments],
        cwd=folder,
        env={**clean, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_no_key(tmp_path: Path) -> None:
    done = run(tmp_path)

    refused(done, 78, "KALSHI_API_KEY_ID", "KALSHI_PRIVATE_KEY_PATH", "demo")
    assert len(done.stderr.splitlines()) == 3


def test_empty_markets(tmp_path: Path) -> None:
    refused(run(tmp_path, "record", *KEY, MARKETS=" , "), 78, "MARKETS is empty")


def test_a_key_file_that_is_not_there(tmp_path: Path) -> None:
    refused(run(tmp_path, "record", *KEY, "--markets", "A"), 78, "key.pem", "KALSHI_PRIVATE_KEY_PATH")


def test_a_key_file_that_is_no_key_and_stays_secret(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("sesame-open")
    done = run(tmp_path, "record", *KEY, "--markets", "A")

    refused(done, 78, "key.pem")
    assert "sesame" not in done.stderr


def test_a_value_that_makes_no_sense(tmp_path: Path) -> None:
    refused(run(tmp_path, "config", BATCH_ROWS="many"), 78, "BATCH_ROWS", "environment", "many")


def test_an_unknown_command_and_flag(tmp_path: Path) -> None:
    refused(run(tmp_path, "recrod"), 2, "recrod")
    refused(run(tmp_path, "demo", "--sevonds", "1"), 2, "sevonds")


def test_a_data_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")

    refused(run(tmp_path, "demo", "--seconds", "1", "--data-dir", "file/data"), 73, "file/data", "DATA_DIR")


def test_a_log_folder_that_cannot_be_made_is_said_and_the_recording_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    done = run(tmp_path, "demo", "--seconds", "2", "--log-dir", "file/logs")

    refused(done, 0, "Cannot write log files", "Tally:")


def test_a_demo_of_a_recording_asks_for_the_markets_that_are_in_it(tmp_path: Path) -> None:
    (tmp_path / "lines.jsonl").write_text("\n".join((SNAPSHOT, DELTA % (2, '"A"'))) + "\n")

    done = run(tmp_path, "demo", "--recording", "lines.jsonl", "--frames", "6", "--seconds", "60", "--no-clickhouse")

    refused(done, 0, "Loaded 1 markets: A", "Tally:")
    assert "WARNING  | No book" not in done.stderr


def test_a_data_folder_that_another_recorder_holds(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with DataLock(tmp_path / "data") as lock:
        lock.announce({})
        refused(run(tmp_path, "demo", "--data-dir", "data"), 75, f"in use by another recorder (pid {os.getpid()})")


def test_a_table_of_somebody_else_is_left_alone_and_no_session_begins(tmp_path: Path) -> None:
    database = tmp_path / "data" / "clickhouse"
    table = "kalshi.deltas (theirs Int32) ENGINE = MergeTree ORDER BY theirs"
    engine = "import clickhouse_connect as c; c = c.get_client(interface='chdb', path={!r}); "
    do = engine + "c.command('CREATE DATABASE kalshi'); c.command('CREATE TABLE {}'); c.close()"
    subprocess.run([sys.executable, "-c", do.format(str(database), table)], check=True, timeout=60)  # noqa: S603

    done = run(tmp_path, "demo", "--data-dir", "data")

    refused(done, 78, "kalshi.deltas", "left alone", "CLICKHOUSE_DATABASE")
    assert not (tmp_path / "data" / "sessions").exists()


def test_a_disk_that_lets_nothing_be_removed_frees_the_folder_nevertheless(tmp_path: Path) -> None:
    with DataLock(tmp_path):
        (tmp_path / "recorder.json").mkdir()  # refuses to be removed, as all does on a disk that has become read-only

    with DataLock(tmp_path):
        assert (tmp_path / "recorder.json").is_dir()


def test_a_password_is_masked_wherever_settings_are_shown(tmp_path: Path) -> None:
    secret = "sesame-open"
    done = run(tmp_path, "config", CLICKHOUSE_PASSWORD=secret, CLICKHOUSE_URL=f"http://u:{secret}@127.0.0.1:9")

    refused(done, 0)
    assert secret not in done.stdout + done.stderr
    assert "CLICKHOUSE_URL" in done.stdout


DELTA = (
    '{"type":"orderbook_delta","sid":1,"seq":%d,"msg":{"market_ticker":%s,"price_dollars":"0.5000",'
    '"delta_fp":"1.00","side":"yes","ts":"2026-05-15T21:32:10Z"}}'
)
SNAPSHOT = (
    '{"type":"orderbook_snapshot","sid":1,"seq":1,"msg":{"market_ticker":"A","yes_dollars_fp":[["0.5000","5.00"]]}}'
)


def played(folder: Path, *frames: str, faults: str = "{}") -> tuple[Manifest, Path]:
    """Records these frames after a snapshot of market A; `faults`: of the exchange, by number of frame."""
    lines = folder / "lines.jsonl"
    exact = [{"conn": 1, "base64": base64.b64encode(frame.encode()).decode()} for frame in (SNAPSHOT, *frames)]
    lines.write_text("".join(json.dumps(line) + "\n" for line in exact))
    done = subprocess.run(  # noqa: S603  our own
        [sys.executable, child, lines, folder / "data", faults], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    (session,) = (folder / "data" / "sessions").glob("SESSION_*")
    manifest = read(session)
    assert manifest is not None
    tally = manifest.tally
    assert tally.received == tally.decoded + tally.control + tally.unknown + tally.refused
    return manifest, folder / "data"


@pytest.mark.parametrize(
    "frame",
    [
        "this is no JSON",
        "[1, 2, 3]",
        '{"no":"type"}',
        "[" * 2000,
        '{"type":"orderbook_delta","sid":1,"seq":2,"msg":{"market_ticker":"A","price_dollars":0.5,"side":"yes"}}',
        DELTA % (2, json.dumps("A\nB")),
        DELTA % (2, json.dumps("\x1b[31mA")),
        DELTA % (2, json.dumps("A" * 10_000)),
    ],
    ids=["text", "list", "no type", "deep", "float", "newline", "control", "long"],
)
def test_a_frame_that_cannot_be_read_is_counted_and_the_feed_goes_on(frame: str, tmp_path: Path) -> None:
    manifest, data = played(tmp_path, frame, DELTA % (3, '"A"'))

    assert manifest.tally.refused == 1
    assert manifest.tally.by_type["orderbook_delta"] == 1
    assert parquet(data)["deltas"]["market"].to_pylist() == ["A"]


def test_a_frame_that_is_not_utf8_is_refused_and_the_connection_goes_on(tmp_path: Path) -> None:
    manifest, data = played(tmp_path, DELTA % (2, '"A"'), DELTA % (3, '"A"'), faults='{"1": "not_utf8"}')

    assert manifest.tally.refused == 1
    assert set(parquet(data)["deltas"]["connection"].to_pylist()) == {1}


def test_a_binary_frame_is_read_as_the_bytes_that_it_is(tmp_path: Path) -> None:
    manifest, data = played(tmp_path, DELTA % (2, '"A"'), DELTA % (3, '"A"'), faults='{"1": "binary"}')

    assert (manifest.tally.refused, manifest.tally.decoded, manifest.verdict) == (0, 3, "complete")
    assert parquet(data)["deltas"]["valid"].to_pylist() == [True, True]


def test_an_unknown_type_and_a_new_field_are_kept_counted_and_listed(tmp_path: Path) -> None:
    news = '{"type":"news","sid":1,"seq":2,"msg":{}}'
    fresh = (DELTA % (3, '"A"')).replace('"side"', '"mood":"calm","side"')
    manifest, data = played(tmp_path, news, fresh)

    assert manifest.tally.unknown == 1
    assert manifest.tally.by_type["news"] == 1
    assert manifest.fields == {"type news": 1, "field orderbook_delta.msg.mood": 1}
    assert parquet(data)["deltas"]["valid"].to_pylist() == [True]


def test_a_ticker_never_becomes_a_path(tmp_path: Path) -> None:
    _, data = played(tmp_path, DELTA % (2, '"../../x"'))

    assert parquet(data)["deltas"]["market"].to_pylist() == ["../../x"]
    assert not list(tmp_path.glob("x*"))
    assert not list(data.rglob("x"))


def test_a_huge_frame_is_kept(tmp_path: Path) -> None:
    huge = '{"type":"ok","id":3,"sid":1,"seq":2,"msg":{"market_tickers":[' + ",".join(['"A"'] * 600_000) + "]}}"
    manifest, _ = played(tmp_path, huge, DELTA % (3, '"A"'))

    assert manifest.tally.by_type["ok"] == 1
    assert manifest.verdict == "complete"
