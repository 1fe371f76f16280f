"""Replays that were killed or stopped go on where they stood: every row is stored exactly once, in both sinks.

`KALSHI_KILL_ROUNDS` asks for more rounds than three.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from past import generated, imported
from sink_kills import ROUNDS
from stores import clickhouse, digests, parquet

from kalshi_trio.journal.manifest import Manifest

ROOT = Path(__file__).parent.parent


def command(folder: Path, *words: str) -> subprocess.Popen[str]:
    line = [
        sys.executable,
        "-m",
        "kalshi_trio",
        *words,
        "--data-dir",
        "data",
        "--log-dir",
        "logs",
        "--batch-rows",
        "200",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(line, cwd=folder, env=environment, text=True, **pipes)  # type: ignore[call-overload,no-any-return]  # noqa: S603  our own command


def replaying(folder: Path, *more: str) -> subprocess.Popen[str]:
    return command(folder, "replay", "latest", "--sink", "parquet=parquet", "--sink", "clickhouse=clickhouse", *more)


def end_in_between(process: subprocess.Popen[str], after: float, number: signal.Signals) -> bool:
    """Whether the signal came before the end; `after` counts from the first row that may be stored."""
    assert process.stderr is not None
    for line in process.stderr:
        if "ClickHouse holds session" in line:
            break
    time.sleep(after)  # a moment that nobody chose
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert "Traceback" not in said
    return process.returncode in (-signal.SIGKILL, 130)


def assert_whole(folder: Path, manifest: Manifest) -> None:
    made = {name: (rows.made, rows.digest) for name, rows in manifest.tally.rows.items()}
    for store in (parquet, clickhouse):
        tables = store(folder, manifest.session)
        assert {n: (tables[n].num_rows, digest) for n, digest in digests(tables, manifest).items()} == made


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
async def test_a_replay_that_ended_too_early_goes_on_where_it_stood(number: signal.Signals, tmp_path: Path) -> None:
    _, manifest = await imported(tmp_path, generated(tmp_path / "past.jsonl", seconds=200, rate=100))
    chance, early = random.Random(number), 0  # noqa: S311  test data
    for _ in range(ROUNDS):
        early += end_in_between(replaying(tmp_path), chance.uniform(0.0, 0.7), number)
    with replaying(tmp_path) as last:
        said, diary = last.communicate(timeout=60)

    assert last.returncode == 0, diary[-2000:]
    assert early
    assert said.count("equal to the recording's") == len(manifest.tally.rows)
    assert_whole(tmp_path, manifest)


async def test_what_is_stored_already_is_not_paced_again(tmp_path: Path) -> None:
    _, manifest = await imported(tmp_path, generated(tmp_path / "past.jsonl", seconds=120))
    with replaying(tmp_path) as first:
        first.communicate(timeout=60)
    with replaying(tmp_path, "--speed", "1") as again:
        again.communicate(timeout=60)

    assert again.returncode == 0
    assert_whole(tmp_path, manifest)
