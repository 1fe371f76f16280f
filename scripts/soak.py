"""Twenty minutes at 3,000 messages a second: how much memory the whole recorder takes, and what it warns of.

    python scripts/soak.py [--minutes 20] [--rate 3000] [--markets 50] [--no-clickhouse] [--bursts] [--json]

The simulated exchange and the recorder, as its users start it, are processes of their own. Every 5 seconds the recorder's
resident memory is read (`anonymous`: its own, without what is mapped from files, which the kernel takes back when it
wants). At the end: the curve, its slope from the tenth minute on (of a shorter run, its second half), every kind of
warning with how often it came, and the tally. `--no-clickhouse` tells the embedded engine's share. With `--bursts` the rate is
a mean, as busy and as quiet as the real exchange; without, it is steady.

Exit code 1 where the recorder failed, lost something, warned ten times or grew by more than 1 MB a minute.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
EVERY = 5.0
MOST_WARNINGS = 10
MOST_GROWTH = 1.0
"""MB a minute."""
GRACE = 120.0
"""Seconds that the recorder may take for its start and its end, beside what it is asked for."""


class Sample(NamedTuple):
    """The recorder at a moment: seconds since its start, and kB."""

    seconds: float
    resident: int
    anonymous: int
    received: int


class Soak(NamedTuple):
    """What a run came to."""

    samples: list[Sample]
    warnings: Counter[str]
    tally: str
    frames_a_second: float
    code: int


@contextmanager
def exchange(options: argparse.Namespace) -> Iterator[dict[str, str]]:
    """The simulated exchange; yields what it says a recorder's environment must be."""
    tickers = ",".join(f"KXSOAK-26NOV24-T{number:03}" for number in range(options.markets))
    command = [sys.executable, "-m", "kalshi_trio.exchange", "--port", "0", "--rate", str(options.rate)]
    command += ["--markets", tickers, *([] if options.bursts else ["--steady"])]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        settings: dict[str, str] = {}
        for line in process.stdout or ():
            name, _, value = line.strip().removeprefix("export ").partition("=")
            settings[name] = value
            if name == "MARKETS":
                break
        yield settings
    finally:
        process.terminate()
        process.wait()


def run(options: argparse.Namespace, folder: Path) -> Soak:
    """One recording, watched to its end."""
    with exchange(options) as settings:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        command = [sys.executable, "-m", "kalshi_trio", "record", "--seconds", str(options.minutes * 60)]
        command += [] if options.clickhouse else ["--no-clickhouse"]
        with (folder / "output.txt").open("wb") as output:
            environment = {**kept, **settings, "PYTHONPATH": str(ROOT)}
            recorder = subprocess.Popen(command, env=environment, cwd=folder, stdout=output, stderr=output)
            try:
                samples = list(_watch(recorder, folder / "data", options))
            finally:
                recorder.kill()
                code = recorder.wait()
    tally, seconds = _tally(folder)
    return Soak(samples, _warnings(folder / "logs"), tally, seconds, code)


def _watch(recorder: subprocess.Popen[bytes], data: Path, options: argparse.Namespace) -> Iterator[Sample]:
    began = time.monotonic()
    while recorder.poll() is None and time.monotonic() - began < options.minutes * 60 + GRACE:
        status = _status(recorder.pid)
        if status:
            sample = Sample(time.monotonic() - began, status["VmRSS"], status["RssAnon"], _received(data))
            yield sample
            if not options.json:
                print(f"{sample.seconds:7.0f} s {sample.resident / 1000:8.1f} MB", file=sys.stderr)
        with suppress(subprocess.TimeoutExpired):
            recorder.wait(EVERY)


def _status(pid: int) -> dict[str, int]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it ended meanwhile
        return {}
    found = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines) if " kB" in rest}
    return found if "VmRSS" in found else {}


def _received(data: Path) -> int:
    try:
        return int(json.loads((data / "status.json").read_text())["feed"]["received"])
    except (OSError, ValueError, KeyError):
        return 0


def _warnings(logs: Path) -> Counter[str]:
    """Warnings and errors of the session, by their text without its numbers."""
    kinds: Counter[str] = Counter()
    for path in logs.glob("EVENTS_*.log*"):
        for line in path.read_text().splitlines():
            parts = line.split(" | ", 3)
            if len(parts) == 4 and parts[2].strip() in ("WARNING", "ERROR", "CRITICAL"):
                kinds[re.sub(r"[\d.,]+", "N", parts[3])] += 1
    return kinds


