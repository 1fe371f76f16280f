"""A recording as a show: its frames byte for byte, one recorded connection a client connection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import trio

from kalshi_trio.exchange.canned import CannedDesk
from kalshi_trio.exchange.client import Client
from kalshi_trio.exchange.market import Book
from kalshi_trio.exchange.recording import Recording, stamp_ns
from kalshi_trio.exchange.shown import ShownBooks
from kalshi_trio.foreign import Line

PIECE = 200
LONGEST_SILENCE = 5.0
"""Seconds: longer silences of a recording are played shorter."""


class Player:
    """Plays to one client at a time. `speed` None: as fast as it is taken. `done` is set when all was sent.

    `hold`: the last connection stays until the client goes; else it is closed with 1000 after the last frame.
    """

    def __init__(self, recording: Recording, speed: float | None = None, *, hold: bool = True) -> None:
        self._recording = recording
        self._speed = speed
        self._hold = hold
        self._next = 0
        self._shown = ShownBooks()
        self.done = trio.Event()

    def book(self, ticker: str) -> Book | None:
        """The market's book as the frames sent so far show it, None before its first snapshot."""
        return self._shown.book(ticker)

    async def play(self, client: Client) -> None:
        """The next recorded connection, once the client has subscribed; after the last one, only answers."""
        number, self._next = self._next, self._next + 1
        last = number + 1 >= len(self._recording.connections)
        lines = self._recording.connections[number] if number < len(self._recording.connections) else []
        desk = CannedDesk(self._recording.sids(number) if lines else {})
        self._shown.begin()
        if lines:
            await client.send(desk.command(await client.command()))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, desk, client)
            for pause, piece in _pieces(lines, self._speed):
                await trio.sleep(pause)
                frames = [line.frame for line in piece]
                await client.send(frames)
                self._shown.sent(frames)
            if last:
                self.done.set()
            if not (last and self._hold):
                nursery.cancel_scope.cancel(reason="the recorded connection ended here")

    async def _listen(self, desk: CannedDesk, client: Client) -> None:
        while True:
            await client.send(desk.command(await client.command()))


def _pieces(lines: Sequence[Line], speed: float | None) -> Iterator[tuple[float, Sequence[Line]]]:
    """Lines that are to be sent together, and how long to wait before them."""
    if speed is None:
        for start in range(0, len(lines), PIECE):
            yield 0.0, lines[start : start + PIECE]
        return
    at = 0
    for line in lines:
        stamp = stamp_ns(line) or at
        yield min(LONGEST_SILENCE, max(0, stamp - (at or stamp)) / 1e9) / speed, (line,)
        at = max(at, stamp)
