"""Books and trades as hftbacktest 2 reads them: an npz a market, its array `data` of that tool's event type.

YES terms: yes bids are bids, no bids are asks at 1 dollar less their price; `px` in dollars, `qty` in contracts, the
level's new size. A book that is whole is a clear and a snapshot, a hole a clear of both sides. `ival` is the journal
record that caused the row. `local_ts` is the time of receipt, `exch_ts` the exchange's; what has none (snapshots, holes)
takes the time of receipt, or that of the next change if that is earlier, so that no book comes behind its own changes.

Two rules of that tool are kept. Events of each side are in the order of their times: a trade that was told late is two
rows, one for each side. And a best price that another one crosses is forgotten there, which inside one instant of the
exchange is nothing (`books`): after such an instant both best levels are said once more.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kalshi_trio.history.exports.spool import Spool
from kalshi_trio.history.exports.tape import Change, Deal, Event, Lost, Whole
from kalshi_trio.history.exports.target import safe
from kalshi_trio.protocol.book import ONE_DOLLAR_E4, Book
from kalshi_trio.protocol.numbers import NULL

EVENT = np.dtype(
    [
        *(("ev", "<u8"), ("exch_ts", "<i8"), ("local_ts", "<i8"), ("px", "<f8")),
        *(("qty", "<f8"), ("order_id", "<u8"), ("ival", "<i8"), ("fval", "<f8")),
    ]
)
EXCH, LOCAL, BUY, SELL = 1 << 31, 1 << 30, 1 << 29, 1 << 28
DEPTH, TRADE, CLEAR, SNAPSHOT = 1, 2, 3, 4
_BOTH = EXCH | LOCAL
_PACK = struct.Struct("<QqqddQqd").pack
_NEVER = 1 << 62
_PIECE = 1 << 16


@dataclass(slots=True)
class _Side:
    """One market under way."""

    book: Book = field(default_factory=Book)
    exch: int = 0
    local: int = 0
    us: int = NULL
    crossed: bool = False
    waiting: list[tuple[int, int, int, float, float, int]] = field(default_factory=list)
    """Rows without an exchange time: event, time of receipt, stamp, price, size, record."""


class HftBacktest:
    """Blocking: takes events in order, makes a file a market in the folder `place`."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._spool = Spool(place / ".spool", EVENT)
        self._markets: dict[str, _Side] = {}
        self.written = self._early = 0

    @property
    def notes(self) -> dict[str, int]:
        """What is odd → how often."""
        text = f"{self._early} rows came before the exchange's own time: see that tool's correct_local_timestamp"
        return {text: self._early}

    def take(self, event: Event) -> None:
        """The next event."""
        side = self._markets.setdefault(event.market, _Side())
        if isinstance(event, Change):
            self._change(side, event)
        elif isinstance(event, Deal):
            self._deal(side, event)
        else:
            self._book(side, event)

    def end(self) -> Iterator[int]:
        """Writes the files, one a step."""
        for market, side in self._markets.items():
            self._uncross(side, market, NULL)
            self._settle(side, market, _NEVER)
        for number, market in enumerate(sorted(self._spool.markets), 1):
            rows = ordered(self._spool.rows(market))
            save(self._place / f"{safe(market)}.npz", rows)
            self.written += len(rows)
            self._early += int((rows["local_ts"] < rows["exch_ts"]).sum())
            yield number
        self._spool.remove()

    def _book(self, side: _Side, event: Whole | Lost) -> None:
        """All that was known is cleared; of a whole book, each level is said."""
        self._uncross(side, event.market, NULL)
        side.book = Book()
        side.local = max(side.local, event.ts_recv)
        rows = [(CLEAR | BUY, float("nan"), 0.0), (CLEAR | SELL, float("nan"), 0.0)]
        if isinstance(event, Whole):
            side.book.yes.replace(event.yes.items())
            side.book.no.replace(event.no.items())
            rows += [(SNAPSHOT | BUY, p / 1e4, n / 1e2) for p, n in sorted(event.yes.items(), reverse=True)]
            rows += [(SNAPSHOT | SELL, (ONE_DOLLAR_E4 - p) / 1e4, n / 1e2) for p, n in sorted(event.no.items())]
        side.waiting += [(kind, side.local, event.ts_recv, px, qty, event.frame) for kind, px, qty in rows]

    def _change(self, side: _Side, event: Change) -> None:
        self._uncross(side, event.market, event.us)
        exch = event.us * 1_000 if event.us != NULL else event.ts_recv
        self._settle(side, event.market, exch)
        side.exch, side.local, side.us = max(side.exch, exch), max(side.local, event.ts_recv), event.us
        ladder = side.book.yes if event.yes else side.book.no
        ladder.apply(event.price_e4, event.delta_e2)
        side.crossed = side.crossed or side.book.yes.best + side.book.no.best >= ONE_DOLLAR_E4
        self._depth(side, event.market, yes=event.yes, price=event.price_e4, size=event.size_e2, frame=event.frame)

    def _deal(self, side: _Side, event: Deal) -> None:
        exch = event.us * 1_000 if event.us != NULL else event.ts_recv
        self._settle(side, event.market, exch)
        side.local = max(side.local, event.ts_recv)
        kind = TRADE | (0 if event.buy is None else BUY if event.buy else SELL)
        row = (kind | _BOTH, exch, side.local, event.price_e4 / 1e4, event.count_e2 / 1e2, 0, event.frame, 0.0)
        self._spool.add(event.market, _PACK(*row))

    def _uncross(self, side: _Side, market: str, us: int) -> None:
        """The instant in which the book was crossed is over, unless the next change is of the same."""
        if not side.crossed or (us == side.us and us != NULL):
            return
        yes, yes_e2, no, no_e2 = side.book.best()
        side.crossed = False
        if yes:
            self._depth(side, market, yes=True, price=yes, size=yes_e2, frame=0)
        if no:
            self._depth(side, market, yes=False, price=no, size=no_e2, frame=0)

    def _depth(self, side: _Side, market: str, *, yes: bool, price: int, size: int, frame: int) -> None:
        kind = DEPTH | (BUY if yes else SELL) | _BOTH
        px = (price if yes else ONE_DOLLAR_E4 - price) / 1e4
        self._spool.add(market, _PACK(kind, side.exch, side.local, px, size / 1e2, 0, frame, 0.0))

    def _settle(self, side: _Side, market: str, before: int) -> None:
        """Rows that waited for a time: none is later than the next change."""
        for kind, local, stamp, px, qty, frame in side.waiting:
            side.exch = max(side.exch, min(stamp, before))
            self._spool.add(market, _PACK(kind | _BOTH, side.exch, local, px, qty, 0, frame, 0.0))
        side.waiting = []


def ordered(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Rows in the order in which they came, so that times of the exchange rise, too: where one does not, it is two rows."""
    exch = np.asarray(rows["exch_ts"])
    late = exch < np.maximum.accumulate(exch)
    if not late.any():
        return rows
    told = np.array(rows)
    moved = np.sort(told[late], order="exch_ts", kind="stable")
    moved["ev"] &= ~np.uint64(LOCAL)
    told["ev"][late] &= ~np.uint64(EXCH)
    places = np.flatnonzero(~late)[np.searchsorted(exch[~late], moved["exch_ts"], side="right")]
    return np.insert(told, places, moved)


def save(path: Path, rows: npt.NDArray[Any]) -> None:
    """What `numpy.savez_compressed(path, data=rows)` writes, piece by piece, with a fixed date: same rows, same bytes."""
    info = zipfile.ZipInfo("data.npy", (1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "w") as archive, archive.open(info, "w", force_zip64=True) as file:
        about = {"descr": np.lib.format.dtype_to_descr(EVENT), "fortran_order": False, "shape": (len(rows),)}
        np.lib.format.write_array_header_1_0(file, about)
        for at in range(0, len(rows), _PIECE):
            file.write(np.ascontiguousarray(rows[at : at + _PIECE]).tobytes())
