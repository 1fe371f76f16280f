"""Exports in a test's own process, and books made from rows alone to compare them with."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import trio
from imports import settings_for
from rebuilt import values

from kalshi_trio.errors import first_of
from kalshi_trio.history.exports.exporting import Exported, export
from kalshi_trio.history.replay.replaying import Wish
from kalshi_trio.observe.terminal import Terminal

DOLLAR_E4 = 10_000


def exported(folder: Path, session: str, form: str, out: Path, *, table: str | None = None, **wish: Any) -> Exported:
    """Exports a session of the data folder in `folder`."""
    terminal = Terminal(file=io.StringIO(), width=200)
    work = partial(export, settings_for(folder), terminal, session, Wish(**wish), form, out, table)
    try:
        return trio.run(work)
    except BaseExceptionGroup as group:
        raise first_of(group) from None  # as `run_trio` does, which would change this process for good


class Moment(NamedTuple):
    """A market's book behind one record: price → size, in YES terms; `unsure`: crossed or locked, or in mid-instant."""

    ts_recv: int
    bids: dict[int, int]
    asks: dict[int, int]

    @property
    def top(self) -> list[int]:
        """Best bid, its size, best ask, its size; zeros where a side is empty."""
        bid, ask = max(self.bids, default=0), min(self.asks, default=0)
        return [bid, self.bids.get(bid, 0), ask, self.asks.get(ask, 0)]

    @property
    def crossed(self) -> bool:
        """Or locked."""
        bid, _, ask, _ = self.top
        return 0 < ask <= bid


def moments(rows: dict[str, pa.Table], market: str) -> list[Moment]:
    """The book behind every record that changed it, by rows alone: snapshots, applied deltas, holes."""
    events: list[tuple[int, int, int, Any]] = []
    for frame, ns, event, channel, markets in values(rows["gaps"], "frame", "ts_recv", "event", "channel", "markets"):
        if event == "opened" and channel in (None, "orderbook_delta") and market in markets:
            events.append((frame, 0, ns.value, None))
    levels: dict[int, Any] = {}
    columns = ("frame", "ts_recv", "market", "side", "price", "size")
    for frame, ns, name, *level in values(rows["snapshots"], *columns):
        if name == market:
            levels.setdefault(frame, (ns.value, []))[1].append(level)
    events += [(frame, 1, ns, some) for frame, (ns, some) in levels.items()]
    for frame, ns, name, side, price, size, valid in values(rows["deltas"], *columns, "valid"):
        if name == market and valid:
            events.append((frame, 2, ns.value, (side, price, size)))
    found, sides = list[Moment](), {"yes": dict[int, int](), "no": dict[int, int]()}
    for _, kind, ns, what in sorted(events, key=lambda event: event[:2]):
        if kind < 2:
            sides = {side: {p: n for s, p, n in what or () if s == side and n} for side in sides}
        else:
            side, price, size = what
            sides[side] = {p: n for p, n in sides[side].items() if p != price} | ({price: size} if size else {})
        asks = {DOLLAR_E4 - price: size for price, size in sides["no"].items()}
        found.append(Moment(ns, sides["yes"], asks))
    return found
