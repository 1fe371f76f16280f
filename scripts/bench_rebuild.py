"""How fast rows are made again from a journal, beside a plain loop of json.loads and dicts over the same frames.

    python scripts/bench_rebuild.py [--recording FILE] [--frames N] [--rounds 3] [--core N] [--json]

A recording (the largest of KALSHI_SHARED, or the FILE that is named; else generated markets) is imported as a session,
and its frames written to a file of JSON lines. Then in each round every row of the table takes them once, in a process
of its own that may use one core: the loop reads lines; the others read the journal, make all rows, and bring them into
stores that are empty, exactly once and fsynced. Time runs when everything is imported, until all is stored and closed.
A round whose counts are not the session's ends the benchmark with an error.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from bench_feeder import TICK_US, floor, subscribe, tickers
from rich.console import Console
from rich.table import Table

from kalshi_trio.exchange.desk import Desk
from kalshi_trio.journal.manifest import Manifest, read
from kalshi_trio.journal.reading import read_session

ROOT = Path(__file__).resolve().parent.parent
WORKER = str(ROOT / "scripts" / "bench_rebuild_worker.py")
SHARED = Path(os.environ.get("KALSHI_SHARED") or ROOT.parent / "shared" / "data")
LARGEST = SHARED / "nba_2026-03-13.ndjson.gz"
ROWS = {
    "loop": "json.loads + dict book",
    "rows": "read + decode + books + rows",
    "parquet": "… into Parquet",
    "clickhouse": "… into ClickHouse",
    "both": "… into both",
}
START_US = 1_795_543_200_000_000


class Run(NamedTuple):
    """One turn of one row."""

    frames: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self.frames / self.seconds


class Subject(NamedTuple):
    """What is measured: a data folder with one session in no store, and its frames as lines."""

    data: Path
    lines: Path
    manifest: Manifest
    what: str


def generated(path: Path, frames: int, markets: int = 50) -> Path:
    """A recording of generated markets, in envelopes."""
    names = tickers(markets)
    live, now_us = floor(names), START_US
    desk = Desk(live)
    made = [(now_us, frame) for frame in desk.command(subscribe(names))]
    while len(made) < frames:
        now_us += TICK_US
        made += [(now_us, frame) for frame in desk.events(live.advance(TICK_US, now_us))]
    with path.open("wb") as file:
        for us, frame in made[:frames]:
            file.write(b'{"recv_ns":%d,"conn":1,"frame":%s}\n' % (us * 1_000, frame.strip()))
    return path


def prepare(folder: Path, options: argparse.Namespace) -> Subject:
    """Imports the recording."""
    source = options.recording or (LARGEST if LARGEST.exists() else None)
    whole = source or generated(folder / "generated.jsonl", options.frames or 400_000)
    path = trimmed(whole, folder, options.frames) if options.frames else whole
    data = folder / "data"
    kalshi_trio(folder, "import", str(path), "--data-dir", str(data), "--no-parquet", "--no-clickhouse")
    (session,) = (data / "sessions").glob("SESSION_*")
    manifest = read(session)
    if manifest is None:
        raise SystemExit("the recording was not imported")
    lines, reads = folder / "frames.jsonl", 0
    with lines.open("wb") as file:
        for read_ in reads_of(session):
            file.writelines(frame.strip() + b"\n" for frame in read_)
            reads += 1
    frames = manifest.tally.received
    sizes = f"{lines.stat().st_size / frames:.0f} B a frame, {frames / reads:.1f} frames a read"
    return Subject(
        data, lines, manifest, f"{whole.name}: {frames:,} frames of {len(manifest.markets)} markets, {sizes}"
    )


def trimmed(path: Path, folder: Path, most: int) -> Path:
    """The first lines of a recording."""
    import pyarrow as pa  # noqa: PLC0415 -- for this alone

    with pa.input_stream(str(path), compression="detect") as file:
        found = bytearray()
        while found.count(b"\n") < most and (chunk := file.read(1 << 22)):
            found += chunk
    out = folder / f"{path.name.partition('.')[0]}_part.jsonl"
    out.write_bytes(b"".join(islice(bytes(found).splitlines(keepends=True), most)))
    return out


def reads_of(session: Path) -> Iterator[Sequence[bytes]]:
    """The frames in a journal, as they came."""
    for frames in read_session(session):
        yield from (records.data for records in frames.records if records.kind == "frame")


def kalshi_trio(folder: Path, *arguments: str) -> None:
    """Runs a command of ours; SystemExit if it fails."""
    command = [sys.executable, "-m", "kalshi_trio", *arguments, "--log-dir", str(folder / "logs")]
    done = subprocess.run(
        command, env=environment(), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{arguments[0]} ended with {done.returncode}:\n{done.stdout[-2000:]}")


def environment() -> dict[str, str]:
    """None of the user's settings."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT)}


