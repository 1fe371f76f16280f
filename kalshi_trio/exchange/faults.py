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
delay                held back for some seconds, with all that follows
cut, close_1001      not sent: the connection is cut, or closed with 1001
deaf                 not sent: the connection stays, and nothing more comes or is heard
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Literal, NamedTuple, get_args

from kalshi_trio.exchange.replies import error, reply
from kalshi_trio.exchange.tally import kind_of, seq_of, sid_of
from kalshi_trio.exchange.wire import BINARY, TEXT

Name = Literal[
    "drop", "repeat", "swap", "flip", "malformed", "binary", "not_utf8", "huge_ok", "huge", "unknown_type", "new_field",
    "hostile", "error_10", "error_25", "delay", "cut", "close_1001", "deaf",
]  # fmt: skip
NAMES: tuple[Name, ...] = get_args(Name)
HOSTILE_SID = 66
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
        """What was held back for the last connection is lost with it."""
        self._held = []

    def apply(self, frames: Sequence[bytes], dead: set[int]) -> list[Piece]:
        """These frames as they are to be sent; `dead` are the sids that get nothing, and grows."""
        if not self._schedule and not self._held and not dead:
            return [Piece(list(frames))]
        pieces: list[Piece] = []
        for frame in frames:
            name, self._at = self._schedule.pop(self._at, None), self._at + 1
            if sid_of(frame) in dead and kind_of(frame) != "subscribed":
                continue
            held, self._held = self._held, []
            if name is not None:
                self.done.append(Done(self._at - 1, name, frame))
            pieces += [*self._one(name, frame, dead), *([Piece(held)] if held else [])]
        return _joined(pieces)

    def _one(self, name: Name | None, frame: bytes, dead: set[int]) -> list[Piece]:
        match name:
            case None | "new_field" | "malformed" | "flip" | "not_utf8":
                return [Piece([self._changed(name, frame)])]
            case "drop" | "swap":
                self._held = [frame] if name == "swap" else []
                return []
            case "repeat":
                return [Piece([frame, frame])]
            case "binary":
                return [Piece([frame], BINARY)]
            case "error_10" | "error_25":
                sid = sid_of(frame)
                dead.add(sid)
                return [Piece([error(int(name[6:]), sid=sid, seq=seq_of(frame))])]
            case "delay":
                return [Piece([], deed=name), Piece([frame])]
            case "cut" | "close_1001" | "deaf":
                return [Piece([], deed=name)]
            case _:
                return [Piece([*_before(name), frame])]

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
            case "not_utf8":
                at = random.randrange(len(frame))
                return frame[:at] + b"\xff" + frame[at:]
            case _:
                return frame


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
