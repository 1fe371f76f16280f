"""A process that writes a session into a real sink and may be killed at any moment: `sink_child.py KIND FOLDER SEED`.

KIND is `parquet`, `embedded` or the URL of a server. Prints `ready` once it has begun. The rows are the same in every
run; how they are cut into batches is not.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import trio
from clickhouse_http import PASSWORD, USER
from sink_fakes import Session
from sink_rows import SESSION, batch

from kalshi_trio.observe.stats import SinkStats
from kalshi_trio.protocol.schema import RowBatch
from kalshi_trio.sinks.base import Store
from kalshi_trio.sinks.gather import Limits
from kalshi_trio.tasks.writer import Sink, Source, run_writer
from kalshi_trio.thread import Door

LAST = 4000


def make_store(kind: str, folder: Path) -> Store:
    """The sink under test."""
    if kind == "parquet":
        from kalshi_trio.sinks.parquet import ParquetStore  # noqa: PLC0415  only what is tested is loaded

        return ParquetStore(folder)
    from kalshi_trio.sinks.clickhouse import ClickHouseStore, Embedded, Server  # noqa: PLC0415  as above

    return ClickHouseStore(Embedded(folder) if kind == "embedded" else Server(kind, USER, PASSWORD))


def all_batches() -> list[RowBatch]:
    """The session: the same rows in every process."""
    return [batch(lo, lo + 49) for lo in range(1, LAST, 50)]


async def main(kind: str, folder: Path, seed: int) -> None:
    """Writes what is missing, in batches of a size that the seed chooses."""

    async def durable(_frame: int) -> None:
        await trio.lowlevel.checkpoint()

    store, session, door = make_store(kind, folder), Session(all_batches(), gap=0.005), Door()
    limits = Limits(batch_rows=random.Random(seed).randrange(50, 300), flush_secs=2.0)  # noqa: S311  test data
    sink = Sink(store, door, limits, SinkStats(kind))
    async with trio.open_nursery() as nursery:
        await nursery.start(run_writer, sink, Source(SESSION, session.rows_after, durable))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
    await door.run(store.close)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