def measure(row: str, subject: Subject, folder: Path, core: int) -> Run:
    """One row, once, on one core; SystemExit unless it counted what the session has."""
    own = folder / "round"
    shutil.copytree(subject.data / "sessions", own / "data" / "sessions")
    try:
        command = [sys.executable, WORKER, row, str(own), str(subject.lines), str(core)]
        done = subprocess.run(command, env=environment(), cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{row} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        said = json.loads(done.stdout.splitlines()[-1])
    finally:
        shutil.rmtree(own)
    check(row, said["counts"], subject.manifest)
    return Run(subject.manifest.tally.received, said["seconds"], said["cpu_seconds"])


def check(row: str, counts: dict[str, Any], manifest: Manifest) -> None:
    """The loop counts frames by their types, the others rows by their tables, once a store."""
    tally = manifest.tally
    made = {name: rows.made for name, rows in tally.rows.items()}
    expected: dict[str, Any] = {"loop": tally.by_type, "rows": made}.get(row, {})
    if not expected:
        expected = {store: made for store in ("parquet", "clickhouse") if row in (store, "both")}
    if counts != expected:
        raise SystemExit(f"{row}: counted {counts}, not {expected}")


def report(runs: dict[str, list[Run]], subject: Subject, console: Console) -> None:
    """The table."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="cyan")
    table.add_column("on one core", min_width=28)
    for name in ("frames/s", "least", "most", "CPU µs", "x loop"):
        table.add_column(name, justify="right")
    for row, done in runs.items():
        rates = [run.rate for run in done]
        cpu = statistics.median(run.cpu_seconds / run.frames * 1e6 for run in done)
        cells = [f"{rate:,.0f}" for rate in (statistics.median(rates), min(rates), max(rates))]
        table.add_row(ROWS[row], *cells, f"{cpu:.2f}", f"{statistics.median(ratios(runs, row)):.2f}")
    console.print(subject.what, soft_wrap=True)
    console.print(table)


def ratios(runs: dict[str, list[Run]], row: str) -> list[float]:
    """Round by round, since machines are not the same from one minute to the next."""
    return [ours.rate / loop.rate for ours, loop in zip(runs[row], runs["loop"], strict=True)]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recording", type=Path, help="a recording (default: the largest at hand, else generated)")
    parser.add_argument("--frames", type=int, help="only so many lines of it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--folder", type=Path, help="where all is written (default: that for temporary files)")
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the rounds and prints what came of them."""
    options, console = parse(arguments), Console(stderr=True)
    runs: dict[str, list[Run]] = {row: [] for row in ROWS}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        with console.status("importing"):
            subject = prepare(folder, options)
        for number in range(options.rounds):
            for row, done in runs.items():
                with console.status(f"round {number + 1} of {options.rounds}: {ROWS[row]}"):
                    done.append(measure(row, subject, folder, options.core))
                console.print(f"round {number + 1}: {ROWS[row]} {done[-1].rate:,.0f} frames/s")
    if options.json:
        every = {row: [run._asdict() | {"rate": run.rate} for run in done] for row, done in runs.items()}
        compared = {row: statistics.median(ratios(runs, row)) for row in runs}
        print(json.dumps({"subject": subject.what, "runs": every, "times_the_loop": compared}, indent=1))
    else:
        report(runs, subject, Console())


if __name__ == "__main__":
    main()
