"""How much faster the whole recorder is than a bare trio-websocket client.

    python scripts/bench.py [--frames 400000] [--rounds 3] [--markets 50] [--json] [--profile] [--transport tap|plain]

In each round a bare client that only counts, then the recorder as its users start it (journal with fsync, books, rows,
Parquet, embedded ClickHouse, a DEBUG line for each delta in two files) take the same prebuilt frames from a process of
their own. Time and processor time run from the first of these frames until the client's process has ended: with the
recorder, until every row is stored and everything is closed. A round in which anything was lost does not count: it
ends the benchmark with an error.
"""

from __future__ import annotations

import argparse
import json
import os
import pstats
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bench_feeder import tickers
from rich.console import Console
from rich.table import Table

from kalshi_trio.exchange.__main__ import write_key
from kalshi_trio.exchange.keys import make_key

ROOT = Path(__file__).resolve().parent.parent
FEEDER = str(ROOT / "scripts" / "bench_feeder.py")
TICKS = os.sysconf("SC_CLK_TCK")
LOOK_EVERY = 0.02
SPARE = 1.1
"""The feeder has so many times the frames that are asked for: replies and snapshots count, too."""


class Run(NamedTuple):
    """One client's turn; seconds from the first prebuilt frame on."""

    frames: int
    received_seconds: float
    seconds: float
    cpu_seconds: float
    threads: dict[str, float]

    @property
    def rate(self) -> float:
        """Messages a second, all work done."""
        return self.frames / self.seconds


