"""Recordings of the real exchange, played over a real websocket and recorded: every store tells an independent book's tale.

The journal's tally, Parquet and ClickHouse are compared with what the oracle finds in the very frames that were played.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import recordings
from harm import HARMED, HOWS, Harm, damaged
from rebuilt import Rebuilt
from recordings import Line
from stores import clickhouse, digests, parquet

from kalshi_trio.journal.manifest import Manifest, read

pytestmark = recordings.needed

MOST = None if os.environ.get("KALSHI_FULL") else 12_000
"""Lines of a recording that are played; all of them if asked for."""
DATA = ("orderbook_snapshot", "orderbook_delta", "trade", "ticker")


def record(some: list[Line], folder: Path) -> Manifest:
    """Plays and records these lines in a process of their own; its sealed manifest."""
    lines = folder / "lines.jsonl"
    with lines.open("wb") as file:
        for line in some:
            if line.frame:
                file.write(
                    b'{"recv_ns":%d,"conn":%d,"frame":%s}\n' % (line.ts_recv, line.connection, line.frame.strip())
                )
    child = Path(__file__).with_name("recorded_child.py")
    done = subprocess.run(  # noqa: S603  our own
        [sys.executable, child, lines, folder / "data"], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (session,) = (folder / "data" / "sessions").glob("SESSION_*")
    manifest = read(session)
    assert manifest is not None
    return manifest


def check(some: list[Line], folder: Path, *, harmed: bool = False) -> None:
    known = recordings.judged(some)
    manifest = record(some, folder)
    tally = manifest.tally
    assert tally.received == tally.journalled == tally.decoded + tally.control + tally.unknown + tally.refused
    assert {kind: tally.by_type.get(kind, 0) for kind in DATA} == {k: known["frames_by_type"].get(k, 0) for k in DATA}

    stored = {"parquet": parquet(folder / "data"), "clickhouse": clickhouse(folder / "data")}
    for tables in stored.values():
        assert digests(tables, manifest) == {name: rows.digest for name, rows in tally.rows.items()}
        assert {n: t.num_rows for n, t in tables.items() if t.num_rows} == {n: r.made for n, r in tally.rows.items()}
    sinks = json.loads(next((folder / "data" / "sessions").glob("*/sinks.json")).read_text())
    assert {t["pending"] for sink in ("parquet", "clickhouse") for t in sinks[sink].values()} == {0}

    words = ("gap_count", "dups", "regressions")
    numbers = {
        number: place for place, number in enumerate(sorted({line.connection for line in some if line.frame}), 1)
    }
    rebuilt = Rebuilt(stored["parquet"], len(numbers))
    runs = {
        f"conn{numbers[int(name[4:].partition('/')[0])]}/{name.partition('/')[2]}": run
        for name, run in known["sequences"].items()
    }
    for run_name, run in runs.items():  # what shows again while a gap is open is counted in it
        listed = rebuilt.runs[run_name]
        assert all(listed[word] <= run[word] for word in words)
        assert any(listed[word] for word in words) == any(run[word] for word in words)
    assert known["totals"]["negative_level_events"] == rebuilt.causes["impossible_book"] or harmed
    for name, market in known["markets"].items():
        counts = rebuilt.markets[name].counts
        assert (counts["snapshots"], counts["deltas"], counts["trades"]) == tuple(
            market[what] for what in ("snapshots", "deltas", "trades")
        )
        if market["final"]["valid_strict"] or not harmed:
            assert books(rebuilt, name) == market["last_nonempty_book_digest"], name


def books(rebuilt: Rebuilt, name: str) -> str:
    """A market's book as it was last, or before its last close or disconnect emptied it."""
    return rebuilt.digest(name, before_close=True)


@pytest.mark.parametrize("name", recordings.NAMES)
def test_every_store_holds_what_an_independent_book_found(name: str, tmp_path: Path) -> None:
    check(recordings.lines(name, MOST), tmp_path)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("harm", HARMED[:2], ids=lambda harm: f"{harm.name[:5]}-{harm.kinds[0]}")
def test_a_damaged_copys_holes_are_rows_in_every_store(harm: Harm, how: str, tmp_path: Path) -> None:
    """Where the oracle calls a book valid in the strict sense, ours is the same."""
    check(damaged(harm, how, seed=7), tmp_path, harmed=True)
