"""The benchmark of `book` in a small form: its day is one that the recorder could have made, its answers are right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from kalshi_trio.history.book.books import SessionBooks
from kalshi_trio.journal.manifest import read
from kalshi_trio.journal.reading import last_frame

ROOT = Path(__file__).parent.parent


def test_the_benchmark_asks_and_every_answer_is_the_generators_book(tmp_path: Path) -> None:
    sizes = ("--deltas", "30000", "--markets", "20", "--questions", "25", "--processes", "2", "--segment-minutes", "4")
    done = subprocess.run(  # noqa: S603  our own
        [sys.executable, str(ROOT / "scripts" / "bench_book.py"), *sizes, "--json", "--folder", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)

    assert {how: found["questions"] for how, found in report["seconds"].items()} == {
        "in one process": 25,
        "as a command": 2,
    }
    assert all(0 < found["p50"] <= found["p95"] <= found["max"] for found in report["seconds"].values())
    folder = tmp_path / "sessions" / "SESSION_20261124_000000"
    manifest = read(folder)
    assert manifest is not None
    assert (manifest.verdict, manifest.gaps["opened"], len(manifest.markets)) == ("complete", 0, 20)
    assert report["records"] == last_frame(folder) == SessionBooks(folder).last
    assert report["segments"] == len(manifest.segments) == 3
    assert 25_000 < manifest.tally.by_type["orderbook_delta"] < 35_000
