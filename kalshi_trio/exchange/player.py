"""A recording as a show: its frames byte for byte, one recorded connection a client connection."""

from __future__ import annotations

import json

import trio

from kalshi_trio.exchange.recording import Recording, stamp_ns
from kalshi_trio.exchange.server import Client

PIECE = 200
FREE_SID = 900
"""Channels that the recording does not have get sids from here on."""


class Player:
    """Plays to one client at a time. `speed` None: as fast as it is taken. `done` is set when all was sent."""

    def __init__(self, recording: Recording, speed: float | None = None) -> None:
        self._recording = recording
        self._speed = speed
        self._next = 0
        self.done = trio.Event()

    async def play(self, client: Client) -> None:
        """The next recorded connection; hangs up at its end, but stays after the last one until the client goes."""
        connections = self._recording.connections
        if self._next >= len(connections):
            await self._answer(client, {})
        number, self._next = self._next, self._next + 1
        sids = self._recording.sids(number)
        await self._reply(client, await client.command(), sids)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._answer, client, sids)
            await self._send(client, number)
            if self._next < len(connections):
                nursery.cancel_scope.cancel(reason="the recorded connection ended here")
            else:
                self.done.set()

    async def _send(self, client: Client, number: int) -> None:
        lines = self._recording.connections[number]
        at_ns = 0
        for start in range(0, len(lines), PIECE if self._speed is None else 1):
            piece = lines[start : start + (PIECE if self._speed is None else 1)]
            stamp = stamp_ns(piece[0])
            if self._speed and stamp:
                await trio.sleep(min(5.0, max(0, stamp - (at_ns or stamp)) / 1e9 / self._speed))
                at_ns = stamp
            await client.send([line.frame for line in piece])

    async def _answer(self, client: Client, sids: dict[str, int]) -> None:
        while True:
            await self._reply(client, await client.command(), sids)

    async def _reply(self, client: Client, text: str, sids: dict[str, int]) -> None:
        """Our own replies carry no `seq`; books at any instant but the recorded ones are unknown, so they are refused."""
        command = json.loads(text)
        number, params = command.get("id", 0), command.get("params", {})
        if command.get("cmd") != "subscribe":
            said = {"code": 1, "msg": "A recording is being played: it has no other answers"}
            await client.send([_json({"type": "error", "id": number, "msg": said})])
            return
        for place, channel in enumerate(params.get("channels", ())):
            sid = sids.setdefault(channel, FREE_SID + len(sids) + place)
            await client.send([_json({"type": "subscribed", "id": number, "msg": {"channel": channel, "sid": sid}})])


def _json(thing: dict[str, object]) -> bytes:
    return json.dumps(thing, separators=(",", ":")).encode() + b"\n"
