"""Every hole that the recording knows of, put together from the rows of `gaps`: when it opened, when it was healed."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from kalshi_trio.history.verify.findings import Hole
from kalshi_trio.sealing import time_text

_KEY = ("gap_frame", "cause", "channel", "expected", "got")


@dataclass
class _Open:
    hole: Hole
    opened_at: int
    left: set[str]


class GapLog:
    """Takes the rows of `gaps` in order."""

    def __init__(self) -> None:
        self._holes: list[Hole] = []
        self._open: dict[tuple[object, ...], list[_Open]] = {}

    def add(self, rows: pa.Table) -> None:
        """Adds rows, columns as in ROW_SCHEMAS."""
        columns = {name: rows[name].to_pylist() for name in ("event", "connection", "markets", *_KEY)}
        columns |= {name: rows[name].cast(pa.int64()).to_pylist() for name in ("opened_at", "healed_at")}
        for values in zip(*columns.values(), strict=True):
            row = dict(zip(columns, values, strict=True))
            key = tuple(row[name] for name in _KEY)
            if row["event"] == "opened":
                about = {name: row[name] for name in ("connection", "cause", "channel", "expected", "got", "markets")}
                hole = Hole(frame=row["gap_frame"], opened_at=time_text(row["opened_at"]), **about)
                self._holes.append(hole)
                self._open.setdefault(key, []).append(_Open(hole, row["opened_at"], set(row["markets"])))
            elif key in self._open:
                self._heal(self._open[key], row["markets"], row["healed_at"])

    def _heal(self, some: list[_Open], markets: list[str], healed_at: int) -> None:
        """One record may open several holes of one kind, each of other markets."""
        one = next((one for one in some if one.left.intersection(markets)), some[0])
        one.left.difference_update(markets)
        one.hole.healed = len(one.hole.markets) - len(one.left)
        one.hole.seconds = (healed_at - one.opened_at) / 1e9
        if not one.left:
            one.hole.healed_at = time_text(healed_at)
            some.remove(one)
            self._open = {key: left for key, left in self._open.items() if left}

    def holes(self, now_ns: int) -> list[Hole]:
        """All of them, in order; those that are open last until `now_ns`."""
        for some in self._open.values():
            for one in some:
                one.hole.seconds = max(now_ns - one.opened_at, 0) / 1e9
        return self._holes
