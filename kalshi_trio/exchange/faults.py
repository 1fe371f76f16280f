"""Named faults, made from the frames that pass: at places that a schedule or a seed decides. Pure.

What each does to the frame that it falls on:

drop, repeat         left out, sent twice
swap                 sent after the frame that follows it
flip                 one bit of it changed
malformed            cut in the middle: no JSON
binary, not_utf8     sent as binary; a byte in it that no UTF-8 text has
huge_ok, huge        preceded by an `ok` over 1 MiB, by one of 5 MiB
unknown_type         preceded by a frame of a type that nobody knows
new_field            given a member that nobody knows
hostile              preceded by deltas of markets with hostile names, on a sid of their own
error_10, error_25   replaced by the end of its subscription; nothing of that sid comes after it
unsubscribed         replaced by an `unsubscribed` that nobody asked for; nothing of its sid comes after it
null_fields          its id, number and times null, and what else no book needs
numbers              its texts that are decimals as JSON numbers
several              sent in one message with the two frames of this connection that follow it
renamed_sides        followed by its market's snapshot with sides of names that nobody knows
seq_restart          the numbers of its sid begin again, with 1
seq_back             the numbers of its sid count down, over FRAMES_BACK frames, then go on from there
yes_flip             from it on, the NO side's prices are told as those of YES
delay                held back for some seconds, with all that follows
cut, close_1001      not sent: the connection is cut, or closed with 1001
deaf                 not sent: the connection stays, and nothing more comes or is heard
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Literal, NamedTuple, get_args

from kalshi_trio.exchange.market import ONE_DOLLAR_E4
from kalshi_trio.exchange.replies import error, reply
from kalshi_trio.exchange.tally import kind_of, seq_of, sid_of
from kalshi_trio.exchange.wire import BINARY, TEXT
from kalshi_trio.protocol.numbers import price_text, scaled

Name = Literal[
    "drop", "repeat", "swap", "flip", "malformed", "binary", "not_utf8", "huge_ok", "huge", "unknown_type", "new_field",
    "hostile", "error_10", "error_25", "unsubscribed", "null_fields", "numbers", "several", "renamed_sides", "seq_restart",
    "seq_back", "yes_flip", "delay", "cut", "close_1001", "deaf",
]  # fmt: skip
NAMES: tuple[Name, ...] = get_args(Name)
FRAMES_BACK = 20
HOSTILE_SID = 66
_TOGETHER = 3
_NUMBER = re.compile(rb'"seq":(\d+)')
_NULLS = re.compile(rb'"(market_id|ts|ts_ms|time|sending_ts_ms)":("[^"]*"|\d+)')
_DECIMAL = re.compile(rb'"(-?\d+\.\d+)"')
_MARKET = re.compile(rb'"market_ticker":"[^"]*"')
_NO_SIDE = re.compile(rb'"no_dollars_fp":(\[\[.*?\]\])')
HOSTILE = (
    "../../etc/passwd",
    "A\nB",
    "NUL\x00",
    "\x1b[31mRED",
    "X" * 10_000,
    "",
    "名前",
    "a'; DROP TABLE deltas; --",
    "%s%n",
)
"""Market tickers that nobody should believe."""


class Done(NamedTuple):
    """A fault that was made: where, which, and the frame that it fell on."""

    at: int
    name: Name
    frame: bytes


class Piece(NamedTuple):
    """What is to be done next: frames to send under an opcode, or (without frames) a deed."""

    frames: list[bytes]
    opcode: int = TEXT
    deed: Name | None = None


class Faults:
    """Makes the faults of `schedule`: frame number (of the whole exchange, from 0) → name. `seconds` is what `delay` waits."""

    def __init__(self, schedule: Mapping[int, Name], seed: int = 0, seconds: float = 5.0) -> None:
        self._schedule = dict(schedule)
        self._random = Random(seed)  # noqa: S311  plausible, not secret
        self._at = 0
        self._held: list[bytes] = []
        self._together: list[bytes] = []
        self._shift: dict[int, int] = {}
        self._down: dict[int, int] = {}
        self._turned = False
        self.seconds = seconds
        self.done: list[Done] = []

    @classmethod
    def seeded(cls, seed: int, names: Sequence[Name], every: int = 200, most: int = 20) -> Faults:
        """`most` faults, chosen from `names`, some `every` frames apart on the average."""
        random, at, schedule = Random(seed), 0, dict[int, Name]()  # noqa: S311  plausible, not secret
        for _ in range(most):
            at += random.randrange(1, 2 * every)
            schedule[at] = random.choice(names)
        return cls(schedule, seed)

    def new_connection(self) -> None:
        """What was held back for the last connection is lost with it, and its numbers are no longer wrong."""
        self._held, self._together, self._turned = [], [], False
        self._shift, self._down = {}, {}

    def apply(self, frames: Sequence[bytes], dead: set[int]) -> list[Piece]:
        """These frames as they are to be sent; `dead` are the sids that get nothing, and grows."""
        if not (self._schedule or self._held or self._together or self._shift or self._down or self._turned or dead):
            return [Piece(list(frames))]
        pieces: list[Piece] = []
        for frame in map(self._lasting, frames):
            name, self._at = self._schedule.pop(self._at, None), self._at + 1
            if sid_of(frame) in dead and kind_of(frame) != "subscribed":
                continue
            held, self._held = self._held, []
            if name is not None:
                self.done.append(Done(self._at - 1, name, frame))
            gathering = bool(self._together)
            made = [*self._one(name, frame, dead), *([Piece(held)] if held else [])]
            pieces += self._gather(made) if gathering else made
        return _joined(pieces)

    def _lasting(self, frame: bytes) -> bytes:
        """The frame as the faults before it leave it."""
        sid = sid_of(frame)
        if self._turned:
            frame = _turned(frame)
        if sid in self._down:
            self._down[sid] -= 1
            self._shift[sid] -= 2
            if not self._down[sid]:
                del self._down[sid]
        return _numbered(frame, max(seq_of(frame) + self._shift[sid], 1)) if self._shift.get(sid) else frame

    def _gather(self, pieces: list[Piece]) -> list[Piece]:
        """Frames that are to be one message are held until they are all there."""
        for piece in pieces:
            self._together += piece.frames
        deeds = [piece for piece in pieces if piece.deed]
        if len(self._together) < _TOGETHER:
            return deeds
        message, self._together = b"".join(self._together), []
        return [Piece([message]), *deeds]

    def _one(self, name: Name | None, frame: bytes, dead: set[int]) -> list[Piece]:
        match name:
            case "drop" | "swap":
                self._held = [frame] if name == "swap" else []
                return []
            case "several":
                self._together = [frame]
                return []
            case "binary":
                return [Piece([frame], BINARY)]
            case "error_10" | "error_25" | "unsubscribed":
                dead.add(sid_of(frame))
                return [Piece([_end(name, frame)])]
            case "delay":
                return [Piece([], deed=name), Piece([frame])]
            case "cut" | "close_1001" | "deaf":
                return [Piece([], deed=name)]
            case _:
                return [Piece(self._frames(name, frame))]

    def _frames(self, name: Name | None, frame: bytes) -> list[bytes]:
        """What is sent for the frame, by a fault that sends something."""
        match name:
            case "repeat":
                return [frame, frame]
            case "renamed_sides":
                return [frame, self._renamed(frame)]
            case "seq_restart" | "seq_back" | "yes_flip":
                return [self._begin(name, frame)]
            case "huge_ok" | "huge" | "unknown_type" | "hostile":
                return [*_before(name), frame]
            case _:
                return [self._changed(name, frame)]

    def _begin(self, name: Name, frame: bytes) -> bytes:
        """The first frame of a fault that lasts."""
        sid, seq = sid_of(frame), seq_of(frame)
        if name == "yes_flip":
            self._turned = True
            return _turned(frame)
        if name == "seq_back":
            self._down[sid] = FRAMES_BACK
        self._shift[sid] = self._shift.get(sid, 0) + (-2 if name == "seq_back" else 1 - seq)
        return _numbered(frame, max(seq - 2, 1) if name == "seq_back" else 1)

    def _renamed(self, frame: bytes) -> bytes:
        """A snapshot of the frame's market that nobody can read; the numbers behind it are one higher."""
        sid, seq = sid_of(frame), seq_of(frame) + 1
        self._shift[sid] = self._shift.get(sid, 0) + 1
        market = _MARKET.search(frame)
        named = market[0] if market else b'"market_ticker":"A"'
        sides = b'"yes_bids":[["0.4500","100.00"]],"yes_asks":[["0.5000","80.00"]]'
        return b'{"type":"orderbook_snapshot","sid":%d,"seq":%d,"msg":{%s,%s}}\n' % (sid, seq, named, sides)

    def _changed(self, name: Name | None, frame: bytes) -> bytes:
        random = self._random
        match name:
            case "new_field":
                return frame.replace(b'{"type"', b'{"surprise":{"of":[1,2.5,null]},"type"', 1)
            case "malformed":
                return frame[: random.randrange(1, max(2, len(frame.rstrip()) - 1))]
            case "flip":
                at = random.randrange(len(frame))
                return frame[:at] + bytes([frame[at] ^ 1 << random.randrange(7)]) + frame[at + 1 :]
            case "null_fields":
                nulls = _NULLS.sub(rb'"\1":null', _NUMBER.sub(b'"seq":null', frame))
                return nulls.replace(b'"msg":{', b'"id":null,"msg":{"client_order_id":null,', 1)
            case "numbers":
                return _DECIMAL.sub(rb"\1", frame)
            case "not_utf8":
                at = random.randrange(len(frame))
                return frame[:at] + b"\xff" + frame[at:]
            case _:
                return frame


