"""What a user meets against an exchange: a key that is refused, a market that does not exist, a port that is taken."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from stores import parquet

from kalshi_trio.exchange.keys import KINDS
from kalshi_trio.journal.reading import read_session

ROOT = Path(__file__).parent.parent
MARKET = "KXREAL-26NOV24-T1"


def environment(**more: str) -> dict[str, str]:
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("KALSHI", "MARKET", "CLICKHOUSE"))
    }
    return {**clean, "PYTHONPATH": str(ROOT), **more}


def exchange(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "kalshi_trio.exchange", "--markets", MARKET, *arguments]


@contextmanager
def serving(*arguments: str) -> Iterator[dict[str, str]]:
    """A simulated exchange in a process of its own, and the settings that it prints."""
    with subprocess.Popen(  # noqa: S603  our own command
        exchange("--port", "0", *arguments), env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
        yield dict(line.removeprefix("export ").strip().split("=", 1) for line in lines)
        process.terminate()


@pytest.fixture(scope="module", params=KINDS)
def exported(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """One with a key of each kind."""
    with serving("--key", request.param) as settings:
        yield settings


def record(folder: Path, settings: dict[str, str], *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  our own command
        [sys.executable, "-m", "kalshi_trio", "--no-clickhouse", *flags],
        cwd=folder,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_settings_that_the_exchange_prints_record_it(exported: dict[str, str], tmp_path: Path) -> None:
    done = record(tmp_path, exported, "--frames", "5")

    assert done.returncode == 0, done.stderr
    assert "verdict complete" in done.stderr
    assert "chmod" not in done.stderr
    assert_no_trace(tmp_path, exported, done.stderr)


def test_a_wrong_key(exported: dict[str, str], tmp_path: Path) -> None:
    wrong = {**exported, "KALSHI_API_KEY_ID": "somebody-else-0123"}
    done = record(tmp_path, wrong, "--audit", "60")

    assert done.returncode == 77, done.stderr
    assert "Traceback" not in done.stderr
    assert "KALSHI_API_KEY_ID" in done.stderr.splitlines()[-1]
    assert_no_trace(tmp_path, wrong, done.stderr)


def assert_no_trace(folder: Path, settings: dict[str, str], said: str) -> None:
    """Neither the key's id nor its path is in what was said or written, however it is packed."""
    key_id, path = settings["KALSHI_API_KEY_ID"], settings["KALSHI_PRIVATE_KEY_PATH"]
    written = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert any(name.startswith("logs/SESSION") for name in written)
    (session,) = (folder / "data" / "sessions").glob("SESSION_*")
    records = [b"".join(one.data) for frames in read_session(session, 0) for one in frames.records]
    assert len(records) > 3
    written |= {"journal": b"".join(records), "rows": str(parquet(folder / "data")).encode(), "console": said.encode()}
    written["sessions"] = "".join(parquet(folder / "data")["sessions"]["settings"].to_pylist()).encode()
    assert b"markets" in written["sessions"]
    for name, data in written.items():
        assert key_id.encode() not in data, name
        assert path.encode() not in data, name
        assert Path(path).parent.name.encode() not in data, name
    assert f"…{key_id[-4:]}".encode() in b"".join(data for name, data in written.items() if name.startswith("logs/"))


@pytest.mark.parametrize("how", ["missing", "unreadable", "no key"])
def test_a_key_that_cannot_be_had_leaves_no_trace_and_no_session(how: str, tmp_path: Path) -> None:
    folder = tmp_path / "secret-folder"
    folder.mkdir()
    if how == "unreadable":
        (folder / "mine.pem").mkdir()
    elif how == "no key":
        (folder / "mine.pem").write_text("sesame")
    settings = {"KALSHI_API_KEY_ID": "a952bcbe-ec3b-4b5b", "KALSHI_PRIVATE_KEY_PATH": str(folder / "mine.pem")}
    (tmp_path / "here").mkdir()

    done = record(tmp_path / "here", {**settings, "MARKETS": MARKET})

    assert done.returncode == 78, done.stderr
    assert "mine.pem" in done.stderr
    assert "KALSHI_PRIVATE_KEY_PATH" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "secret-folder" not in done.stderr
    assert "a952bcbe" not in done.stderr
    assert list((tmp_path / "here").iterdir()) == []


