"""The frame tap: a stream beneath trio-websocket that takes whole data frames out before it sees them.

trio-websocket costs 57 µs a message, mostly since it hands over one a turn of the event loop. It stays in charge of the
connection (handshake, commands, ping, pong, close); what wsproto need not judge is handed over here, a read at a time.
"""

from __future__ import annotations

import trio

from kalshi_trio.errors import FeedLost
from kalshi_trio.transport.held import STALL_SECONDS, Held
from kalshi_trio.transport.seam import MAX_MESSAGE, Arrival, Clock, LastReceived
from kalshi_trio.transport.splitter import Splitter

READ_BYTES = 256 << 10
_LARGEST_HEAD = 64 << 10


class FrameTap(trio.abc.Stream):
    """Wraps the client's side of a stream, from before the handshake. Data frames go to `held`, all else goes up.

    Reading stops while `held` is full. When it stays full for 5 seconds the connection is given up: `held` ends with a
    FeedLost of cause `stall`, and the stream is cut.
    """

    def __init__(self, stream: trio.abc.Stream, held: Held, clock: Clock) -> None:
        self._stream = stream
        self._held = held
        self._clock = clock
        self._splitter = Splitter(MAX_MESSAGE)
        self._head = b""
        self._opened = False
        self._upgraded = False
        self._above = False
        self._returned = trio.Event()
        self.last_received = LastReceived()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:  # noqa: ARG002 -- wsproto takes any amount
        """The next bytes for wsproto to judge (more than `max_bytes`, perhaps), empty at the end.

        An end before the handshake's is FeedLost: trio-websocket would wait on.
        """
        up = b""
        while not up:
            if self._splitter.waiting:
                await self._until_returned()
                frames, up = self._splitter.resume()
            else:
                if not await self._held.room():
                    await self._give_up()
                data = await self._stream.receive_some(READ_BYTES)
                if not data:
                    if not self._upgraded:
                        raise FeedLost("the exchange hung up during the handshake")
                    return b""
                self.last_received.stamp(self._clock)
                frames, up = self._splitter.split(bytes(data)) if self._opened else self._open(bytes(data))
            if frames:
                self._put(frames)
            self._above = self._splitter.waiting
        return up

    def _open(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Lets the answer to the handshake pass, up to the empty line behind which frames begin."""
        before = len(self._head)
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            self._splitter.broken = self._opened = len(self._head) > _LARGEST_HEAD
            return [], data
        end += 4
        self._opened = True
        # A refusal has a body, and no frames.
        self._upgraded = self._head.split(b" ", 2)[1:2] == [b"101"]
        self._splitter.broken = not self._upgraded
        frames, up = self._splitter.split(data[end - before :]) if end < len(self._head) else ([], b"")
        self._head = b""
        return frames, data[: end - before] + up

    def hand_back(self, message: bytes) -> None:
        """A message that went up has come out of trio-websocket: its place is here; what waited behind it follows."""
        self._put([message])
        self.let_go()

    def _put(self, frames: list[bytes]) -> None:
        self._held.put(Arrival(self.last_received.wall_ns, self.last_received.mono_ns, frames))

    def let_go(self) -> None:
        """Nothing is above any more."""
        self._above = False
        self._returned.set()

    async def _until_returned(self) -> None:
        """It comes at once, or never: then trio-websocket has dropped it and is ending, so all else is for it to see."""
        with trio.move_on_after(STALL_SECONDS):
            while self._above:
                self._returned = trio.Event()
                await self._returned.wait()
        self._splitter.broken = self._above

    async def _give_up(self) -> None:
        why = f"nobody took the frames for {STALL_SECONDS:g}s"
        self._held.end(FeedLost(why, cause="stall"))
        await trio.aclose_forcefully(self._stream)
        raise trio.BrokenResourceError(why)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """As the stream beneath."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """As the stream beneath."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """As the stream beneath."""
        await self._stream.aclose()