def _end(name: Name, frame: bytes) -> bytes:
    """What the exchange says when it ends the frame's subscription."""
    sid, seq = sid_of(frame), seq_of(frame)
    if name == "unsubscribed":
        return reply({"type": "unsubscribed", "sid": sid, "seq": seq})
    return error(int(name[6:]), sid=sid, seq=seq)


def _numbered(frame: bytes, seq: int) -> bytes:
    """The frame with another number, if it has one."""
    return _NUMBER.sub(b'"seq":%d' % seq, frame, count=1)


def _turned(frame: bytes) -> bytes:
    """The frame of a book with the NO side's prices as those of YES."""
    kind = kind_of(frame)
    if kind == "orderbook_delta" and b'"side":"no"' in frame:
        return re.sub(rb'"price_dollars":"([\d.]+)"', lambda at: b'"price_dollars":"%s"' % _other(at[1]), frame)
    if kind == "orderbook_snapshot":
        return _NO_SIDE.sub(
            lambda side: b'"no_dollars_fp":' + re.sub(rb'\["([\d.]+)"', lambda at: b'["%s"' % _other(at[1]), side[1]),
            frame,
        )
    return frame


def _other(price: bytes) -> bytes:
    return price_text(ONE_DOLLAR_E4 - scaled(price.decode(), 4)).encode()


