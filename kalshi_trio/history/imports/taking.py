"""Recorded lines as what a recorder would have taken: connection by connection, without what is its owner's alone."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import msgspec
from msgspec import Struct

from kalshi_trio.errors import WireError
from kalshi_trio.foreign import Line
from kalshi_trio.protocol.heads import Head, heads, number_of, text_of
from kalshi_trio.protocol.numbers import TIME_LIMIT_US, Times

_PRIVATE = re.compile(
    r"(?:batch_)?(?:rfq|quote|fill|order|user|position|market_position|communication|account|subaccount|balance|portfolio)s?"
    r"(?:_|$)",
    re.IGNORECASE,
)
_CAUSES = frozenset(("reconnect", "overflow", "crash", "stall", "channel_error", "unwritable", "unreadable", "damage"))
"""Why a connection may be over, in our words; a stranger's words are a reason."""
_REPLY = "subscribed"
_MARKETS = frozenset(("orderbook_snapshot", "orderbook_delta", "trade", "ticker"))
_FAR_BACK = 1000
"""A number so much lower than the one before began again, whatever the frame is."""
_LATE = 10
"""A first number that comes behind as many others is no frame that came late."""


@functools.lru_cache(maxsize=1_000)
def is_private(name: str) -> bool:
    """Whether a type of frame, or a channel, is about its owner alone, by how its name begins: new ones come."""
    return _PRIVATE.match(name) is not None


class Peek(NamedTuple):
    """What has to be known of a frame before it is taken; 0 and "" where it does not say."""

    type: str
    sid: int = 0
    seq: int = 0
    market: str = ""
    ns: int = 0
    """The exchange's time."""
    text: bytes = b""
    """The message alone, of a frame that is several."""
    channel: str = ""
    """Which one a `subscribed` reply names, whose sid is in `sid`."""


class _Msg(Struct, gc=False):
    market_ticker: str = ""
    channel: str = ""
    sid: int = 0
    ts: str | int | None = None
    ts_ms: int | None = None


class _Frame(Struct, gc=False):
    type: str
    sid: int = 0
    seq: int = 0
    msg: _Msg = msgspec.field(default_factory=_Msg)


class Look:
    """Peeks into frames."""

    def __init__(self) -> None:
        self.frame = msgspec.json.Decoder(_Frame).decode
        self._times = Times()

    def __call__(self, data: bytes) -> list[Peek]:
        """What each message of the frame says of itself. ValueError if none of them is an object with a type."""
        try:
            frame = self.frame(data)
        except (msgspec.DecodeError, RecursionError) as error:
            found = [self._peek(head) for head in heads(data)]
            if not any(peek.type for peek in found):
                raise ValueError(f"{error}") from error
            return found
        msg = frame.msg
        if frame.type == _REPLY:
            return [Peek(frame.type, msg.sid or frame.sid, 0, channel=msg.channel)]
        return [Peek(frame.type, frame.sid, frame.seq, msg.market_ticker, self.ns(msg.ts, msg.ts_ms))]

    def _peek(self, head: Head) -> Peek:
        """Of a message that is not as usual."""
        msg = head.object("msg")
        if head.type == _REPLY:
            sid = number_of(msg, "sid", 1 << 62) or head.sid
            return Peek(head.type, sid, 0, text=head.text, channel=text_of(msg, "channel"))
        ts = text_of(msg, "ts") or number_of(msg, "ts", TIME_LIMIT_US) or None
        ns = self.ns(ts, number_of(msg, "ts_ms", TIME_LIMIT_US) or None)
        return Peek(head.type, head.sid, head.seq, text_of(msg, "market_ticker"), ns, head.text)

    def ns(self, ts: str | int | None, ts_ms: int | None) -> int:
        """The finest time that a message has; 0 for one that cannot be."""
        us = 0
        if isinstance(ts, str):
            try:
                us = self._times.us(ts)
            except WireError:
                us = 0
        elif ts_ms is not None:
            us = ts_ms * 1_000
        elif ts is not None:
            us = ts * 1_000_000
        return us * 1_000 if 0 < us < TIME_LIMIT_US else 0