def _tally(folder: Path) -> tuple[str, float]:
    """The manifest's numbers in a line, and the frames a second."""
    for path in (folder / "data" / "sessions").glob("SESSION_*/manifest.json"):
        manifest: dict[str, Any] = json.loads(path.read_text())
        tally = manifest["tally"]
        made = {name: table["made"] for name, table in tally["rows"].items()}
        sinks = json.loads((path.parent / "sinks.json").read_text())
        held = {name: tables for name, tables in sinks.items() if isinstance(tables, dict)}
        pending = {name: sum(row["pending"] for row in tables.values()) for name, tables in held.items()}
        text = f"received {tally['received']:,} = journalled {tally['journalled']:,}, refused {tally['refused']:,}, "
        text += (
            f"{sum(made.values()):,} rows, pending {pending}, gaps {manifest['gaps']}, verdict {manifest['verdict']}"
        )
        return text, tally["received"] / float(manifest["settings"]["seconds"])
    return "no session", 0.0


def slope(samples: Sequence[Sample], minutes: float) -> float:
    """MB a minute by least squares, from the tenth minute on or over the second half, while frames came."""
    last = max((sample.received for sample in samples), default=0)
    begin = min(600.0, minutes * 30)
    chosen = [s for s in samples if s.seconds >= begin and s.seconds <= minutes * 60 and 0 < s.received <= last]
    if len(chosen) < 3:
        return float("nan")
    x = [sample.seconds / 60 for sample in chosen]
    y = [sample.resident / 1000 for sample in chosen]
    mx, my = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True)) / sum((a - mx) ** 2 for a in x)


def curve(samples: Sequence[Sample], columns: int = 60) -> str:
    """The memory as text, about a line a minute at twenty minutes."""
    most = max(sample.resident for sample in samples)
    step = max(len(samples) // 24, 1)
    lines = []
    for sample in samples[::step]:
        bar = "#" * round(columns * sample.resident / most)
        lines.append(
            f"{sample.seconds / 60:5.1f} min {sample.resident / 1000:7.1f} MB (anonymous {sample.anonymous / 1000:7.1f})"
            f" {sample.received:10,} frames {bar}"
        )
    return "\n".join(lines)


def failures(soak: Soak, minutes: float) -> list[str]:
    """What is not as it must be."""
    wrong = [f"the recorder ended with {soak.code}"] if soak.code else []
    if (count := soak.warnings.total()) >= MOST_WARNINGS:
        wrong.append(f"{count} warnings")
    if not slope(soak.samples, minutes) <= MOST_GROWTH:
        wrong.append(f"it grows by {slope(soak.samples, minutes):.2f} MB a minute")
    return wrong


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=3000.0, help="changes a second over all markets")
    parser.add_argument("--markets", type=int, default=50)
    parser.add_argument("--no-clickhouse", dest="clickhouse", action="store_false", help="without the embedded engine")
    parser.add_argument("--bursts", action="store_true", help="the rate is a mean of busy and quiet spells")
    parser.add_argument("--folder", type=Path, help="where the recorder writes (default: among temporary files)")
    parser.add_argument("--json", action="store_true", help="print all samples as JSON")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs it and prints what came of it."""
    options = parse(arguments)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        soak = run(options, Path(name))
        output = (Path(name) / "output.txt").read_text()
    wrong = failures(soak, options.minutes)
    if soak.code:
        print(output[-3000:], file=sys.stderr)
    if options.json:
        print(json.dumps({**soak._asdict(), "slope": slope(soak.samples, options.minutes), "wrong": wrong}, indent=1))
    else:
        print(curve(soak.samples))
        print(
            f"slope {slope(soak.samples, options.minutes):+.2f} MB a minute; {soak.frames_a_second:,.0f} frames a second"
        )
        print(f"tally: {soak.tally}")
        print(f"{soak.warnings.total()} warnings and errors")
        for text, count in soak.warnings.most_common(20):
            print(f"{count:6} {text[:140]}")
        print("; ".join(wrong) or "as it must be")
    return 1 if wrong else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
