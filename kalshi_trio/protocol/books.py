"""All markets' books: snapshots and deltas in, rows and tops of book out; a book that cannot be true is lost.

A book is judged, and its top told, when the exchange's clock moves on: inside one instant books cross and uncross (633
times in 8 million recorded frames, never at the end of one), so an alarm a frame would be a false one.
"""

from __future__ import annotations

from kalshi_trio.errors import WireError
from kalshi_trio.protocol.book import NO_TOP, ONE_DOLLAR_E4, Book
from kalshi_trio.protocol.columns import NONE, ROW
from kalshi_trio.protocol.gaps import BOOK_CHANNEL, Gaps
from kalshi_trio.protocol.messages import DeltaFrame, Level, SnapshotFrame
from kalshi_trio.protocol.numbers import COUNT_LIMIT_E2, NULL, PRICE_LIMIT_E4, TIME_LIMIT_MS, Counts, Prices, Times
from kalshi_trio.protocol.output import Output
from kalshi_trio.protocol.signals import BooksLost, BookWhole
from kalshi_trio.protocol.state import Market, State, Subscription

_DELTA = ROW["deltas"].pack
_SNAPSHOT = ROW["snapshots"].pack
_SIDES = frozenset(("yes", "no"))
TICKER_LIMIT = 200
"""The longest real ticker has 55 characters."""


def ticker_of(text: str) -> str:
    """`text`, or WireError if it cannot be a ticker (72,482 real ones are capitals, digits, dots and hyphens)."""
    if 0 < len(text) <= TICKER_LIMIT and text.isascii() and text.isprintable() and " " not in text:
        return text
    raise WireError(f"{text[:60]!r} ({len(text)} characters) is no market ticker")


