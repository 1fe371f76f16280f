"""How fast any book at any instant is found: `book MARKET --at TIME` over a generated day.

    python scripts/bench_book.py [--deltas 5000000] [--markets 50] [--questions 100] [--processes 30] [--seed 1]
                                 [--segment-minutes 15] [--folder DIR] [--json]

Writes the day's journal as the recorder would (50 markets, 58 deltas a second, segments of 15 minutes or a million
records; 0 minutes: of a million records), then asks for random markets at random instants: in one process, each question
anew (nothing is kept from the one before; the files are in the page cache), and as the whole command, from the start of
its process to its end. Each answer is compared with the book that the generator had; a wrong one ends the benchmark with
an error. `--folder` keeps the day.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from book_day import Day, Levels, Question
from rich.console import Console
from rich.table import Table

from kalshi_trio.history.books import SessionBooks
from kalshi_trio.history.times import Instant, at
from kalshi_trio.sealing import time_text

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Writes, asks, prints."""
    asked = arguments()
    with tempfile.TemporaryDirectory() as temporary:
        data = asked.folder or Path(temporary)
        folder = data / "sessions" / "SESSION_20261124_000000"
        day = Day(folder, asked.deltas, asked.markets, asked.questions, asked.seed, asked.segment_minutes)
        began = time.perf_counter()
        for records in day.write():
            print(f"\r{records:,} records written", end="", file=sys.stderr, flush=True)
        wrote = time.perf_counter() - began
        print(f"\r{day.records:,} records written in {wrote:.0f}s", file=sys.stderr)
        seconds = {"in one process": [ask(folder, question) for question in day.questions]}
        seconds["as a command"] = [ask_command(folder, question) for question in day.questions[: asked.processes]]
        report = describe(folder, day, seconds, asked)
    if asked.json:
        print(json.dumps(report, indent=1))
    else:
        show(report)


def arguments() -> argparse.Namespace:
    """As the module says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deltas", type=int, default=5_000_000)
    parser.add_argument("--markets", type=int, default=50)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--processes", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--segment-minutes", type=float, default=15.0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def ask(folder: Path, question: Question) -> float:
    """Seconds that the answer takes."""
    began = time.perf_counter()
    books = SessionBooks(folder)
    book = books.at(question.market, at(folder, books.last, Instant(question.ns)))
    seconds = time.perf_counter() - began
    no = {10_000 - price: size for price, size in book.asks}
    check(question, book.valid, {"yes": dict(book.bids), "no": no})
    return seconds


def ask_command(folder: Path, question: Question) -> float:
    """The same for a process of its own."""
    command = [sys.executable, "-m", "kalshi_trio", "book", question.market, "--json"]
    command += ["--at", time_text(question.ns), "--session", str(folder)]
    began = time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    seconds = time.perf_counter() - began
    said = json.loads(done.stdout)
    yes = {units(price): units(size) // 100 for price, size in said["bids"]}
    no = {10_000 - units(price): units(size) // 100 for price, size in said["asks"]}
    check(question, said["valid"], {"yes": yes, "no": no})
    return seconds


def units(text: str) -> int:
    """1/10,000 of an exact decimal."""
    whole, _, fraction = text.partition(".")
    return int(whole + fraction.ljust(4, "0"))


def check(question: Question, valid: bool, sides: Levels) -> None:  # noqa: FBT001  a fact, no option
    """SystemExit if that is not the generator's book."""
    if not valid or sides != question.sides:
        raise SystemExit(f"Wrong book of {question.market} at {time_text(question.ns)}")


def describe(folder: Path, day: Day, seconds: dict[str, list[float]], asked: argparse.Namespace) -> dict[str, Any]:
    """All that was measured."""
    sizes = {
        kind: sum(path.stat().st_size for path in folder.glob(f"*.{kind}"))
        for kind in ("arrows", "index", "checkpoint")
    }
    return {
        "seed": asked.seed,
        "records": day.records,
        "segments": len([*folder.glob("*.arrows")]),
        "checkpoints": len([*folder.glob("*.checkpoint")]),
        "journal_bytes": sizes["arrows"],
        "checkpoint_bytes": sizes["checkpoint"],
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "load": os.getloadavg()[0],
        "seconds": {
            how: {"questions": len(some)} | {name: float(np.percentile(some, q)) for name, q in QUANTILES.items()}
            for how, some in seconds.items()
            if some
        },
    }


QUANTILES = {"p50": 50, "p95": 95, "max": 100}


def show(report: dict[str, Any]) -> None:
    """For people."""
    console = Console()
    share = report["checkpoint_bytes"] / report["journal_bytes"]
    console.print(
        f"{report['records']:,} records, {report['segments']} segments, {report['checkpoints']} checkpoints "
        f"({share:.1%} of the journal's {report['journal_bytes'] / 1e6:.0f} MB); seed {report['seed']}, "
        f"load {report['load']:.1f}"
    )
    table = Table("a book at a random instant", "questions", *QUANTILES, box=None)
    for how, found in report["seconds"].items():
        table.add_row(how, str(found["questions"]), *(f"{found[name] * 1000:.0f} ms" for name in QUANTILES))
    console.print(table)


if __name__ == "__main__":
    main()
