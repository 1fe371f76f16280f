"""What the record under way brings forth: rows, lines for the log, facts for the subscriber."""

from __future__ import annotations

from kalshi_trio.protocol.book import ONE_DOLLAR_E4
from kalshi_trio.protocol.columns import ROW, Packed
from kalshi_trio.protocol.numbers import NULL
from kalshi_trio.protocol.signals import INFO, WARNING, Notice, Signal
from kalshi_trio.protocol.state import Gap, Market

_MINUTE_NS = 60_000_000_000
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
        self.mono_ns = 0
        self.connection = 0
        self.sid = 0
        self.seq = 0
        self.stale = False
        """The frame's sequence number came before: it is stored, and changes no book."""
        self._said: dict[str, int] = {}
        self._unsaid: dict[str, int] = {}
        self._top_of = self._top_rows = 0
        self._gaps = (0, 0)

    def info(self, text: str) -> None:
        """A line for console and files."""
        self.notices.append(Notice(INFO, text))

    def warn(self, text: str) -> None:
        """A line about something that went wrong and was dealt with."""
        self.notices.append(Notice(WARNING, text))

    def seldom(self, kind: str, text: str) -> None:
        """As `warn`, at most once a minute of received time for each `kind`; the next line counts those left out."""
        said = self._said.get(kind)
        if said is not None and abs(self.ts_recv - said) < _MINUTE_NS:
            self._unsaid[kind] = self._unsaid.get(kind, 0) + 1
            return
        left_out = self._unsaid.pop(kind, 0)
        self._said[kind] = self.ts_recv
        self.warn(f"{text} (and {left_out} like it before)" if left_out else text)

    def top(self, market: Market, best: tuple[int, int, int, int]) -> None:
        """A row of `top_of_book`: the best bids as in `Book.best`, as they stood when the market's instant ended."""
        yes, yes_e2, no, no_e2 = best
        row = self._top_row()
        packed = self.packed
        packed.tops += _TOP(
            self.frame,
            row,
            market.last_us,
            self.sid,
            self.seq,
            packed.texts[market.ticker],
            market.last_frame,
            market.last_ts_recv,
            yes or NULL,
            yes_e2 or NULL,
            ONE_DOLLAR_E4 - no if no else NULL,
            no_e2 or NULL,
            True,  # noqa: FBT003 -- the row's `valid`
        )

    def no_top(self, market: Market) -> None:
        """A row that says that from this record on the market has no book to be trusted."""
        self.packed.tops += _TOP(
            *(self.frame, self._top_row(), NULL, self.sid, self.seq),
            *(self.packed.texts[market.ticker], self.frame, self.ts_recv, NULL, NULL, NULL, NULL, False),
        )

    def _top_row(self) -> int:
        self._top_of, self._top_rows = self.frame, self._top_rows + 1 if self._top_of == self.frame else 0
        return self._top_rows

    def gap(self, event: str, gap: Gap, markets: tuple[str, ...], healed_at: int = NULL) -> None:
        """A row of `gaps`: what became of this gap for these markets."""
        row = self._gaps[1] + 1 if self._gaps[0] == self.frame else 0
        self._gaps = (self.frame, row)
        text = self.packed.text
        self.packed.rows["gaps"] += _GAP(
            *(self.frame, row, NULL, self.sid, self.seq),
            *(text(event), gap.frame, text(gap.cause), text(gap.channel), gap.expected, gap.got),
            *(self.packed.lists[markets], gap.opened_at, healed_at),
        )
