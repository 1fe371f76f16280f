"""A process that journals as fast as it can until it is killed, and prints each record that it may call durable."""

from __future__ import annotations

import sys
from pathlib import Path

import trio

from kalshi_trio.journal import manifest
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.journal.writer import Journal, Limits


def told(number: int) -> bytes:
    """What record `number` holds."""
    return b'{"n":%d,"pad":"%s"}' % (number, b"x" * (number % 97))


async def write(folder: Path) -> None:
    manifest.write(folder / "manifest.json", Manifest("s", folder.name, "live", "0", ""))
    journal = Journal(folder, "s", "0", limits=Limits(flush_seconds=0.001, segment_records=1_500))
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        while True:
            first = journal.last_frame + 1
            journal.append("frame", 1, first, first, [told(n) for n in range(first, first + 37)])
            await journal.room()
            print(journal.durable_frame, flush=True)  # noqa: T201 -- what the test reads


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True)
    trio.run(write, Path(sys.argv[1]))
