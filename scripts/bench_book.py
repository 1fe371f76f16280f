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
from typing import Any, NamedTuple

import numpy as np
from book_day import Day, Levels, Question
from rich.console import Console
from rich.table import Table

from kalshi_trio.history.book.books import SessionBooks
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
        costs = {"in one process": [ask(folder, question) for question in day.questions]}
        costs["as a command"] = [ask_command(folder, question) for question in day.questions[: asked.processes]]
        report = describe(folder, day, costs, asked)
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


class Cost(NamedTuple):
    """Seconds by the clock, and of processor time: where others use the machine too, the second is what it takes."""

    wall: float
    cpu: float


def ask(folder: Path, question: Question) -> Cost:
    """What the answer costs."""
    began, busy = time.perf_counter(), time.process_time()
    books = SessionBooks(folder)
    book = books.at(question.market, at(folder, books.last, Instant(question.ns)))
    cost = Cost(time.perf_counter() - began, time.process_time() - busy)
    no = {10_000 - price: size for price, size in book.asks}
    check(question, book.valid, {"yes": dict(book.bids), "no": no})
    return cost


def ask_command(folder: Path, question: Question) -> Cost:
    """The same for a process of its own."""
    command = [sys.executable, "-m", "kalshi_trio", "book", question.market, "--json"]
    command += ["--at", time_text(question.ns), "--session", str(folder)]
    began, busy = time.perf_counter(), children()
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    cost = Cost(time.perf_counter() - began, children() - busy)
    said = json.loads(done.stdout)
    yes = {units(price): units(size) // 100 for price, size in said["bids"]}
    no = {10_000 - units(price): units(size) // 100 for price, size in said["asks"]}
    check(question, said["valid"], {"yes": yes, "no": no})
    return cost


def children() -> float:
    """Processor seconds of all processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def units(text: str) -> int:
    """1/10,000 of an exact decimal."""
    whole, _, fraction = text.partition(".")
    return int(whole + fraction.ljust(4, "0"))


def check(question: Question, valid: bool, sides: Levels) -> None:  # noqa: FBT001  a fact, no option
    """SystemExit if that is not the generator's book."""
    if not valid or sides != question.sides:
        raise SystemExit(f"Wrong book of {question.market} at {time_text(question.ns)}")


def describe(folder: Path, day: Day, costs: dict[str, list[Cost]], asked: argparse.Namespace) -> dict[str, Any]:
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
        "seconds": {how: quantiles([cost.wall for cost in some]) for how, some in costs.items() if some},
        "processor_seconds": {how: quantiles([cost.cpu for cost in some]) for how, some in costs.items() if some},
    }


QUANTILES = {"p50": 50, "p95": 95, "max": 100}


def quantiles(some: list[float]) -> dict[str, float]:
    """And how many they are of."""
    return {"questions": len(some)} | {name: float(np.percentile(some, q)) for name, q in QUANTILES.items()}


def show(report: dict[str, Any]) -> None:
    """For people."""
    console = Console()
    share = report["checkpoint_bytes"] / report["journal_bytes"]
    console.print(
        f"{report['records']:,} records, {report['segments']} segments, {report['checkpoints']} checkpoints "
        f"({share:.1%} of the journal's {report['journal_bytes'] / 1e6:.0f} MB); seed {report['seed']}, "
        f"load {report['load']:.1f}"
    )
    table = Table("a book, asked", "times", *QUANTILES, *(f"cpu {name}" for name in QUANTILES), box=None)
    for how, found in report["seconds"].items():
        values = [times[name] for times in (found, report["processor_seconds"][how]) for name in QUANTILES]
        table.add_row(how, str(found["questions"]), *(f"{value * 1000:.0f} ms" for value in values))
    console.print(table)


if __name__ == "__main__":
    main()