class Feeder:
    """The process with the prebuilt frames."""

    def __init__(self, frames: int, markets: int) -> None:
        command = [sys.executable, FEEDER, "feed", str(int(frames * SPARE)), str(markets)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        ready = self.wait_for("ready")
        self.url, self.frame_bytes = str(ready["url"]), int(ready["frame_bytes"])

    def wait_for(self, event: str) -> dict[str, Any]:
        """The next line with this event; others are passed over."""
        for line in self._process.stdout or ():
            said: dict[str, Any] = json.loads(line)
            if said["event"] == event:
                return said
        raise SystemExit("the feeder died")

    def close(self) -> None:
        """Ends it."""
        self._process.terminate()
        self._process.wait()


def watch(feeder: Feeder, command: Sequence[str], environment: dict[str, str], folder: Path) -> Run:
    """Runs a client to its end; `frames` is left 0."""
    with (folder / "output.txt").open("wb") as output:
        client = subprocess.Popen(command, env=environment, cwd=folder, stdout=output, stderr=output)
        first = float(feeder.wait_for("first")["at"])
        spent, threads = _cpu(client.pid), _threads(client.pid)
        latest = threads
        while True:
            pid, status, usage = os.wait4(client.pid, os.WNOHANG)
            if pid:
                break
            latest = {**latest, **_threads(client.pid)}
            time.sleep(LOOK_EVERY)
    ended = time.monotonic()
    client.returncode = os.waitstatus_to_exitcode(status)
    if client.returncode:
        raise SystemExit(
            f"{command[1:4]} ended with {client.returncode}:\n{(folder / 'output.txt').read_text()[-2000:]}"
        )
    by_name: dict[str, float] = defaultdict(float)
    for thread, (name, seconds) in latest.items():
        by_name[name] += seconds - threads.get(thread, (name, 0.0))[1]
    gone = float(feeder.wait_for("gone")["at"])
    cpu = usage.ru_utime + usage.ru_stime - spent
    return Run(
        0, gone - first, ended - first, cpu, {name: round(used, 2) for name, used in by_name.items() if used > 0.01}
    )


def _cpu(pid: int) -> float:
    return sum(map(int, _stat(Path(f"/proc/{pid}/stat"))[11:13])) / TICKS


def _threads(pid: int) -> dict[str, tuple[str, float]]:
    """Thread → its name and the processor seconds it has used."""
    found = {}
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            name, used = (task / "comm").read_text().strip(), _stat(task / "stat")
        except OSError:  # it ended meanwhile
            continue
        found[task.name] = (name, sum(map(int, used[11:13])) / TICKS)
    return found


def _stat(path: Path) -> list[str]:
    return path.read_text().rpartition(")")[2].split()


def bare(feeder: Feeder, options: argparse.Namespace) -> Run:
    """The client that only counts."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, FEEDER, "count", feeder.url, str(options.frames), str(options.markets)]
        return watch(feeder, command, dict(os.environ), Path(folder))._replace(frames=options.frames)


def recorder(feeder: Feeder, options: argparse.Namespace, *python: str) -> Run:
    """The recorder with everything on; SystemExit unless everything was stored."""
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        command = [sys.executable, *python, "-m", "kalshi_trio", "record", "--frames", str(options.frames)]
        command += ["--kalshi-ws-url", feeder.url, "--transport", options.transport]
        command += ["--markets", ",".join(tickers(options.markets))]
        run = watch(feeder, command, _environment(folder), folder)
        return run._replace(frames=_check(folder / "data", options.frames))


def _environment(folder: Path) -> dict[str, str]:
    """A key of its own, and none of the user's settings."""
    write_key(make_key(), folder)
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    ours = {"PYTHONPATH": str(ROOT), "KALSHI_API_KEY_ID": "bench", "KALSHI_PRIVATE_KEY_PATH": str(folder / "key.pem")}
    return kept | ours


def _check(data: Path, frames: int) -> int:
    """How many frames were received, all of which must be in the journal and all their rows in both sinks."""
    (session,) = (data / "sessions").glob("SESSION_*")
    manifest = json.loads((session / "manifest.json").read_text())
    sinks = json.loads((session / "sinks.json").read_text())
    tally = manifest["tally"]
    made = {name: table["made"] for name, table in tally["rows"].items()}
    wrong = [f"verdict {manifest['verdict']}"] if manifest["verdict"] != "complete" else []
    wrong += (
        [f"{tally['received']} frames"]
        if tally["received"] != tally["journalled"] or tally["received"] < frames
        else []
    )
    for sink in ("parquet", "clickhouse"):
        stored = {name: table["stored"] for name, table in sinks[sink].items()}
        wrong += [f"{sink}: {stored} of {made}"] if stored != made else []
    if wrong:
        raise SystemExit("not everything was stored: " + "; ".join(wrong))
    return int(tally["received"])


@contextmanager
def profiled(feeder: Feeder, options: argparse.Namespace) -> Iterator[pstats.Stats]:
    """One more run of the recorder, its main thread under cProfile (which makes it some three times as slow)."""
    with tempfile.NamedTemporaryFile(suffix=".prof") as file:
        recorder(feeder, options, "-m", "cProfile", "-o", file.name)
        yield pstats.Stats(file.name)


def report(runs: dict[str, list[Run]], feeder: Feeder, console: Console) -> None:
    """The table."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="cyan")
    table.add_column(f"{feeder.frame_bytes} B a message", min_width=24)
    for name in ("messages/s", "least", "most", "received/s", "processor µs"):
        table.add_column(name, justify="right")
    for name, done in runs.items():
        rates, received, cpu = figures(done)
        cells = [f"{rate:,.0f}" for rate in (statistics.median(rates), min(rates), max(rates), received)]
        table.add_row(name, *cells, f"{cpu:.2f}")
    console.print(table)
    ratio = ratios(runs)
    middle = statistics.median(ratio)
    console.print(f"recorder / bare: {middle:.2f} ({min(ratio):.2f} to {max(ratio):.2f} in {len(ratio)} rounds)")
    split: dict[str, float] = defaultdict(float)
    for run in runs["recorder"]:
        for thread, used in run.threads.items():
            split[thread] += used / sum(run.threads.values()) / len(runs["recorder"])
    most = sorted(split.items(), key=lambda item: -item[1])[:9]
    console.print("recorder's processor time: " + ", ".join(f"{thread} {share:.0%}" for thread, share in most))


def figures(done: Sequence[Run]) -> tuple[list[float], float, float]:
    """Messages a second, messages received a second (median), processor µs a message (median)."""
    received = statistics.median(run.frames / run.received_seconds for run in done)
    return [run.rate for run in done], received, statistics.median(run.cpu_seconds / run.frames * 1e6 for run in done)


def ratios(runs: dict[str, list[Run]]) -> list[float]:
    """Round by round, since machines are not the same from one minute to the next."""
    return [ours.rate / base.rate for ours, base in zip(runs["recorder"], runs["bare"], strict=True)]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=400_000, help="messages a run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--markets", type=int, default=50)
    parser.add_argument("--transport", choices=("tap", "plain"), default="tap", help="the recorder's")
    parser.add_argument(
        "--folder", type=Path, help="where the recorder writes (default: the folder for temporary files)"
    )
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    parser.add_argument("--profile", action="store_true", help="say where the recorder's main thread spends its time")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the rounds and prints what came of them."""
    options, console = parse(arguments), Console(stderr=True)
    feeder = Feeder(options.frames, options.markets)
    clients: dict[str, Callable[[Feeder, argparse.Namespace], Run]] = {"bare": bare, "recorder": recorder}
    runs: dict[str, list[Run]] = {name: [] for name in clients}
    try:
        for number in range(options.rounds):
            for name, client in clients.items():
                runs[name].append(client(feeder, options))
                console.print(f"round {number + 1}: {name} {runs[name][-1].rate:,.0f} messages/s")
        if options.json:
            every = {name: [run._asdict() | {"rate": run.rate} for run in done] for name, done in runs.items()}
            print(json.dumps({"frame_bytes": feeder.frame_bytes, "runs": every, "ratios": ratios(runs)}, indent=1))
        else:
            report(runs, feeder, Console())
        if options.profile:
            with profiled(feeder, options) as stats:
                stats.sort_stats("tottime").print_stats(30)
    finally:
        feeder.close()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
