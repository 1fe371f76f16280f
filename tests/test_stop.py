"""Asked to stop at any moment after its first line, a recorder stores what it has and ends with 0; asked twice, at once."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kalshi_trio.exchange.keys import make_key, private_pem
from kalshi_trio.journal.manifest import read

ROOT = Path(__file__).parent.parent
DEADLINE = 10.0


@contextmanager
def recorder(folder: Path, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "kalshi_trio", "demo", "--seconds", "60", "--data-dir", "data", *flags]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(  # noqa: S603  our own command
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        assert b"SESSION STARTED" in process.stderr.readline()
        yield process
        process.kill()


def ended(process: subprocess.Popen[bytes]) -> tuple[int, float]:
    """Exit code, and after how long."""
    began = time.monotonic()
    assert process.stderr is not None
    said = process.stderr.read()
    code = process.wait(DEADLINE + 5)
    assert b"Traceback" not in said
    return code, time.monotonic() - began


def pending(data: Path) -> int:
    (report,) = data.glob("sessions/*/sinks.json")
    sinks = json.loads(report.read_text())
    return sum(table["pending"] for name in ("parquet", "clickhouse") for table in sinks[name].values())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after", [0.0, 0.02, 0.1, 0.3, 0.7, 1.5])
def test_one_signal_ends_it_well_at_any_moment(number: signal.Signals, after: float, tmp_path: Path) -> None:
    with recorder(tmp_path, "--speed", "10") as process:
        time.sleep(after)  # a moment that nobody chose
        process.send_signal(number)
        code, took = ended(process)

    assert code == 0
    assert took < DEADLINE
    (folder,) = (tmp_path / "data" / "sessions").glob("SESSION_*")
    manifest = read(folder)
    assert manifest is not None
    what_came = "nothing recorded" if not manifest.tally.received else "known gaps" if manifest.missing else "complete"
    assert manifest.verdict == what_came
    assert (manifest.gaps["opened"] > 0) == (what_came == "known gaps")
    assert pending(tmp_path / "data") == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_after_the_sessions_last_line_changes_nothing(number: signal.Signals, tmp_path: Path) -> None:
    with recorder(tmp_path, "--frames", "50") as process:
        assert process.stderr is not None
        for line in process.stderr:
            if b"SESSION ENDED" in line:
                break
        process.send_signal(number)
        assert ended(process)[0] == 0


def test_a_second_ctrl_c_ends_it_at_once_and_the_next_start_stores_the_rest(tmp_path: Path) -> None:
    with recorder(tmp_path, "--speed", "max") as process:
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        code, took = ended(process)
    assert code in (130, 0)  # 0: it was faster than the second one
    assert took < DEADLINE

    with recorder(tmp_path, "--frames", "500") as process:
        assert ended(process)[0] == 0
    for report in (tmp_path / "data").glob("sessions/*/sinks.json"):
        sinks = json.loads(report.read_text())
        assert {t["pending"] for name in ("parquet", "clickhouse") for t in sinks[name].values()} == {0}


def test_what_a_silent_server_leaves_is_said_and_stored_at_the_next_start(tmp_path: Path) -> None:
    with recorder(tmp_path, "--clickhouse-url", "http://127.0.0.1:9", "--speed", "10") as process:
        time.sleep(2.0)
        process.send_signal(signal.SIGTERM)
        code, took = ended(process)
    assert code == 0
    assert took < DEADLINE
    assert pending(tmp_path / "data") > 0

    with recorder(tmp_path, "--frames", "500") as process:
        assert ended(process)[0] == 0
    reports = [json.loads(path.read_text()) for path in (tmp_path / "data").glob("sessions/*/sinks.json")]
    assert len(reports) == 2
    assert {t["pending"] for one in reports for name in ("parquet", "clickhouse") for t in one[name].values()} == {0}


def test_a_recording_that_ends_by_itself_does_not_wait_long_for_a_server_that_is_not_there(tmp_path: Path) -> None:
    with recorder(tmp_path, "--clickhouse-url", "http://127.0.0.1:9", "--frames", "100") as process:
        code, took = ended(process)

    assert code == 0
    assert took < 40
    assert pending(tmp_path / "data") > 0


def test_a_session_that_ended_and_was_not_sealed_gets_its_own_verdict(tmp_path: Path) -> None:
    """As if it had been killed between its last record and the seal."""
    with recorder(tmp_path, "--frames", "500") as process:
        assert ended(process)[0] == 0
    (path,) = (tmp_path / "data").glob("sessions/*/manifest.json")
    path.write_text(path.read_text().replace('"verdict": "complete"', '"verdict": "open"'))

    with recorder(tmp_path, "--frames", "500") as process:
        assert ended(process)[0] == 0

    found = [read(folder) for folder in sorted((tmp_path / "data" / "sessions").glob("SESSION_*"))]
    assert [manifest.verdict for manifest in found if manifest] == ["complete", "complete"]


BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


def has_handler(process: subprocess.Popen[bytes]) -> bool:
    """Whether it handles SIGTERM: from then on it decides what a signal does."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return False
    caught = int(status.partition("SigCgt:")[2].split()[0], 16) if "SigCgt:" in status else 0
    return bool(caught >> (signal.SIGTERM - 1) & 1)


@BOTH
@pytest.mark.parametrize("after", [0.0, 0.1, 0.3, 0.6])
def test_a_signal_during_the_imports_is_one_line_and_no_good_end(
    number: signal.Signals, after: float, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "kalshi_trio", "demo", "--seconds", "60", "--data-dir", "data"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(  # noqa: S603  our own command
        command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        while not has_handler(process) and process.poll() is None:
            time.sleep(0.005)
        time.sleep(after)
        process.send_signal(number)
        _, said = process.communicate(timeout=DEADLINE)

    if process.returncode == 0:  # a quick machine: it had begun already
        (folder,) = (tmp_path / "data" / "sessions").glob("SESSION_*")
        assert (manifest := read(folder)) is not None
        assert manifest.verdict != "open"
        return
    assert said.decode() == f"error: Stopped by {number.name}: nothing had begun.\n"
    assert process.returncode == 130
    assert not (tmp_path / "data" / "sessions").exists()


@BOTH
@pytest.mark.parametrize("state", ["connecting", "in the handshake", "refused"])
def test_a_signal_before_anything_came_seals_a_session_without_frames(
    number: signal.Signals, state: str, tmp_path: Path
) -> None:
    """The peer takes no connection (its queue is full), answers nothing, or does not listen."""
    (tmp_path / "key.pem").write_bytes(private_pem(make_key("ed25519")))
    with socket.socket() as peer, socket.socket() as first:
        peer.bind(("127.0.0.1", 0))
        if state != "refused":
            peer.listen(0)
        if state == "connecting":
            first.connect(peer.getsockname())
        url = f"ws://127.0.0.1:{peer.getsockname()[1]}/trade-api/ws/v2"
        flags = ["--kalshi-ws-url", url, "--markets", "A", "--kalshi-api-key-id", "an-id", "--no-clickhouse"]
        command = [sys.executable, "-m", "kalshi_trio", "record", *flags, "--kalshi-private-key-path", "key.pem"]
        with subprocess.Popen(  # noqa: S603  our own command
            command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE
        ) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if b"Connecting to" in line:
                    break
            process.send_signal(number)
            code, took = ended(process)

    assert code == 0
    assert took < DEADLINE
    (folder,) = (tmp_path / "data" / "sessions").glob("SESSION_*")
    assert (manifest := read(folder)) is not None
    assert manifest.verdict != "open"
    assert manifest.tally.received == 0
