"""What a line of a recording says: a websocket frame, with or without an envelope around it, or where a connection is.

    {"type": "orderbook_delta", "sid": 1, …}                        the frame itself
    {"recv_ns": …, "conn": 1, "frame": {…}}                         an envelope; the frame may also be JSON text
    {"received_at": "2026-03-07T01:02:03.4Z", "raw": "{…}"}         keys that others use, see PAYLOAD and `stamps`
    {"recv_ns": …, "conn": 1, "event": "connected"}                 a connection begins; "disconnected": it ends
    {"n": 3, "dir": "server", "frame": {…}}                         frames that a client sent are passed over

A frame that cannot stand in JSON as it came is given as `base64`; white space behind it as `tail`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Raw

from kalshi_trio.errors import UsageError
from kalshi_trio.foreign.stamps import LIMIT_NS, NoUnit, received_ns
from kalshi_trio.foreign.texts import Refuse, Texts

PAYLOAD = ("frame", "raw", "data", "message", "payload", "body", "text", "msg")
"""Where an envelope has its frame: the first of these that it has."""
CONNECTION = ("conn", "connection", "conn_id", "connection_id")
DIRECTION = ("dir", "direction")
_SENT = {"client", "out", "outgoing", "outbound", "send", "sent", "tx", "request", "c2s"}
_EVENTS = {
    **dict.fromkeys(("connected", "connect", "open", "opened"), "connected"),
    **dict.fromkeys(("disconnected", "disconnect", "close", "closed"), "disconnected"),
    **{name: name for name in ("session_started", "session_ended")},
}
_BARE = {"type", "sid", "seq", "id", "msg", "market_tickers", "sending_ts_ms"}
"""All that a frame itself may have: a line with nothing else needs no second look."""


class Line(NamedTuple):
    """One recorded frame, byte for byte; without a frame, the beginning of a connection."""

    connection: int
    recv_ns: int
    frame: bytes
    number: int = 0
    """Its place in the file, from 1; 0: made by hand."""
    event: str = ""
    """Of a line without a frame: connected, disconnected, session_started, session_ended."""
    about: dict[str, Raw] = {}  # noqa: RUF012 -- never changed
    """What else an event's line says."""
    raw: bool = False
    """The frame was given as bytes, which nobody needs to be able to read."""
    stamp_ns: int = 0
    """The time that the line stood for in the session that it was exported from, where that is no time of receipt."""


class Shapes:
    """Reads lines. `time_unit`: of times of receipt whose keys name none; `sent` counts frames that a client sent."""

    def __init__(self, time_unit: str | None = None) -> None:
        self.sent = 0
        self.passed = 0
        """Events that say nothing of connections."""
        self._unit = time_unit
        self._named: dict[str, int] = {}
        self._decode = msgspec.json.Decoder(dict[str, Raw]).decode

    def line(self, number: int, text: bytes) -> Line | None:
        """What the text says; None: nothing that was received. Raises ValueError: it cannot be read; NoUnit."""
        if text.startswith(b'"'):
            text = msgspec.json.decode(text, type=str).encode().strip()
        try:
            thing = self._decode(text)
        except msgspec.DecodeError:
            if not _begins_with_a_frame(text):
                raise
            return Line(1, 0, text, number)
        if "type" in thing and _BARE.issuperset(thing):
            return Line(1, 0, text, number)
        if "cmd" in thing and "type" not in thing:
            self.sent += 1
            return None
        direction = next((thing[key] for key in DIRECTION if key in thing), None)
        if direction is not None and _text(direction).lower() in _SENT:
            self.sent += 1
            return None
        connection = self._connection(thing)
        ns = received_ns(thing, self._unit)
        stamp = _whole(thing["stamp_ns"]) if "stamp_ns" in thing else 0
        frame = _frame(thing, text)
        if frame is not None:
            return Line(connection, ns, frame, number, raw="base64" in thing, stamp_ns=stamp)
        if "event" not in thing:
            raise ValueError("neither a frame nor an envelope around one")
        event = _EVENTS.get(_text(thing["event"]).lower())
        if event is None:
            self.passed += 1
            return None
        return Line(connection, ns, b"", number, event, thing, stamp_ns=stamp)

    def _connection(self, thing: dict[str, Raw]) -> int:
        """The connection's number; those with names get numbers below zero."""
        value = next((thing[key] for key in CONNECTION if key in thing), None)
        if value is None or bytes(value) == b"null":
            return 1
        named = msgspec.json.decode(value)
        if isinstance(named, int) and not isinstance(named, bool) and 0 <= named < 1 << 62:
            return named
        if isinstance(named, str):
            return self._named.setdefault(named, -1 - len(self._named))
        raise ValueError(f"connection {bytes(value)[:40]!r}")


def _frame(thing: dict[str, Raw], text: bytes) -> bytes | None:
    """The frame in an envelope, or the line itself if it is one with fields that nobody has seen yet."""
    if "base64" in thing:
        try:
            return base64.b64decode(_text(thing["base64"]), validate=True)
        except binascii.Error as error:
            raise ValueError(f"base64: {error}") from error
    key = next((key for key in PAYLOAD if key in thing), None)
    if key is not None and (key != "msg" or "type" not in thing):
        value = bytes(thing[key])
        given_as_text = value.startswith(b'"')
        if given_as_text:
            value = msgspec.json.decode(value, type=str).encode()
        if value.lstrip().startswith((b"{", b"[") if given_as_text else b"{"):
            return value + _text(thing["tail"]).encode() if "tail" in thing else value
    return text if "type" in thing else None


def _begins_with_a_frame(text: bytes) -> bool:
    """Whether a line that is not one object is several messages that came as one frame."""
    try:
        thing, _ = json.JSONDecoder().raw_decode(text.decode())
    except (ValueError, RecursionError):
        return False
    return isinstance(thing, dict) and "type" in thing and _BARE.issuperset(thing)


def _text(value: Raw) -> str:
    try:
        return msgspec.json.decode(value, type=str)
    except msgspec.ValidationError:
        return ""


def _whole(value: Raw) -> int:
    number = msgspec.json.decode(value, type=int)
    if not 0 <= number < LIMIT_NS:
        raise ValueError(f"stamp_ns {number}")
    return number


def read_lines(path: Path, refuse: Refuse | None = None) -> Iterator[Line]:
    """A recording's frames in order, and where connections begin. Without `refuse`, UsageError names the line that is none.

    Raises UsageError for a file that cannot be read.
    """

    def raise_it(number: int, why: str) -> None:
        raise UsageError(f"{path}, line {number}: {why}")

    for line in lines_of(Texts(path, refuse or raise_it), Shapes(), refuse or raise_it):
        if line.frame or line.event == "connected":
            yield line


def lines_of(texts: Texts, shapes: Shapes, refuse: Refuse) -> Iterator[Line]:
    """All that the texts say was received, events too; `refuse` is told of the others."""
    for number, text in texts:
        try:
            line = shapes.line(number, text)
        except NoUnit as error:
            raise NoUnit(f"{texts.path}, line {number}: {error}") from None
        except (ValueError, UnicodeDecodeError, RecursionError) as error:  # what msgspec raises is a ValueError
            refuse(number, f"{error}"[:200])
            continue
        if line is not None:
            yield line
