"""One connected client, as a show sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio
from trio_websocket import WebSocketConnection

from kalshi_trio.exchange.faults import Faults, Name, Piece
from kalshi_trio.exchange.tally import Tally
from kalshi_trio.exchange.wire import BulkStream, encode

PIECE = 500
"""Frames a write, at most: some 130 kB."""
CLOSE_WITHIN = 2.0


class Client:
    """Commands come from here, frames go to there; a fault may happen to them on the way.

    After the client is gone, everything raises what trio-websocket or the stream says of that.
    """

    def __init__(
        self,
        number: int,
        websocket: WebSocketConnection,
        stream: BulkStream,
        tally: Tally,
        faults: Faults | None = None,
        heard: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.number = number
        self.dead: set[int] = set()
        """Sids that a fault ended: nothing more of them is sent."""
        self._websocket = websocket
        self._stream = stream
        self._tally = tally
        self._faults = faults
        self._heard = heard
        self._order = trio.Lock()

    async def command(self) -> str:
        """The next command of this client."""
        text = await self._websocket.get_message()
        text = text if isinstance(text, str) else text.decode(errors="replace")
        self._heard(text)
        return text

    async def send(self, frames: Sequence[bytes]) -> None:
        """Sends text frames in bulk, byte for byte: first come, first served."""
        async with self._order:
            for piece in self._faults.apply(frames, self.dead) if self._faults else (Piece(list(frames)),):
                await (self._do(piece.deed) if piece.deed else self._send(piece))

    async def _send(self, piece: Piece) -> None:
        for start in range(0, len(piece.frames), PIECE):
            part = piece.frames[start : start + PIECE]
            await self._stream.send_all(encode(part, piece.opcode))
            self._tally.add(self.number, part)

    async def _do(self, deed: Name) -> None:
        match deed:
            case "delay":
                await trio.sleep(self._faults.seconds if self._faults else 0)
            case "close_1001":
                await self.close(1001, "going away")
            case "cut":
                await self.cut()
            case _:
                self._stream.freeze()

    async def send_raw(self, data: bytes) -> None:
        """Sends bytes as they are, whether or not they are frames; they are not counted."""
        await self._stream.send_all(data)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Says goodbye and waits a little for the answer."""
        with trio.move_on_after(CLOSE_WITHIN):
            await self._websocket.aclose(code, reason)

    async def cut(self) -> None:
        """Hangs up without a word."""
        await trio.aclose_forcefully(self._stream)
