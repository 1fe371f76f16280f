"""Points of a session as commands name them: a time, or the number of a record.

`--at T` is the record before the first one that is stamped later than T; `--from A --to B` are the records from the
first one stamped A or later up to the one before the first that is stamped B or later: [A, B). Stamps are those of
receipt or, with `--clock exchange`, those that the exchange put into its frames (whatever bears none is passed over).
"First" is meant as it says, also where a clock was set back.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from kalshi_trio.errors import UsageError
from kalshi_trio.journal import checkpoints
from kalshi_trio.journal.batches import Damage
from kalshi_trio.journal.reading import read_session, walk
from kalshi_trio.journal.segment import numbers
from kalshi_trio.protocol.numbers import NULL
from kalshi_trio.protocol.stamps import Stamps

Clock = Literal["receive", "exchange"]
Ints = npt.NDArray[np.int64]

_FRAME, _TS_RECV = 0, 3
"""Places of these columns in the journal."""
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_SECOND = datetime.timedelta(seconds=1)
_FRACTION = re.compile(r"(.*[Tt ]\d\d:?\d\d:?\d\d)[.,](\d+)(\D.*)?")
"""Of a second; the library knows six decimals only. Nothing else may have one."""


class Instant(NamedTuple):
    """Nanoseconds since 1970 (UTC)."""

    ns: int


class Record(NamedTuple):
    """A record of the journal, from 1 on."""

    frame: int


Point = Instant | Record


def parse(text: str) -> Point:
    """ISO 8601 (UTC unless it says otherwise, a day alone is its midnight; up to 9 decimals) or `#FRAME`.

    Raises UsageError, so that it can be the type of an option: `type=parse, metavar="TIME"`.
    """
    if text.startswith("#"):
        number = text[1:].replace(",", "").replace("_", "")
        if not (number.isascii() and number.isdigit() and int(number)):
            raise UsageError(f"{text!r} is no record: write #1 or more.")
        return Record(int(number))
    found = _FRACTION.fullmatch(text)
    whole, digits = (f"{found[1]}{found[3] or ''}", found[2]) if found else (text, "")
    try:
        moment = datetime.datetime.fromisoformat(whole)
    except ValueError:
        moment = None
    if moment is None or len(digits) > 9 or "." in whole or "," in whole:
        raise UsageError(f"{text!r} is no time: write 2026-11-24T05:01:02.5Z, 2026-11-24 or, by record, #1234.")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return Instant((moment - _EPOCH) // _SECOND * 10**9 + int(digits.ljust(9, "0")))


def at(folder: Path, last: int, point: Point, clock: Clock = "receive") -> int:
    """The record that is the last at `point`, of those up to `last`; 0 if the session begins later. Blocking.

    Raises UsageError for a record that the session does not have.
    """
    if isinstance(point, Record):
        if point.frame > last:
            raise UsageError(f"#{point.frame}: the session ends with record #{last}.")
        return point.frame
    return _first(folder, last, point.ns + 1, clock) - 1


def span(folder: Path, last: int, start: Point | None, end: Point | None, clock: Clock = "receive") -> tuple[int, int]:
    """The first and the last record of [start, end), of those up to `last`; None is the session's own. Blocking.

    Raises UsageError if no record is in it.
    """
    lo = 1 if start is None else _bound(folder, last, start, clock)
    hi = last if end is None else min(_bound(folder, last, end, clock) - 1, last)
    if lo > hi:
        raise UsageError("The session has no record between these two points.")
    return lo, hi


def _bound(folder: Path, last: int, point: Point, clock: Clock) -> int:
    return point.frame if isinstance(point, Record) else _first(folder, last, point.ns, clock)


def _first(folder: Path, last: int, ns: int, clock: Clock) -> int:
    """The first record stamped `ns` or later, `last` + 1 if there is none."""
    found = _received(folder, checkpoints.before(folder, ns), last) if clock == "receive" else _exchange(folder, last)
    for frames, stamps in found:
        later = stamps >= ns
        if later.any():
            return int(frames[np.argmax(later)])
    return last + 1


def _received(folder: Path, after: int, last: int) -> Iterator[tuple[Ints, Ints]]:
    """Records behind `after` and their stamps; only these two columns are unpacked. What is damaged is passed over."""
    for _, batch in walk(folder, after, last, _passed_over, (_FRAME, _TS_RECV)):
        yield numbers(batch.column(0), "i8"), numbers(batch.column(1), "i8")


def _exchange(folder: Path, last: int) -> Iterator[tuple[Ints, Ints]]:
    read = Stamps().us
    for frames in read_session(folder, 0, last, _passed_over):
        for run in frames.records:
            if run.kind == "frame":
                stamps = np.array([read(data) for data in run.data], "i8")
                known = np.flatnonzero(stamps != NULL)
                yield known + run.first, stamps[known] * 1_000


def _passed_over(_damage: Damage) -> None:
    """Whoever reads the rows says it."""
