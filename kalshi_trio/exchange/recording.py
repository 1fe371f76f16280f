"""Recordings that others made: JSON lines of frames, or of envelopes around them; plain or gzip."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Raw, Struct

from kalshi_trio.errors import UsageError

_CHANNELS = {b"orderbook_snapshot": "orderbook_delta", b"orderbook_delta": "orderbook_delta"}
_KIND = re.compile(rb'"type"\s*:\s*"(\w+)"')
_SID = re.compile(rb'"sid"\s*:\s*(\d+)')
_STAMP = re.compile(rb'"ts_ms"\s*:\s*(\d+)')


class Envelope(Struct):
    """A line that says when and on which connection a frame came; `recv_ns` 0 means unknown."""

    recv_ns: int = 0
    conn: int = 1
    frame: Raw | None = None


class Line(NamedTuple):
    """One recorded frame, byte for byte."""

    connection: int
    recv_ns: int
    frame: bytes


def read_lines(path: Path) -> Iterator[Line]:
    """The frames of a recording in order; UsageError names the line that is none. Events beside frames are passed over."""
    decode = msgspec.json.Decoder(Envelope).decode
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            if b'"recv_ns"' not in line[:200] and b'"conn"' not in line[:200]:
                yield Line(1, 0, line.strip())
                continue
            try:
                envelope = decode(line)
            except msgspec.DecodeError as error:
                raise UsageError(f"{path}, line {number}: {error}") from error
            if envelope.frame is not None:
                yield Line(envelope.conn, envelope.recv_ns, bytes(envelope.frame))


class Recording:
    """A whole recording, by connection, in memory."""

    def __init__(self, lines: Iterator[Line] | list[Line]) -> None:
        self.connections: list[list[Line]] = []
        last = None
        for line in lines:
            if line.connection != last:
                self.connections.append([])
                last = line.connection
            self.connections[-1].append(line)

    def sids(self, number: int) -> dict[str, int]:
        """Channel → the sid that connection `number` (from 0) uses for it."""
        found: dict[str, int] = {}
        for line in self.connections[number]:
            kind, sid = _KIND.search(line.frame), _SID.search(line.frame)
            if kind is None or sid is None:
                continue
            if kind[1] == b"subscribed":
                channel = re.search(rb'"channel"\s*:\s*"(\w+)"', line.frame)
                name = channel[1].decode() if channel else ""
            else:
                name = _CHANNELS.get(kind[1], kind[1].decode())
            found.setdefault(name, int(sid[1]))
        return found


def stamp_ns(line: Line) -> int:
    """When the frame came, or when the exchange made it; 0 if the recording does not say."""
    if line.recv_ns:
        return line.recv_ns
    stamp = _STAMP.search(line.frame)
    return int(stamp[1]) * 1_000_000 if stamp else 0
