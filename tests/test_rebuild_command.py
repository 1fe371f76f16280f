"""`rebuild --replace`: the session's rows are removed and stored anew, exactly once, whenever it was killed in between."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path

import pytest
from past import generated, imported
from sink_kills import ROUNDS
from test_replay_kill import assert_whole, command

from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.sinks.clickhouse import Embedded


def rebuild(folder: Path, *more: str) -> str:
    with command(folder, "rebuild", "latest", *more) as process:
        said, diary = process.communicate(timeout=90)
    assert process.returncode == 0, diary[-2000:]
    return said


def end(folder: Path, number: signal.Signals, after: float, beginning: str) -> bool:
    """Whether the signal came before the end."""
    process = command(folder, "rebuild", "latest", "--replace")
    assert process.stderr is not None
    for line in process.stderr:
        if beginning in line:
            break
    time.sleep(after)  # a moment that nobody chose
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGKILL, 130), said[-2000:]
    return process.returncode != 0


async def test_rows_that_were_wrong_are_right_again(tmp_path: Path) -> None:
    _, manifest = await imported(tmp_path, generated(tmp_path / "past.jsonl"))
    rebuild(tmp_path)
    stored = sorted((tmp_path / "data" / "parquet" / "deltas").glob("*/*.parquet"))
    stored[0].unlink()
    place = Embedded(tmp_path / "data" / "clickhouse")
    place.connect().command("ALTER TABLE kalshi.trades DELETE WHERE frame % 2 SETTINGS mutations_sync = 1")
    place.close()
    said = rebuild(tmp_path, "--replace")

    assert said.count("equal to the recording's") == len(manifest.tally.rows)
    assert_whole(tmp_path / "data", manifest)


async def test_what_came_of_it_is_told_to_programs(tmp_path: Path) -> None:
    _, manifest = await imported(tmp_path, generated(tmp_path / "past.jsonl", seconds=5))
    told = json.loads(rebuild(tmp_path, "--json"))

    assert (told["session"], told["equal"]) == (manifest.session, True)
    assert {table: rows["digest"] for table, rows in told["tables"].items()} == {
        table: rows.digest for table, rows in manifest.tally.rows.items()
    }


@pytest.mark.parametrize("replace", [True, False], ids=["again", "only what is missing"])
async def test_ended_at_any_moment_it_is_made_whole_by_the_next_one(replace: bool, tmp_path: Path) -> None:
    _, manifest = await imported(tmp_path, generated(tmp_path / "past.jsonl", seconds=200, rate=100))
    rebuild(tmp_path)
    chance = random.Random(replace)  # noqa: S311  test data
    for turn in range(ROUNDS):
        moment = ("Removing session", "from ClickHouse", "writer started")[turn % 3]
        number = (signal.SIGKILL, signal.SIGINT)[(turn + replace) % 2]
        if end(tmp_path, number, chance.uniform(0.0, 0.6), moment):
            assert_pending(tmp_path, manifest)
    rebuild(tmp_path, *["--replace"] * replace)

    assert_whole(tmp_path / "data", manifest)


def assert_pending(folder: Path, manifest: Manifest) -> None:
    """The recorder's next start would look at both sinks."""
    said = json.loads((folder / "data" / "sessions" / manifest.name / "sinks.json").read_text())
    assert [said[sink]["deltas"]["pending"] for sink in ("parquet", "clickhouse")] != [0, 0]
