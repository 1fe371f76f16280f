"""A recording as the exchange plays it: connection by connection, in memory."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kalshi_trio.exchange.desk import BOOKS, LIFECYCLE
from kalshi_trio.exchange.tally import kind_of, sid_of
from kalshi_trio.foreign import Line

_CHANNELS = {
    "orderbook_snapshot": BOOKS,
    "orderbook_delta": BOOKS,
    "event_lifecycle": LIFECYCLE,
    "event_fee_update": LIFECYCLE,
}
_CHANNEL = re.compile(rb'"channel"\s*:\s*"(\w+)"')
_STAMP = re.compile(rb'"ts_ms"\s*:\s*(\d+)')
_MARKET = re.compile(rb'"market_ticker"\s*:\s*"([A-Z0-9.-]+)"')
_NOT_CHANNELS = ("ok", "error", "unsubscribed", "")


class Recording:
    """A whole recording, by connection, in memory; a connection may have no frame at all."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self.connections: list[list[Line]] = []
        last = None
        for line in lines:
            if not line.frame or line.connection != last:
                self.connections.append([])
                last = line.connection
            if line.frame:
                self.connections[-1].append(line)

    def markets(self) -> tuple[str, ...]:
        """The tickers that the frames name, in the order of their first one."""
        named = (_MARKET.search(line.frame) for lines in self.connections for line in lines)
        return tuple(dict.fromkeys(found[1].decode() for found in named if found))

    def sids(self, number: int) -> dict[str, int]:
        """Channel → the sid that connection `number` (from 0) uses for it."""
        found: dict[str, int] = {}
        for line in self.connections[number]:
            kind, sid = kind_of(line.frame), sid_of(line.frame)
            if kind == "subscribed":
                named = _CHANNEL.search(line.frame)
                kind = named[1].decode() if named else ""
            if sid and kind not in _NOT_CHANNELS:
                found.setdefault(_CHANNELS.get(kind, kind), sid)
        return found


def stamp_ns(line: Line) -> int:
    """When the frame came, or when the exchange made it; 0 if the recording does not say."""
    if line.recv_ns:
        return line.recv_ns
    stamp = _STAMP.search(line.frame)
    return int(stamp[1]) * 1_000_000 if stamp else 0
