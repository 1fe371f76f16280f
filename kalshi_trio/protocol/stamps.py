"""The exchange's time of a frame, read from the frame alone: the same that its row has in `ts_event`."""

from __future__ import annotations

from kalshi_trio.errors import WireError
from kalshi_trio.protocol import messages as m
from kalshi_trio.protocol.census import Census
from kalshi_trio.protocol.decoder import BAD, Decoder
from kalshi_trio.protocol.numbers import NULL
from kalshi_trio.protocol.values import Values


class Stamps:
    """Reads frames of one session."""

    def __init__(self) -> None:
        self._decoder = Decoder(Census())
        self._values = Values()

    def us(self, frame: bytes) -> int:
        """Microseconds since 1970 (UTC); NULL where the frame has no time, or cannot be read."""
        try:
            return self._us(frame)
        except (*BAD, WireError):
            return NULL

    def _us(self, frame: bytes) -> int:
        try:
            message: object = self._decoder.decode(frame)
        except BAD:
            message = self._decoder.odd(frame)
        match message:
            case m.DeltaFrame(msg=delta):
                exact = self._values.times.us(delta.ts) if delta.ts else 0
                return exact or self._values.milliseconds(delta.ts_ms)
            case m.TradeFrame(msg=msg) | m.TickerFrame(msg=msg):
                return self._values.milliseconds(msg.ts_ms, msg.ts)
        return NULL
