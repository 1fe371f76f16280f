"""The benchmark of rebuilding, in its smallest form: every row of its table is measured, on frames that it counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
FRAMES = 1_500


def bench(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        str(ROOT / "scripts" / "bench_rebuild.py"),
        "--rounds",
        "1",
        "--folder",
        str(folder),
        *flags,
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KALSHI_SHARED": str(folder / "nothing")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)  # noqa: S603  our own


def test_it_measures_the_loop_and_every_store_over_the_same_frames(tmp_path: Path) -> None:
    done = bench(tmp_path, "--frames", str(FRAMES), "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout)

    assert list(said["runs"]) == ["loop", "rows", "parquet", "clickhouse", "both"]
    for (run,) in said["runs"].values():
        assert run["frames"] == FRAMES
        assert run["rate"] == run["frames"] / run["seconds"] > 0
        assert 0 < run["cpu_seconds"] < 1.5 * run["seconds"]  # one core: no more processor time than time
    loop = said["runs"]["loop"][0]["rate"]
    assert said["times_the_loop"] == {row: runs[0]["rate"] / loop for row, runs in said["runs"].items()}
    assert f"{FRAMES:,} frames of 50 markets" in said["subject"]
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_imported_ends_it_with_the_reason(tmp_path: Path) -> None:
    recording = tmp_path / "no_frames.jsonl"
    recording.write_text("nothing\n")
    done = bench(tmp_path, "--recording", str(recording))

    assert done.returncode == 1
    assert "import ended with 2" in done.stderr