class Taken(NamedTuple):
    """A line that will be in the journal, or that ends a connection. `run` counts connections from 1; 0: none of them.

    `ns` is when it came, 0 where nothing tells; `derived`: the exchange's word.
    """

    run: int
    ns: int
    frame: bytes | None
    derived: bool = False
    closed: dict[str, object] | None = None
    """Why the connection was over, of a line that says that it was."""


class Watch(Protocol):
    """Hears of what is found besides."""

    def refuse(self, line: int, why: str) -> None:
        """A line that cannot be read."""

    def private(self) -> None:
        """A frame that is its owner's alone."""

    def frame(self, markets: Sequence[str], *, timed: bool) -> None:
        """A frame that is taken; of which markets its messages are, empty for one that does not say."""

    def began(self, about: dict[str, object]) -> None:
        """The lines that follow are a session's own export."""


@dataclass(slots=True)
class _Run:
    number: int
    sids: dict[int, int] = field(default_factory=dict)
    """Last sequence number of each."""
    firsts: dict[int, bytes] = field(default_factory=dict)
    """Of each the frame that was number 1."""
    named: set[int] = field(default_factory=set)
    """Those that a `subscribed` reply named."""


class Taking:
    """Takes the lines of several files, one after the other, as one recording.

    A connection begins where a line says so, with the first frame of one that is not known, and where its numbers
    begin again: a `subscribed` reply for a sid that it has already, number 1 again, a snapshot with a lower number than the
    last of its sid, or any frame with one that is lower by more than 1000. A session's own export says of every connection
    where it begins, so there numbers are what they are, those of the connections too.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._look = Look()
        self._runs: dict[int, _Run] = {}
        self._private: dict[int, set[int]] = {}
        """Sids of private channels, by connection: all that has such a sid is private."""
        self._numbers: set[int] = set()
        self._highest = 0
        self._exact = False

    def file(self) -> None:
        """The next lines are another file's: its connections may go on, but it speaks for itself."""
        self._exact = False

    def take(self, line: Line) -> Taken | None:
        """What becomes of it; None: it is left out, of which the watch has heard."""
        if line.event:
            return self._event(line)
        return self._next(line) or self._any(line)

    def _next(self, line: Line) -> Taken | None:
        """The same, quickly, of the next frame of a connection that is known; None: it has to be looked at closely."""
        run = self._runs.get(line.connection)
        if run is None or self._private:
            return None
        try:
            frame = self._look.frame(line.frame)
        except (msgspec.DecodeError, RecursionError):
            return None
        sid, seq, msg = frame.sid, frame.seq, frame.msg
        if frame.type not in _MARKETS or not (seq > run.sids.get(sid, 0) > 0 or seq == 0):
            return None
        if seq:
            run.sids[sid] = seq
        self._watch.frame((msg.market_ticker,), timed=line.recv_ns > 0)
        if known := line.recv_ns or line.stamp_ns:
            return Taken(run.number, known, line.frame)
        return Taken(run.number, self._look.ns(msg.ts, msg.ts_ms), line.frame, derived=True)

    def _any(self, line: Line) -> Taken | None:
        try:
            peeks = self._look(line.frame)
        except ValueError as error:
            if not line.raw:
                self._watch.refuse(line.number, f"no websocket frame: {error}")
                return None
            peeks = [Peek("")]
        peeks, frame = self._without_private(peeks, line)
        if not peeks:
            return None
        markets = [peek.market for peek in peeks if peek.type in _MARKETS]
        self._watch.frame(markets, timed=bool(line.recv_ns))
        run = self._runs.get(line.connection)
        for peek in peeks:
            if run is None or (not self._exact and _starts_over(run, peek, frame)):
                run = self._new_run(line.connection)
            _note(run, peek, frame)
        assert run is not None  # noqa: S101 -- there is a message
        known = line.recv_ns or line.stamp_ns
        ns = next((peek.ns for peek in peeks if peek.ns), 0)
        return Taken(run.number, known or ns, frame, derived=not known)

    def _without_private(self, peeks: list[Peek], line: Line) -> tuple[list[Peek], bytes]:
        """Of a frame that is several messages those stay that are nobody's own; what cannot be read may be."""
        private = [self._is_private(peek, line.connection) for peek in peeks]
        if not any(private):
            return peeks, line.frame
        for _ in range(sum(private)):
            self._watch.private()
        left = [peek for peek, own in zip(peeks, private, strict=True) if peek.type and not own]
        return left, b"\n".join(peek.text for peek in left)

    def _is_private(self, peek: Peek, connection: int) -> bool:
        sids = self._private.get(connection)
        if peek.type == _REPLY and peek.sid:
            run = self._runs.get(connection)
            if not self._exact and run is not None and (peek.sid in run.named or peek.sid in (sids or ())):
                del self._runs[connection]
                sids = self._private.pop(connection, None)
            if is_private(peek.channel):
                self._private.setdefault(connection, set()).add(peek.sid)
            elif sids:
                sids.discard(peek.sid)
            return False
        return is_private(peek.type) or (sids is not None and peek.sid in sids)

    def _event(self, line: Line) -> Taken | None:
        ns = line.recv_ns or line.stamp_ns
        about = {key: msgspec.json.decode(value) for key, value in line.about.items()}
        if line.event == "connected":
            return Taken(self._new_run(line.connection).number, ns, None)
        if line.event == "disconnected":
            run = self._runs.pop(line.connection, None)
            self._private.pop(line.connection, None)
            if (cause := about.get("cause")) is not None and cause not in _CAUSES:
                about = {"reason": str(cause), **about}
                del about["cause"]
            said: dict[str, object] = {
                key: about[key] for key in ("reason", "cause", "final", "heard_ns") if key in about
            }
            if line.recv_ns and not self._exact:
                said.setdefault("heard_ns", line.recv_ns)  # until then it was there
            return Taken(run.number, ns, None, closed=said) if run else None
        if line.event == "session_started":
            self._exact = True
            self._runs.clear()
            self._private.clear()
            self._watch.began(about)
        return Taken(0, ns, None)

    def _new_run(self, connection: int) -> _Run:
        own = self._exact and connection > 0 and connection not in self._numbers
        number = connection if own else self._highest + 1
        self._numbers.add(number)
        self._highest = max(self._highest, number)
        run = self._runs[connection] = _Run(number)
        return run


def _starts_over(run: _Run, peek: Peek, frame: bytes) -> bool:
    if peek.type == _REPLY:
        return peek.sid in run.named or run.sids.get(peek.sid, 0) > _FAR_BACK
    if peek.seq <= 0:
        return False
    back = run.sids.get(peek.sid, 0) - peek.seq
    if peek.seq == 1 and back >= 0:
        first = run.firsts.get(peek.sid)
        if first is not None and first != frame:
            return True
        if first is None and back >= _LATE:
            return True
    return back > _FAR_BACK or (back > 0 and peek.type == "orderbook_snapshot")


def _note(run: _Run, peek: Peek, frame: bytes) -> None:
    """What the message says of its connection."""
    if peek.seq > 0:
        if peek.seq == 1:
            run.firsts[peek.sid] = frame
        run.sids[peek.sid] = max(peek.seq, run.sids.get(peek.sid, 0))
    if peek.type == _REPLY:
        run.named.add(peek.sid)
    elif peek.type == "unsubscribed":
        _forget(run, peek.sid)


def _forget(run: _Run, sid: int) -> None:
    """The subscription is over: another may have its number, from 1."""
    run.sids.pop(sid, None)
    run.firsts.pop(sid, None)
    run.named.discard(sid)