class Books:
    """The books of a session."""

    def __init__(self, state: State, out: Output, gaps: Gaps) -> None:
        self._state = state
        self._markets = state.markets
        self._tally = state.tally
        self._out = out
        self._gaps = gaps
        self.prices = Prices()
        self.counts = Counts()
        self.times = Times()

    def market(self, ticker: str) -> Market:
        """The market, made at its first sight; WireError if that is no ticker."""
        market = self._markets.get(ticker)
        if market is None:
            market = self._markets[ticker] = Market(ticker_of(ticker))
        return market

    def delta(self, sub: Subscription, frame: DeltaFrame) -> None:
        """Stores a delta; applies it where the book is whole and the frame in sequence. WireError: nothing was done.

        The hottest function of all: flat on purpose.
        """
        msg, out, market = frame.msg, self._out, self._markets.get(frame.msg.market_ticker)
        side = msg.side
        if side not in _SIDES:
            raise WireError(f"side {side[:20]!r}")
        price = self.prices[msg.price_dollars] if msg.price_dollars is not None else self._cents(msg.price)
        change = self.counts[msg.delta_fp] if msg.delta_fp is not None else self._whole(msg.delta)
        us = self.times.us(msg.ts) if msg.ts is not None else self._milliseconds(msg.ts_ms)
        if market is None:
            market = self.market(msg.market_ticker)
        if us != sub.instant_us:
            self._move_on(sub, us)
        size = NULL
        if market.valid and not out.stale and market.sid == sub.sid and market.connection == sub.connection:
            size = market.book.apply(side, price, change)
            if size < 0:
                self._impossible(market, price)
                size = NULL
            else:
                market.last_frame = out.frame
                market.last_ts_recv = out.ts_recv
                market.last_us = us
                if not market.touched:
                    market.touched = True
                    sub.pending.append(market.ticker)
        elif not market.anchored:
            market.unanchored += 1
        market.deltas += 1
        self._tally.deltas += 1
        packed = out.packed
        texts = packed.texts
        packed.deltas += _DELTA(
            out.frame,
            0,
            out.ts_recv,
            us,
            out.connection,
            out.sid,
            out.seq,
            texts[msg.market_ticker],
            texts[side],
            price,
            change,
            size,
            size != NULL,
        )

    def _cents(self, price: int | None) -> int:
        if price is None or not 0 <= price < PRICE_LIMIT_E4 // 100:
            raise WireError(f"price {price}")
        return price * 100

    def _whole(self, count: int | None) -> int:
        if count is None or abs(count) >= COUNT_LIMIT_E2 // 100:
            raise WireError(f"count {count}")
        return count * 100

    def _milliseconds(self, ts_ms: int | None) -> int:
        if ts_ms and not 0 < ts_ms < TIME_LIMIT_MS:
            raise WireError(f"ts_ms {ts_ms}")
        return ts_ms * 1000 if ts_ms else NULL

    def snapshot(self, sub: Subscription, frame: SnapshotFrame) -> None:
        """Stores a snapshot and, unless the frame came out of sequence, puts it in the place of the book."""
        msg = frame.msg
        yes = self._levels(msg.yes_dollars_fp or msg.yes_dollars, msg.yes)
        no = self._levels(msg.no_dollars_fp or msg.no_dollars, msg.no)
        market = self.market(msg.market_ticker)
        market.snapshots += 1
        self._tally.snapshots += 1
        self._rows(msg.market_ticker, yes, no)
        out = self._out
        if out.stale:
            return
        if not market.valid:
            market.valid_since = out.ts_recv
        if not market.snapshots - 1:
            out.info(f"Created orderbook for {market.ticker} (sid={sub.sid})")
        market.book.replace({p: n for p, n in yes if n}, {p: n for p, n in no if n})
        market.connection, market.sid = sub.connection, sub.sid
        market.anchored = market.valid = True
        market.last_frame, market.last_ts_recv, market.last_us = out.frame, out.ts_recv, NULL
        if not market.touched or market.ticker not in sub.pending:
            market.touched = True
            sub.pending.append(market.ticker)
        self._gaps.heal(market.ticker)
        out.signals.append(BookWhole(sub.connection, sub.sid, market.ticker))

    def _levels(self, exact: list[Level] | None, cents: list[tuple[int, int]] | None) -> list[tuple[int, int]]:
        if exact is not None:
            levels = [(self.prices[p], n * 100 if isinstance(n, int) else self.counts[n]) for p, n in exact]
        else:
            levels = [(p * 100, n * 100) for p, n in cents or ()]
        for price, size in levels:
            if not (0 <= price < PRICE_LIMIT_E4 and 0 <= size < COUNT_LIMIT_E2):
                raise WireError(f"level {size} at {price}")
        return levels

    def _rows(self, ticker: str, yes: list[tuple[int, int]], no: list[tuple[int, int]]) -> None:
        out = self._out
        texts, rows = out.packed.texts, out.packed.rows["snapshots"]
        stamps = (out.ts_recv, NULL, out.connection, out.sid, out.seq, texts[ticker], len(yes) + len(no))
        row = 0
        for side, levels in (("yes", yes), ("no", no)):
            for price, size in levels:
                rows += _SNAPSHOT(out.frame, row, *stamps, texts[side], price, size)
                row += 1
        if not row:
            rows += _SNAPSHOT(out.frame, 0, *stamps, NONE, NULL, NULL)

    def _move_on(self, sub: Subscription, us: int) -> None:
        """The exchange's clock shows `us`; an earlier time closes nothing, a missing one cannot tell."""
        if us == NULL or us > sub.instant_us:
            if sub.pending:
                self.close_instant(sub)
            sub.instant_us = us

    def close_instant(self, sub: Subscription) -> None:
        """The instant is over for all markets of this sid: judge their books, tell the tops that changed."""
        touched, sub.pending = sub.pending, []
        for ticker in touched:
            market = self._markets[ticker]
            market.touched = False
            if not market.valid:
                continue
            book = market.book
            yes, no = book.best_yes, book.best_no
            if yes + no > ONE_DOLLAR_E4 and book.crossed() and market.last_us != NULL:
                self._impossible(market, yes)
                continue
            said = (yes, book.yes[yes] if yes else 0, no, book.no[no] if no else 0)
            if said != market.said:
                market.said = said
                about = (market.last_frame, market.last_ts_recv, market.last_us)
                self._out.top(ticker, about, book.top(), valid=True)

    def _impossible(self, market: Market, price: int) -> None:
        self._out.warn(f"Sequence gap or negative level for {market.ticker} at price {price}")
        self.lose([market.ticker], "impossible_book", market.connection, market.sid)

    def lose(
        self, tickers: list[str], cause: str, connection: int, sid: int, expected: int = NULL, got: int = NULL
    ) -> None:
        """These books are not to be trusted until their next snapshot: a hole opens, and the subscriber hears of it."""
        self._gaps.open(cause, BOOK_CHANNEL, tickers, expected, got)
        for ticker in tickers:
            self.invalidate(ticker)
        self._out.signals.append(BooksLost(connection, sid, tuple(tickers), cause))

    def invalidate(self, ticker: str) -> None:
        """Ends what was said of this market's book."""
        market = self._markets.get(ticker)
        if market is None or not market.valid:
            return
        out = self._out
        market.valid = False
        market.lost += 1
        market.spans.append((market.valid_since, out.ts_recv))
        if market.said is not None:
            market.said = None
            out.top(ticker, (out.frame, out.ts_recv, NULL), NO_TOP, valid=False)

    def of(self, connection: int, sid: int) -> list[str]:
        """The markets whose books came from this sid; those that are wanted if none came yet."""
        mine = [m.ticker for m in self._markets.values() if m.sid == sid and m.connection == connection and m.anchored]
        return mine or list(self._state.wanted)

    def disconnect(self, connection: int, *, final: bool) -> None:
        """The connection is over: what is pending is told, its books are dropped."""
        for sub in self._state.subscriptions.get(connection, {}).values():
            self.close_instant(sub)
        for market in self._markets.values():
            if market.connection == connection and market.anchored:
                if final and market.valid:
                    market.spans.append((market.valid_since, self._out.ts_recv))
                    market.valid = False
                elif not final:
                    self.invalidate(market.ticker)
                market.anchored = False
                market.book = Book()
