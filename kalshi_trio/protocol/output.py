"""What the record under way brings forth: rows, lines for the log, facts for the subscriber."""

from __future__ import annotations

import logging

from kalshi_trio.protocol.book import Top
from kalshi_trio.protocol.columns import ROW, Packed
from kalshi_trio.protocol.numbers import NULL
from kalshi_trio.protocol.signals import Notice, Signal

_TOP = ROW["top_of_book"].pack
_GAP = ROW["gaps"].pack


class Output:
    """Rows carry the record's number, stamps and sequence, which the builder sets before it looks at the record."""

    def __init__(self) -> None:
        self.packed = Packed()
        self.notices: list[Notice] = []
        self.signals: list[Signal] = []
        self.frame = 0
        self.ts_recv = 0
        self.connection = 0
        self.sid = 0
        self.seq = 0
        self.stale = False
        """The frame's sequence number came before: it is stored, and changes no book."""
        self._tops = (0, 0)
        self._gaps = (0, 0)

    def info(self, text: str) -> None:
        """A line for console and files."""
        self.notices.append(Notice(logging.INFO, text))

    def warn(self, text: str) -> None:
        """A line about something that went wrong and was dealt with."""
        self.notices.append(Notice(logging.WARNING, text))

    def top(self, market: str, about: tuple[int, int, int], top: Top, *, valid: bool) -> None:
        """A row of `top_of_book`; `about`: frame and receipt of the last change, and the exchange's instant."""
        row = self._tops[1] + 1 if self._tops[0] == self.frame else 0
        self._tops = (self.frame, row)
        frame, ts_recv, instant_us = about
        bid, bid_size, ask, ask_size = top
        self.packed.tops += _TOP(
            self.frame,
            row,
            self.ts_recv,
            instant_us,
            self.connection,
            self.sid,
            self.seq,
            self.packed.texts[market],
            frame,
            ts_recv,
            NULL if bid is None else bid,
            NULL if bid_size is None else bid_size,
            NULL if ask is None else ask,
            NULL if ask_size is None else ask_size,
            valid,
        )

    def gap(  # noqa: PLR0913 -- a row has as many columns
        self,
        event: str,
        frame: int,
        cause: str,
        channel: str | None,
        expected: int,
        got: int,
        markets: tuple[str, ...],
        opened_at: int,
        healed_at: int = NULL,
    ) -> None:
        """A row of `gaps`."""
        row = self._gaps[1] + 1 if self._gaps[0] == self.frame else 0
        self._gaps = (self.frame, row)
        text = self.packed.text
        self.packed.rows["gaps"] += _GAP(
            *(self.frame, row, self.ts_recv, NULL, self.connection, self.sid, self.seq),
            *(text(event), frame, text(cause), text(channel), expected, got),
            *(self.packed.lists[markets], opened_at, healed_at),
        )
