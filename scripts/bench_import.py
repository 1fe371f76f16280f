"""What an import costs: processor time a frame, of one recording, in pairs of two checkouts.

    .venv/bin/python scripts/bench_import.py RECORDING --against OTHER_CHECKOUT [--pairs 5]

Each run is a process of its own: the files are imported into a temporary folder without sinks. Pairs alternate which
side begins; given are the medians and the median of the pairs' ratios.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
CHILD = """
import io, sys, tempfile, time
from pathlib import Path
import trio
from kalshi_trio.history.imports.importing import import_files
from kalshi_trio.observe.terminal import Terminal
from kalshi_trio.settings import Settings

with tempfile.TemporaryDirectory() as folder:
    place = Path(folder)
    settings = Settings(data_dir=place / "data", log_dir=place / "logs", clickhouse=False, parquet=False)
    began = time.process_time()
    manifest = trio.run(import_files, settings, Terminal(file=io.StringIO()), [Path(sys.argv[1])], None)
    print(time.process_time() - began, manifest.tally.received)
"""


def run(checkout: Path, recording: Path) -> tuple[float, int]:
    """Microseconds of processor a frame, and how many frames."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    command = [sys.executable, "-c", CHILD, str(recording)]
    done = subprocess.run(command, env=environment, cwd=checkout, capture_output=True, text=True, check=True)
    seconds, frames = done.stdout.split()[-2:]
    return float(seconds) / int(frames) * 1e6, int(frames)


def main() -> None:
    """Prints a line a pair and the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", type=Path)
    parser.add_argument("--against", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    recording, sides = options.recording.resolve(), [options.against.resolve(), HERE]
    pairs: list[tuple[float, float]] = []
    for number in range(options.pairs):
        found = {side: run(side, recording) for side in (sides if number % 2 else reversed(sides))}
        (before, frames), (now, _) = found[sides[0]], found[sides[1]]
        pairs.append((before, now))
        print(f"{frames} frames: before {before:.1f}, now {now:.1f} us a frame, {now / before:.2f}x", flush=True)
    before, now = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(now / before for before, now in pairs)
    print(f"medians: before {before:.1f}, now {now:.1f} us a frame; ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