def _before(name: str) -> Iterable[bytes]:
    """The extra frames of a fault."""
    if name == "unknown_type":
        return [reply({"type": "weather_report", "msg": {"sky": "clear", "at": 1}})]
    if name == "hostile":
        return [_hostile(place, ticker) for place, ticker in enumerate(HOSTILE, 1)]
    tickers = [f"KXHUGE-26NOV24-T{number:014}.99" for number in range(150_000 if name == "huge" else 32_000)]
    return [reply({"type": "ok", "id": 1, "msg": {"market_tickers": tickers}})]


def _hostile(seq: int, ticker: str) -> bytes:
    about = f'"market_ticker":{json.dumps(ticker)},"market_id":"00000000-0000-0000-0000-000000000066"'
    what = '"price_dollars":"0.5000","delta_fp":"1.00","side":"yes","ts":"2026-11-24T18:00:00Z","ts_ms":1795543200000'
    return f'{{"type":"orderbook_delta","sid":{HOSTILE_SID},"seq":{seq},"msg":{{{about},{what}}}}}\n'.encode()


def _joined(pieces: Iterable[Piece]) -> list[Piece]:
    """Runs of text frames in one piece, so that they leave in one write."""
    out: list[Piece] = []
    for piece in pieces:
        if out and not piece.deed and not out[-1].deed and piece.opcode == out[-1].opcode == TEXT:
            out[-1].frames.extend(piece.frames)
        else:
            out.append(piece)
    return out
