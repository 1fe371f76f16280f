"""Recordings that others made, line by line: websocket frames, or envelopes around them; plain, gz, zst or bz2.

A *frame* is the websocket's text itself. An *envelope* says more: `{"recv_ns": …, "conn": …, "frame": {…}}`, or
`{"conn": …, "event": "connected"}` where a connection begins; other events are passed over. `recv_ns` 0 or none: not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa
from msgspec import Raw, Struct

from kalshi_trio.errors import UsageError

LONGEST = 64 << 20
"""Bytes of a line: nothing that a websocket brought is longer."""
_MARKS = (b'"recv_ns"', b'"conn"', b'"frame"')
_CHUNK = 1 << 20


class Envelope(Struct):
    """A line that says when and on which connection a frame came."""

    recv_ns: int = 0
    conn: int = 1
    event: str = ""
    frame: Raw = Raw()


class Line(NamedTuple):
    """One recorded frame, byte for byte; without a frame, the beginning of a connection."""

    connection: int
    recv_ns: int
    frame: bytes
    number: int = 0
    """Its place in the file, from 1; 0: made by hand."""


Refuse = Callable[[int, str], None]
"""Told of a line that cannot be read: its number, from 1, and why."""


def read_lines(path: Path, refuse: Refuse | None = None) -> Iterator[Line]:
    """A recording's lines in order. Without `refuse`, UsageError names the line that is none; a frame may be anything.

    Raises UsageError for a file that cannot be read, or not to its end.
    """
    decode = msgspec.json.Decoder(Envelope).decode
    for number, text in _texts(path):
        if not any(mark in text[:200] for mark in _MARKS):
            yield Line(1, 0, text, number)
            continue
        try:
            envelope = decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if refuse is None:
                raise UsageError(f"{path}, line {number}: {error}") from error
            refuse(number, str(error))
            continue
        frame = bytes(envelope.frame)
        if frame or envelope.event == "connected":
            yield Line(envelope.conn, envelope.recv_ns, frame, number)


def _texts(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines that are not empty, with their numbers."""
    number, rest = 0, b""
    try:
        with pa.input_stream(str(path), compression="detect", buffer_size=_CHUNK) as file:
            while chunk := file.read(_CHUNK):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    number += 1
                    if text := line.strip():
                        yield number, text
                if len(rest) > LONGEST:
                    raise UsageError(f"{path}, line {number + 1}: longer than {LONGEST} bytes")
    except (OSError, EOFError, pa.ArrowException) as error:
        raise UsageError(f"{path} cannot be read as a recording (behind line {number}): {error}") from error
    if text := rest.strip():
        yield number + 1, text
