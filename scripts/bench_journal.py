"""The journal's cost, side by side with another checkout: bytes, µs a frame, and how soon a frame is on disk.

    python scripts/bench_journal.py [--against CHECKOUT] [--frames 40000] [--seconds 6] [--rounds 3]

Writes frames in batches of 12 and of 50, scans the open segment, rewrites it; then takes 1,000 frames a second with the
default settings and says how long each waited for its fsync (ms) and the share of a core beside a loop that takes none.
Rounds take turns, each in a process of its own; the medians are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import trio

ROOT = Path(__file__).resolve().parent.parent
RATE = 1_000
_FRAME = (
    '{"type":"orderbook_delta","sid":2,"seq":%d,"msg":{"market_ticker":"KXTEST-26NOV24-%02d","market_id":'
    '"9b0f6b43-5b68-4f9f-9f02-9a2d1b8ac1a1","price_dollars":"0.%04d","delta_fp":"%d.00","side":"%s",'
    '"ts":"2026-11-24T05:01:02.%06dZ"}}'
)


def frames(count: int) -> list[bytes]:
    """The same for everybody."""
    chance = random.Random(1)  # noqa: S311  test data
    return [
        (
            _FRAME
            % (
                *(n, chance.randrange(30), chance.randrange(10_000), chance.randrange(-500, 500)),
                *(chance.choice(("yes", "no")), chance.randrange(10**6)),
            )
        ).encode()
        for n in range(count)
    ]


def measure(count: int, seconds: float) -> dict[str, float]:
    """In this process, with whatever checkout is on its path."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in (12, 50):
            found |= {
                f"{name}, batches of {size}": one for name, one in _written(Path(folder) / str(size), count, size)
            }
        found |= trio.run(_live, Path(folder) / "live", seconds)
    return found


def _written(folder: Path, count: int, size: int) -> Iterator[tuple[str, float]]:
    from kalshi_trio.journal import batches  # noqa: PLC0415  of the checkout that is asked for
    from kalshi_trio.journal.disk import Disk, rewrite  # noqa: PLC0415
    from kalshi_trio.protocol.records import Records  # noqa: PLC0415

    some = frames(count)
    disk = Disk(folder, {"format": "1", "session": "s", "software": "0"})
    disk.open()
    began = time.process_time()
    for at in range(0, count, size):
        disk.write([(1, Records(at + 1, "frame", 1, 10**18 + at, at, some[at : at + size]))])
    yield "append µs a frame", (time.process_time() - began) / count * 1e6
    path = folder / "000001.arrows"
    yield "open segment B a frame", path.stat().st_size / count
    began = time.process_time()
    if hasattr(batches, "scan_file"):
        batches.scan_file(path)
    else:
        with path.open("rb") as file:
            getattr(batches, "scan")(file)  # noqa: B009  as it was once
    yield "scan µs a batch", (time.process_time() - began) / (count / size) * 1e6
    disk.end()
    began = time.process_time()
    closed = rewrite(path, disk.metadata)
    yield "rewrite µs a frame", (time.process_time() - began) / count * 1e6
    yield "sealed B a frame", closed.bytes / count


async def _live(folder: Path, seconds: float) -> dict[str, float]:
    from kalshi_trio.journal.writer import Journal  # noqa: PLC0415
    from kalshi_trio.protocol.records import Records  # noqa: PLC0415

    some, waited = frames(int(seconds * RATE)), list[float]()
    journal = Journal(folder, "s", "0")

    def durable(records: Records) -> None:
        waited.extend([(time.monotonic_ns() - records.mono_ns) / 1e6] * len(records.data))

    async def feed(*, take: bool) -> float:
        began, start = time.process_time(), trio.current_time()
        for number, one in enumerate(some):
            await trio.sleep_until(start + number / RATE)
            if take:
                now = time.monotonic_ns()
                journal.append("frame", 1, now, now, [one])
        return (time.process_time() - began) / (trio.current_time() - start) * 100

    idle = await feed(take=False)
    journal.watch = durable
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        busy = await feed(take=True)
        journal.close()
    cuts = statistics.quantiles(waited, n=100)
    return {
        "receive to durable p50 ms": cuts[49],
        "receive to durable p99 ms": cuts[98],
        "% of a core at 1,000 a second": busy - idle,
        "as it was written, B a frame": journal.disk.closed[0].bytes / len(some),
    }


def main() -> None:
    """Measures, prints a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--against", type=Path)
    parser.add_argument("--frames", type=int, default=40_000)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        print(json.dumps(measure(asked.frames, asked.seconds)))
        return
    roots = {"this": ROOT} | ({"the other": asked.against} if asked.against else {})
    found: dict[str, list[dict[str, float]]] = {name: [] for name in roots}
    for _ in range(asked.rounds):
        for name, root in roots.items():
            command = [sys.executable, __file__, "--worker", "--frames", str(asked.frames)]
            done = subprocess.run(
                [*command, "--seconds", str(asked.seconds)],
                env=os.environ | {"PYTHONPATH": str(root)},
                capture_output=True,
                text=True,
                check=True,
            )
            found[name].append(json.loads(done.stdout))
    print(f"{'':36}" + "".join(f"{name:>12}" for name in roots))
    for key in found["this"][0]:
        values = [statistics.median(one[key] for one in found[name]) for name in roots]
        print(f"{key:36}" + "".join(f"{value:12.2f}" for value in values))


if __name__ == "__main__":
    main()
