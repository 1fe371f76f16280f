"""The past as the simulated exchange's show: one playhead for all clients, which stands still while nobody listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import trio

from kalshi_trio.exchange.client import Client
from kalshi_trio.exchange.outbox import Outbox
from kalshi_trio.exchange.past import Past, PastEvent
from kalshi_trio.exchange.past_desk import PastDesk
from kalshi_trio.exchange.rules import Rules
from kalshi_trio.history.replay.pacing import Pace
from kalshi_trio.journal.reading import Hole
from kalshi_trio.journal.window import Frames
from kalshi_trio.protocol.records import Records
from kalshi_trio.thread import Door

OUTBOX_BYTES = 4 << 20
SLICE = 200
"""Records between two looks at the event loop: some 3 ms."""


class PastShow:
    """Clients may come and go; whoever comes later gets the books as they stand at the playhead.

    The playhead waits for the slowest of them: nothing of the past is lost to anybody. After the last record, `over` is
    set, and clients are still answered.
    """

    def __init__(self, past: Past, rules: Rules) -> None:
        self._past, self._rules = past, rules
        self._seats: list[tuple[PastDesk, Outbox]] = []
        self._heard = trio.Event()
        self.over = trio.Event()

    async def play(self, client: Client) -> None:
        """Serves one client until it goes."""
        seat = desk, outbox = PastDesk(self._past, self._rules), Outbox(OUTBOX_BYTES)
        self._seats.append(seat)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen, desk, outbox, client)
                while True:
                    await client.send(await outbox.take())
        finally:
            self._seats.remove(seat)
            outbox.give_up()

    async def _listen(self, desk: PastDesk, outbox: Outbox, client: Client) -> None:
        while True:
            await outbox.room()
            outbox.put(desk.command(await client.command()))
            self._heard.set()
            self._heard = trio.Event()

    async def run(self, found: Iterator[Frames | Hole], pace: Pace, played: Callable[[int], None]) -> None:
        """Moves the playhead over these records, read in a thread. `played` is told of the last one, again and again."""
        door = Door()
        while (some := await door.run(next, found, None)) is not None:
            parts = pace.parts(some)
            while True:
                await self._wait_for_listeners(pace)
                part = next(parts, None)
                if part is None:
                    break
                await pace.wait(part[0])
                for piece in _slices(part[1]):
                    await self._room()
                    self._tell(self._past.lost(piece) if isinstance(piece, int) else self._past.take(piece))
                played(self._past.frame)
        self.over.set()

    async def _wait_for_listeners(self, pace: Pace) -> None:
        since = trio.current_time()
        while not any(desk.listens for desk, _ in self._seats):
            await self._heard.wait()
        pace.pause(trio.current_time() - since)

    async def _room(self) -> None:
        await trio.lowlevel.checkpoint()
        for _, outbox in tuple(self._seats):
            await outbox.room()

    def _tell(self, events: list[PastEvent]) -> None:
        for desk, outbox in self._seats:
            outbox.put(desk.hear(events))


def _slices(part: Frames | Hole) -> Iterator[Records | int]:
    """The records, some at a time; of a hole its last one."""
    if isinstance(part, Hole):
        yield part.last
        return
    for records in part.records:
        for at in range(0, len(records.data), SLICE):
            yield records._replace(first=records.first + at, data=records.data[at : at + SLICE])
