"""A process of its own that plays lines of a recording over loopback and records them: `recorded_child.py LINES DATA`.

A third argument names faults of the exchange: `{"2": "binary"}`, by the number of the frame.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path

import trio

from kalshi_trio.exchange.faults import Faults, Name
from kalshi_trio.exchange.player import Player
from kalshi_trio.exchange.recording import Recording
from kalshi_trio.exchange.server import Exchange, serve_tcp
from kalshi_trio.foreign import read_lines
from kalshi_trio.recording import record
from kalshi_trio.settings import Settings
from kalshi_trio.transport.endpoint import Endpoint


async def main(lines: Path, data: Path, faults: dict[int, Name]) -> None:
    recording = Recording(read_lines(lines))
    player = Player(recording)
    exchange = Exchange(player, faults=Faults(faults))
    async with trio.open_nursery() as nursery:
        url = await nursery.start(partial(serve_tcp, exchange, "127.0.0.1", 0))
        settings = Settings(
            markets=("A",),
            data_dir=data,
            log_dir=data / "logs",
            kalshi_ws_url=url,
            journal_segment_records=20_000,
        )
        nursery.start_soon(stop_when_received, player, exchange, data)
        await record(settings, lambda _: Endpoint(url), source="live")
        nursery.cancel_scope.cancel(reason="recorded")


async def stop_when_received(player: Player, exchange: Exchange, data: Path) -> None:
    """SIGTERM, as a user would, once the recorder says that it has all that was sent."""
    await player.done.wait()
    while True:
        sent = sum(exchange.tally.counts.values())
        status = json.loads((data / "status.json").read_text())  # noqa: ASYNC240  a line, in a test's own process
        if status["feed"]["received"] >= sent:
            break
        await trio.sleep(0.2)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    schedule = json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}
    trio.run(main, Path(sys.argv[1]), Path(sys.argv[2]), {int(at): name for at, name in schedule.items()})
