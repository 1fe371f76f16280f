"""The folder of a session describes itself: its README.md names what is in it, and its queries run as they are written."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from verify_help import manifest_of, recorded, records

from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.protocol.schema import TABLES
from kalshi_trio.session_readme import intact, readme

ROOT = Path(__file__).parents[1]


def blocks(folder: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)


def executed(folder: Path) -> dict[str, str]:
    """What each block printed, by the library that it imports first."""
    said = {}
    for block in blocks(folder):
        done = subprocess.run(  # noqa: S603  ours
            [sys.executable, "-c", block],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env={"HOME": str(folder)},
        )
        assert done.returncode == 0, done.stderr
        said[block.split()[1]] = done.stdout
    return said


def demo(data: Path, *more: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "kalshi_trio",
        "demo",
        "--data-dir",
        str(data),
        "--log-dir",
        str(data / "logs"),
        *more,
    ]
    return subprocess.Popen(  # noqa: S603  ours
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={"PYTHONPATH": str(ROOT), "PATH": ""}
    )


def verified(data: Path) -> tuple[int, dict[str, object]]:
    command = [sys.executable, "-m", "kalshi_trio", "verify", str(data), "--json", "--log-dir", str(data / "logs")]
    done = subprocess.run(  # noqa: S603  ours
        command, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT), "PATH": ""}
    )
    return done.returncode, json.loads(done.stdout)


def test_its_queries_run_as_they_are_written(tmp_path: Path) -> None:
    folder = recorded(tmp_path, records(), clickhouse=True)
    deltas = manifest_of(folder).tally.rows["deltas"].made
    said = executed(folder)

    assert set(said) == {"pyarrow", "duckdb", "polars", "clickhouse_connect"}
    for library in ("duckdb", "polars", "clickhouse_connect"):
        counts = [int(number) for number in re.findall(r"KXTEST-26NOV24-[AB]\W+(\d+)\b", said[library])]
        assert sum(counts) == deltas, said[library]
    assert "frame" in said["pyarrow"]


def test_it_names_tables_columns_markets_and_the_seal(tmp_path: Path) -> None:
    folder = recorded(tmp_path, records(lost=700), sinks=False)
    text = (folder / "README.md").read_text()

    assert hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest() in text
    assert "**known gaps**" in text
    for name, schema in TABLES.items():
        (line,) = (line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
        assert all(f"`{field.name}` {field.type}" in line for field in schema)
    assert re.search(r"`KXTEST-26NOV24-A` \d+\.\d\d %", text)


def test_one_that_does_not_tell_its_hash_is_believed(tmp_path: Path) -> None:
    path = recorded(tmp_path, records(200), sinks=False) / "README.md"
    told = intact(path)
    path.write_text("# A session of last year\n")

    assert told
    assert intact(path)


def test_secrets_are_not_in_it(tmp_path: Path) -> None:
    folder = recorded(tmp_path, records(200), sinks=False)
    settings = {"clickhouse_password": "********", "kalshi_private_key_path": "/keys/mine", "batch_rows": 5}
    about = Manifest("s", "S", "live", "1", "", settings=settings)
    told = json.loads(re.findall(r"```json\n(.*?)```", readme(folder, about, {}), re.DOTALL)[0])

    assert told == {"batch_rows": 5}


def test_a_server_is_asked_at_its_address(tmp_path: Path) -> None:
    folder = recorded(tmp_path, records(200), sinks=False)
    stored = {
        "clickhouse_url": "https://reader:********@db.example:9443",
        "clickhouse_database": "feed",
        "parquet": False,
    }
    text = readme(folder, manifest_of(folder), stored)

    assert 'interface="https", host="db.example", port=9443, username=\'reader\'' in text
    assert "FROM feed.deltas" in text
    assert "duckdb" not in text


def test_a_folder_that_refuses_it_is_sealed_all_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "sessions/SESSION_20261124_050102/README.md").mkdir(parents=True)
    folder = recorded(tmp_path, records(200), sinks=False)

    assert manifest_of(folder).verdict == "complete"
    assert [record.levelname for record in caplog.records if "No README.md" in record.getMessage()] == ["WARNING"]


def test_live_and_dead_sessions_describe_themselves_and_verify(tmp_path: Path) -> None:
    dying = demo(tmp_path, "--seconds", "60")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(tmp_path.glob("parquet/_progress/*")) and dying.poll() is None:
        time.sleep(0.2)
        if (tmp_path / "status.json").exists():
            status = json.loads((tmp_path / "status.json").read_text())
            if status["feed"]["received"] > 200:
                break
    dying.send_signal(signal.SIGKILL)
    dying.communicate()
    living = demo(tmp_path, "--seconds", "3")
    said, _ = living.communicate(timeout=120)
    assert living.returncode == 0, said
    dead, live = sorted((tmp_path / "sessions").iterdir())
    code, found = verified(tmp_path)

    assert (code, found["findings"], found["not_checked"]) == (3, [], []), found
    verdicts = [manifest_of(folder).verdict for folder in (dead, live)]
    assert verdicts == ["cut short", "known gaps"]
    for folder, verdict in zip((dead, live), verdicts, strict=True):
        assert f"**{verdict}**" in (folder / "README.md").read_text()
        assert all(executed(folder).values())
    assert os.listdir(tmp_path / "clickhouse")  # noqa: PTH208  whether anything is in it
