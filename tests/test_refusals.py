"""What a user meets against an exchange: a key that is refused, a market that does not exist, a port that is taken."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MARKET = "KXREAL-26NOV24-T1"


def environment(**more: str) -> dict[str, str]:
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("KALSHI", "MARKET", "CLICKHOUSE"))
    }
    return {**clean, "PYTHONPATH": str(ROOT), **more}


def exchange(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "kalshi_trio.exchange", "--markets", MARKET, *arguments]


@pytest.fixture(scope="module")
def exported() -> Iterator[dict[str, str]]:
    """A simulated exchange in a process of its own, and the settings that it prints."""
    with subprocess.Popen(  # noqa: S603  our own command
        exchange("--port", "0"), env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
        yield dict(line.removeprefix("export ").strip().split("=", 1) for line in lines)
        process.terminate()


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


def test_a_wrong_key(exported: dict[str, str], tmp_path: Path) -> None:
    done = record(tmp_path, {**exported, "KALSHI_API_KEY_ID": "somebody-else"})

    assert done.returncode == 77, done.stderr
    assert "Traceback" not in done.stderr
    assert "KALSHI_API_KEY_ID" in done.stderr.splitlines()[-1]


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
