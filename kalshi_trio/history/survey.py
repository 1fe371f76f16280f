"""A first look at foreign recordings: which connections and markets are in them, when, and what cannot be taken."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from kalshi_trio.errors import UsageError, WireError
from kalshi_trio.foreign import Line, read_lines
from kalshi_trio.protocol.numbers import Times

PRIVATE = frozenset(
    (
        *("fill", "market_position", "market_positions", "user_order", "user_orders", "order_group_updates"),
        *("rfq_created", "rfq_deleted", "quote_created", "quote_accepted", "quote_executed"),
    )
)
"""Types of frame that are about their owner alone; protocol of 2026-11."""
_BOOKS = frozenset(("orderbook_snapshot", "orderbook_delta", "trade", "ticker"))
SHOWN = 20


class _Msg(Struct):
    market_ticker: str = ""
    ts: str | int | None = None
    ts_ms: int | None = None


class _Peek(Struct):
    type: str
    msg: _Msg = msgspec.field(default_factory=_Msg)


class _Type(Struct):
    type: str


class Taken(NamedTuple):
    """A line that will be in the journal. `run` counts connections from 1; `ns` 0: nothing tells when. No frame: it begins."""

    run: int
    ns: int
    frame: bytes


class Refused(NamedTuple):
    """A line that cannot be read."""

    file: str
    line: int
    why: str


@dataclass
class Survey:
    """What the files hold. `last` is the number of the last line of each run, `first_ns` the first time that is known."""

    files: list[Path]
    lines: int = 0
    frames: int = 0
    markets: dict[str, None] = field(default_factory=dict)
    last: dict[int, int] = field(default_factory=dict)
    first: dict[int, int] = field(default_factory=dict)
    first_ns: int = 0
    timeless: int = 0
    """Frames that do not say when they were received."""
    private: int = 0
    refused: list[Refused] = field(default_factory=list)

    @property
    def clock(self) -> str:
        """Whose time the records are stamped with."""
        return "exchange" if self.timeless else "receive"

    def about(self) -> dict[str, object]:
        """Where it all comes from, and what was left out: the session's settings."""
        files = [{"name": path.name, "bytes": path.stat().st_size, "sha256": _sha256(path)} for path in self.files]
        refused = {"count": len(self.refused), "first": [list(one) for one in self.refused[:SHOWN]]}
        return {"files": files, "private": self.private, "refused": refused}


def look(survey: Survey) -> Iterator[int]:
    """Fills the survey; yields after some thousand lines, with their number. UsageError: nothing in it is a frame."""
    for number, taken in enumerate(lines(survey)):
        survey.first.setdefault(taken.run, number)
        survey.last[taken.run] = number
        survey.lines = number + 1
        survey.frames += bool(taken.frame)
        survey.first_ns = survey.first_ns or taken.ns
        if number % 5_000 == 0:
            yield number
    if not survey.frames:
        why = f"; line {survey.refused[0].line}: {survey.refused[0].why}" if survey.refused else ""
        raise UsageError(f"{', '.join(map(str, survey.files))}: no websocket frame in it{why}")


def lines(survey: Survey | None, files: list[Path] | None = None) -> Iterator[Taken]:
    """All lines that can be taken; into `survey` goes what cannot, and which markets there are."""
    reader = _Reader(survey)
    for path in files or (survey.files if survey else []):
        reader.file = path.name
        for line in read_lines(path, reader.refuse):
            taken = reader.take(line)
            if taken is not None:
                yield taken


class _Reader:
    def __init__(self, survey: Survey | None) -> None:
        self._survey = survey or Survey([])
        self._peek = msgspec.json.Decoder(_Peek).decode
        self._type = msgspec.json.Decoder(_Type).decode
        self._times = Times()
        self._runs: dict[int, int] = {}
        self._count = 0
        self.file = ""

    def refuse(self, line: int, why: str) -> None:
        self._survey.refused.append(Refused(self.file, line, why[:200]))

    def take(self, line: Line) -> Taken | None:
        if not line.frame:
            return Taken(self._new_run(line.connection), line.recv_ns, b"")
        try:
            kind, msg = self._look(line.frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self.refuse(line.number, f"no websocket frame: {error}")
            return None
        if kind in PRIVATE:
            self._survey.private += 1
            return None
        if kind in _BOOKS and msg.market_ticker:
            self._survey.markets.setdefault(msg.market_ticker)
        if not line.recv_ns:
            self._survey.timeless += 1
        run = self._runs.get(line.connection) or self._new_run(line.connection)
        return Taken(run, line.recv_ns or self._exchange_ns(msg), line.frame)

    def _look(self, frame: bytes) -> tuple[str, _Msg]:
        try:
            peek = self._peek(frame)
        except msgspec.ValidationError:
            return self._type(frame).type, _Msg()
        return peek.type, peek.msg

    def _new_run(self, connection: int) -> int:
        self._count += 1
        self._runs[connection] = self._count
        return self._count

    def _exchange_ns(self, msg: _Msg) -> int:
        if isinstance(msg.ts, str):
            try:
                return self._times.us(msg.ts) * 1_000
            except WireError:
                return 0
        if msg.ts_ms is not None:
            return max(msg.ts_ms, 0) * 1_000_000
        return max(msg.ts or 0, 0) * 1_000_000_000


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
