"""What travels between the journal and its readers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

Kind = Literal["frame", "command", "connection", "session", "rest", "stall", "unwritable"]
"""`frame`: bytes received; `command`: as sent; the others: JSON text that we wrote ourselves."""


class Records(NamedTuple):
    """Consecutive journal records of one kind that share their stamps: all that one read brought.

    Record `data[i]` has the number `first + i`. Numbers start at 1 and have no hole. `connection` is 0 where none is
    concerned. `ts_recv` is wall clock (ns since 1970, UTC), `mono_ns` the monotonic clock, by which replay is paced.
    """

    first: int
    kind: Kind
    connection: int
    ts_recv: int
    mono_ns: int
    data: Sequence[bytes]

    @property
    def last(self) -> int:
        """The number of the last record."""
        return self.first + len(self.data) - 1
