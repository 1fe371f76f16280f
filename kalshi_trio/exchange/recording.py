"""Recordings that others made: JSON lines of frames, or of envelopes around them; plain or gzip."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Raw, Struct

from kalshi_trio.errors import UsageError
from kalshi_trio.exchange.desk import BOOKS, LIFECYCLE
from kalshi_trio.exchange.tally import kind_of, sid_of

_CHANNELS = {
    "orderbook_snapshot": BOOKS,
    "orderbook_delta": BOOKS,
    "event_lifecycle": LIFECYCLE,
    "event_fee_update": LIFECYCLE,
}
_CHANNEL = re.compile(rb'"channel"\s*:\s*"(\w+)"')
_STAMP = re.compile(rb'"ts_ms"\s*:\s*(\d+)')
_NOT_CHANNELS = ("ok", "error", "unsubscribed", "")


class Envelope(Struct):
    """A line that says when and on which connection a frame came; `recv_ns` 0 means unknown."""

    recv_ns: int = 0
    conn: int = 1
    event: str = ""
    frame: Raw = Raw()


class Line(NamedTuple):
    """One recorded frame, byte for byte; without a frame, the beginning of a connection."""

    connection: int
    recv_ns: int
    frame: bytes


def read_lines(path: Path) -> Iterator[Line]:
    """A recording's lines in order; UsageError names the line that is none. Other events beside frames are passed over."""
    decode = msgspec.json.Decoder(Envelope).decode
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not (text := line.rstrip(b"\r\n")).strip():
                    continue
                if b'"recv_ns"' not in text[:200] and b'"conn"' not in text[:200]:
                    yield Line(1, 0, text)
                    continue
                try:
                    envelope = decode(text)
                except msgspec.DecodeError as error:
                    raise UsageError(f"{path}, line {number}: {error}") from error
                if bytes(envelope.frame):
                    yield Line(envelope.conn, envelope.recv_ns, bytes(envelope.frame))
                elif envelope.event == "connected":
                    yield Line(envelope.conn, envelope.recv_ns, b"")
    except (OSError, EOFError) as error:
        raise UsageError(f"{path} cannot be read as a recording: {error}") from error


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