def test_a_key_that_others_may_read_is_warned_of_and_used(exported: dict[str, str], tmp_path: Path) -> None:
    key = tmp_path / "mine.pem"
    key.write_bytes(Path(exported["KALSHI_PRIVATE_KEY_PATH"]).read_bytes())
    key.chmod(0o644)

    done = record(tmp_path, {**exported, "KALSHI_PRIVATE_KEY_PATH": str(key)}, "--frames", "5")

    assert done.returncode == 0, done.stderr
    warning = "WARNING  | Others may read the private key mine.pem (mode 0644), see KALSHI_PRIVATE_KEY_PATH: chmod 600 mine.pem"
    assert done.stderr.splitlines()[0] == warning


@pytest.mark.parametrize("name", ["KALSHI_WS_URL", "KALSHI_REST_URL"])
def test_signatures_leave_this_machine_in_cleartext_only_when_allowed(
    name: str, exported: dict[str, str], tmp_path: Path
) -> None:
    scheme, path = ("ws", "/trade-api/ws/v2") if name == "KALSHI_WS_URL" else ("http", "/trade-api/v2")
    settings = {**exported, name: f"{scheme}://exchange.invalid{path}", "AUDIT": "60"}

    done = record(tmp_path, settings, "--seconds", "1")

    assert done.returncode == 78, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {name} sends signed requests in cleartext to exchange.invalid: use {scheme}s://")
    assert "ALLOW_CLEARTEXT=1" in line
    assert list(tmp_path.iterdir()) == []

    done = record(tmp_path, {**settings, "ALLOW_CLEARTEXT": "1"}, "--seconds", "1")

    unreachable = name == "KALSHI_WS_URL"
    assert done.returncode == (3 if unreachable else 0), done.stderr
    assert ("Nothing was recorded from" in done.stderr) == unreachable
    assert "cleartext" not in done.stderr


def test_a_key_that_is_refused_in_mid_run_ends_no_recording(tmp_path: Path) -> None:
    with serving("--key", "ed25519", "--refuse-for", "2@1") as settings:
        done = record(tmp_path, settings, "--seconds", "8")

    assert done.returncode == 0, done.stderr
    assert "since the key was good before: The exchange refused the API key (401 " in done.stderr
    assert "The exchange takes the key again, after " in done.stderr
    assert {(row["event"], row["cause"]) for row in parquet(tmp_path / "data")["gaps"].to_pylist()} == {
        ("opened", "reconnect"),
        ("healed", "reconnect"),
    }


@pytest.mark.parametrize("wrong", ["30", "@", "30@", "x@1", "30@-1"])
def test_an_outage_that_is_not_understood_is_named(wrong: str) -> None:
    done = subprocess.run(  # noqa: S603  our own command
        exchange("--refuse-for", wrong), env=environment(), capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 2
    assert "30@10" in done.stderr


def test_an_unknown_market_is_warned_about_and_waited_for(exported: dict[str, str], tmp_path: Path) -> None:
    done = record(tmp_path, {**exported, "MARKETS": f"{MARKET},KXNOSUCH"}, "--seconds", "7")

    assert done.returncode == 0, done.stderr
    assert "No book has come of ['KXNOSUCH']: does it exist (yet)? Waiting for it" in done.stderr


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(  # noqa: S603  our own command
            exchange("--port", str(port)), env=environment(), capture_output=True, text=True, timeout=60, check=False
        )

    assert done.returncode == 75
    assert "Traceback" not in done.stderr
    assert str(port) in done.stderr
