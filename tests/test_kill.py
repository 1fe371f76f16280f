"""`kill -9` while it records at full speed, then a start: every store equals the journal.

`KALSHI_KILL_ROUNDS` asks for more rounds than three: `scripts/kill.sh` runs twenty.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fed import plain
from stores import clickhouse, digests, parquet

from kalshi_trio.journal.index import read_index
from kalshi_trio.journal.manifest import Manifest, read, write
from kalshi_trio.journal.reading import read_session
from kalshi_trio.sealing import ns_of

ROUNDS = int(os.environ.get("KALSHI_KILL_ROUNDS", "3"))


def recorder(folder: Path, *flags: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "kalshi_trio", "demo", "--speed", "max", "--data-dir", "data", *flags]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    return subprocess.Popen(  # noqa: S603  our own command
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def kill(folder: Path, after: float) -> None:
    with recorder(folder, "--seconds", "60") as process:
        assert process.stderr is not None
        for line in process.stderr:
            if b"Connected" in line:
                break
        time.sleep(after)  # a moment that nobody chose
        process.send_signal(signal.SIGKILL)
        process.stderr.close()
    assert process.returncode == -signal.SIGKILL


def finish(folder: Path, *limit: str) -> None:
    with recorder(folder, *(limit or ("--frames", "2000"))) as process:
        assert process.stderr is not None
        said = process.stderr.read()
    assert process.returncode == 0, said[-3000:]
    assert b"Traceback" not in said


def manifests(data: Path) -> list[Manifest]:
    found = [read(folder) for folder in sorted((data / "sessions").glob("SESSION_*"))]
    return [manifest for manifest in found if manifest is not None]


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_after_a_kill_every_store_equals_the_journal(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)  # noqa: S311  test data
    kill(tmp_path, chance.uniform(0.0, 3.0))
    finish(tmp_path)

    data = tmp_path / "data"
    found = manifests(data)
    assert [manifest.verdict for manifest in found] == ["cut short", "known gaps"]
    for manifest in found:
        made = {name: (rows.made, rows.digest) for name, rows in manifest.tally.rows.items()}
        for store in (parquet, clickhouse):
            tables = store(data, manifest.session)
            digested = digests(tables, manifest)
            assert {name: (tables[name].num_rows, digest) for name, digest in digested.items()} == made
    after = parquet(data, found[1].session)["gaps"].select(["event", "cause", "opened_at", "markets"])
    (crash,) = [row for row in plain(after) if row["event"] == "opened"]
    assert (crash["cause"], crash["opened_at"]) == ("crash", last_durable(data, found[0]))
    assert crash["markets"] == sorted(found[0].markets)
    ends = [ns_of(span[1]) for covered in found[0].coverage.values() for span in covered.spans]
    assert max(ends, default=0) <= crash["opened_at"]


def last_durable(data: Path, dead: Manifest) -> int:
    """When the last record came that had reached the disk before the kill; the session's start if none had."""
    runs = [run for frames in read_session(data / "sessions" / dead.name) for run in frames.records]
    if not runs:
        return ns_of(dead.started)
    *before, recovered = runs
    assert json.loads(recovered.data[-1])["event"] == "recovered"
    return before[-1].ts_recv


def test_a_session_killed_before_its_first_fsync_is_a_hole_of_the_next(tmp_path: Path) -> None:
    """It had connected, for all that is known, and frames had come: its manifest stands there before any of them."""
    manifest = Manifest("20261124_050102-9f3a1c70", "SESSION_20261124_050102", "demo", "0", "2026-11-24T05:01:02Z")
    folder = tmp_path / "data" / "sessions" / manifest.name
    folder.mkdir(parents=True)
    write(folder / "manifest.json", manifest)

    finish(tmp_path)
    finish(tmp_path)

    found = manifests(tmp_path / "data")
    assert [one.verdict for one in found] == ["cut short", "known gaps", "complete"]
    gaps = parquet(tmp_path / "data", found[1].session)["gaps"].to_pylist()
    assert [row["cause"] for row in gaps if row["event"] == "opened"] == ["crash"]


def test_an_old_session_that_is_damaged_keeps_no_new_one_from_being_recorded(tmp_path: Path) -> None:
    finish(tmp_path, "--frames", "600", "--journal-fsync-ms", "20")
    data = tmp_path / "data"
    (segment,) = data.glob("sessions/*/000001.arrows")
    index = read_index(segment.with_suffix(".index"))
    assert index is not None
    *some, _ = index.entries  # the last batch says that the session ended
    hit = some[len(some) // 2]  # the one that the session begins with, where there is no other
    damaged = bytearray(segment.read_bytes())
    damaged[hit.offset + hit.length // 2] ^= 1
    segment.write_bytes(damaged)
    for leftover in (*data.glob("sessions/*/sinks.json"), *data.glob("parquet/*/*/*.parquet")):
        leftover.unlink()
    for hint in data.glob("parquet/_progress/*.json"):
        hint.unlink()

    finish(tmp_path)

    found = manifests(data)
    assert [manifest.verdict for manifest in found] == ["complete", "complete"]
    rows = [parquet(data, manifest.session) for manifest in found]
    assert rows[1]["deltas"].num_rows == found[1].tally.rows["deltas"].made
    assert rows[0]["sessions"]["event"].to_pylist()[-1] == "ended"
    assert rows[0]["gaps"]["cause"].to_pylist()[0] == "damage"


def test_an_old_session_whose_folder_takes_nothing_keeps_no_new_one_from_being_sealed(tmp_path: Path) -> None:
    finish(tmp_path, "--frames", "100")
    data = tmp_path / "data"
    (report,) = data.glob("sessions/*/sinks.json")
    report.unlink()
    report.with_suffix(".json.tmp").mkdir()  # nobody can write there

    finish(tmp_path, "--frames", "100")

    assert [manifest.verdict for manifest in manifests(data)] == ["complete", "complete"]
