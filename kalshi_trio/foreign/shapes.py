"""What a line of a recording says: a websocket frame, with or without an envelope around it, or where a connection is.

    {"type": "orderbook_delta", "sid": 1, …}                        the frame itself
    {"recv_ns": …, "conn": 1, "frame": {…}}                         an envelope; the frame may also be JSON text
    {"received_at": "2026-03-07T01:02:03.4Z", "raw": "{…}"}         keys that others use, see PAYLOAD and `stamps`
    {"type": "ws_message", "ts": …, "msg": {"type": …, "sid": …}}   an envelope with a type of its own
    {"recv_ns": …, "conn": 1, "event": "connected"}                 a connection begins; "disconnected": it ends, see `markers`
    {"n": 3, "dir": "server", "frame": {…}}                         frames that a client sent are passed over

A frame that cannot stand in JSON as it came is given as `base64`; white space behind it as `tail`.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Raw

from kalshi_trio.errors import UsageError
from kalshi_trio.foreign.markers import SAYING, marked
from kalshi_trio.foreign.stamps import LIMIT_NS, Key, NoUnit, received_ns, time_keys
from kalshi_trio.foreign.texts import Refuse, Texts

PAYLOAD = ("frame", "raw", "data", "message", "payload", "body", "text", "msg")
"""Where an envelope has its frame: the first of these that holds one."""
CONNECTION = ("conn", "connection", "conn_id", "connection_id")
DIRECTION = ("dir", "direction")
_SENT = {"client", "out", "outgoing", "outbound", "send", "sent", "tx", "request", "c2s"}
_BARE = {"type", "sid", "seq", "id", "msg", "market_tickers", "sending_ts_ms"}
"""All that a frame itself may have: a line with nothing else needs no second look."""
_OF_FRAMES = {"sid", "msg", "id"}
"""One of these is in every frame, and in no line that a recorder writes about itself."""


class _Plan(NamedTuple):
    """What a line's keys alone say, which are the same in line after line."""

    bare: bool
    command: bool
    typed: bool
    payload: tuple[str, ...]
    connection: str
    direction: str
    times: tuple[Key, ...]
    own: bool
    """There are keys that only a recorder writes."""


@functools.lru_cache(maxsize=1_000)
def _plan(keys: tuple[str, ...]) -> _Plan:
    names = frozenset(keys)
    payload = tuple(key for key in PAYLOAD if key in names)
    connection = next((key for key in CONNECTION if key in names), "")
    direction = next((key for key in DIRECTION if key in names), "")
    typed = "type" in names
    times = time_keys(keys)
    return _Plan(
        typed and not names.isdisjoint(_OF_FRAMES) and names.issubset(_BARE),
        "cmd" in names and not typed,
        typed,
        payload,
        connection,
        direction,
        times,
        bool(connection or direction or times),
    )


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
        plan = _plan(tuple(thing))
        if plan.bare and not _is_frame(bytes(thing.get("msg", b""))):
            return Line(1, 0, text, number)
        if plan.command or (plan.direction and _text(thing[plan.direction]).lower() in _SENT):
            self.sent += 1
            return None
        return self._enveloped(number, text, thing, plan)

    def _enveloped(self, number: int, text: bytes, thing: dict[str, Raw], plan: _Plan) -> Line | None:
        connection = self._connection(thing.get(plan.connection))
        ns = received_ns(thing, plan.times, self._unit) if plan.times else 0
        stamp = _whole(thing["stamp_ns"]) if "stamp_ns" in thing else 0
        frame = _frame(thing, plan)
        if frame is None and plan.typed and _has_a_frames_fields(thing):
            frame = text
        if frame is not None:
            return Line(connection, ns, frame, number, raw="base64" in thing, stamp_ns=stamp)
        event = _event(thing)
        if event:
            return Line(connection, ns, b"", number, event, thing, stamp_ns=stamp)
        if event is None and "event" not in thing:
            if not plan.typed:
                raise ValueError("neither a frame nor an envelope around one")
            if not plan.own:
                return Line(connection, ns, text, number, stamp_ns=stamp)
        self.passed += 1
        return None

    def _connection(self, value: Raw | None) -> int:
        """The connection's number; those with names get numbers below zero."""
        if value is None or (text := bytes(value)) == b"null":
            return 1
        if text.isdigit() and len(text) < 19:
            return int(text)
        named = msgspec.json.decode(value)
        if isinstance(named, int) and not isinstance(named, bool) and 0 <= named < 1 << 62:
            return named
        if isinstance(named, str):
            return self._named.setdefault(named, -1 - len(self._named))
        raise ValueError(f"connection {bytes(value)[:40]!r}")


def _has_a_frames_fields(thing: dict[str, Raw]) -> bool:
    return "sid" in thing or "id" in thing or bytes(thing.get("msg", b""))[:1] in {b"{", b"["}


def _event(thing: dict[str, Raw]) -> str | None:
    """What a line without a frame says of a connection, as `marked`; a session's own export has words of its own."""
    event = marked({key: said for key in SAYING if key in thing and (said := _text(thing[key]))})
    if event == "session_started":
        return event if {"event", "session", "software"} <= thing.keys() else ""
    return "" if event == "session_ended" and "event" not in thing else event


def _frame(thing: dict[str, Raw], plan: _Plan) -> bytes | None:
    """The frame in an envelope. One with a type of its own may have other things in such places."""
    if "base64" in thing:
        try:
            return base64.b64decode(_text(thing["base64"]), validate=True)
        except binascii.Error as error:
            raise ValueError(f"base64: {error}") from error
    about = plan.typed or "event" in thing or "kind" in thing
    for key in plan.payload:
        value = bytes(thing[key])
        given_as_text = value.startswith(b'"')
        if given_as_text:
            value = msgspec.json.decode(value, type=str).encode()
        if value.lstrip().startswith((b"{", b"[") if given_as_text else b"{") and (
            not about or _is_frame(value, strictly=plan.typed and key == "msg")
        ):
            return value + _text(thing["tail"]).encode() if "tail" in thing else value
    return None


def _is_frame(value: bytes, *, strictly: bool = True) -> bool:
    """Whether it is, or begins with, an object with a text `type`, and strictly with `sid` or `msg`."""
    if b'"type"' not in value:
        return False
    try:
        thing = msgspec.json.decode(value, type=dict[str, Raw])
    except (msgspec.DecodeError, RecursionError):
        return not strictly and (
            value.lstrip().startswith(b"[") or _begins_with_a_frame(value.decode(errors="replace").encode())
        )
    if not strictly and "type" in thing:
        return True
    return "type" in thing and bool(_text(thing["type"])) and ("sid" in thing or "msg" in thing)


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

    for line in lines_of(Texts(path, refuse or raise_it), Shapes(), refuse or raise_it, path):
        if line.frame or line.event == "connected":
            yield line


def lines_of(texts: Iterable[tuple[int, bytes]], shapes: Shapes, refuse: Refuse, path: Path) -> Iterator[Line]:
    """All that the texts of that file say was received, events too; `refuse` is told of the others."""
    for number, text in texts:
        try:
            line = shapes.line(number, text)
        except NoUnit as error:
            raise NoUnit(f"{path}, line {number}: {error}") from None
        except (ValueError, UnicodeDecodeError, RecursionError) as error:  # what msgspec raises is a ValueError
            refuse(number, f"{error}"[:200])
            continue
        if line is not None:
            yield line
