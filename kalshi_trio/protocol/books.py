"""All markets' books: snapshots and deltas in, rows and tops of book out; a book that cannot be true is lost.

A book is judged, and its top told, when the exchange's clock moves on: inside one instant books cross and uncross (633
times in 8 million recorded frames, never at the end of one), so an alarm a frame would be a false one. Where a
connection or the session ends nobody knows whether the instant was over: a crossed book is then neither told nor
judged.
Messages without a time (before September 2025) are instants of their own, in which crossing cannot be judged.
"""

from __future__ import annotations

from collections.abc import Iterable

from kalshi_trio.protocol.book import ONE_DOLLAR_E4, Book
from kalshi_trio.protocol.columns import NO, NONE, ROW, YES
from kalshi_trio.protocol.coverage import GAP, WHOLE, turn
from kalshi_trio.protocol.gaps import BOOK_CHANNEL, Gaps
from kalshi_trio.protocol.messages import DeltaFrame, SnapshotFrame
from kalshi_trio.protocol.names import ticker_of
from kalshi_trio.protocol.numbers import NULL
from kalshi_trio.protocol.output import Output
from kalshi_trio.protocol.signals import BooksLost, BookWhole
from kalshi_trio.protocol.state import Market, State, Subscription
from kalshi_trio.protocol.values import Levels, Values

_DELTA = ROW["deltas"].pack
_SNAPSHOT = ROW["snapshots"].pack
_MINUTE_US = 60_000_000


class Books:
    """The books of a session."""

    def __init__(self, state: State, out: Output, gaps: Gaps) -> None:
        self._state = state
        self._markets = state.markets
        self._tally = state.tally
        self._out = out
        self._gaps = gaps
        self.values = values = Values()
        self._row_of = self._next_row = 0
        self._prices = values.prices
        self._counts = values.counts
        self._times = values.times

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
        msg, out = frame.msg, self._out
        price_text, count_text, ts = msg.price_dollars, msg.delta_fp, msg.ts
        price = self._prices[price_text] if price_text is not None else self.values.cents(msg.price)
        change = self._counts[count_text] if count_text is not None else self.values.whole(msg.delta)
        side = msg.side
        us = (self._times.us(ts) if ts else 0) or self.values.milliseconds(msg.ts_ms)
        market = self._markets.get(msg.market_ticker) or self.market(msg.market_ticker)
        if us > sub.instant_us:
            if sub.pending:
                self.close_instant(sub, us)
            sub.instant_us = us
        elif us != sub.instant_us:
            self._odd_instant(sub, us)
        size = NULL
        if market.valid and market.home == sub.key and not out.stale:
            ladder = market.book.yes if side == "yes" else market.book.no
            best = ladder.best
            size = ladder.apply(price, change)
            market.last_frame = out.frame
            market.last_ts_recv = out.ts_recv
            market.last_us = us
            if size == NULL:
                market.negative += 1
                self._impossible(market, price)
            elif price >= best and not market.touched:
                market.touched = True
                sub.pending.append(market.ticker)
        elif not market.anchored:
            market.unanchored += 1
            market.home = sub.key
        market.deltas += 1
        self._tally.deltas += 1
        packed = out.packed
        packed.deltas += _DELTA(
            out.frame,
            us,
            out.sid,
            out.seq,
            packed.texts[msg.market_ticker],
            YES if side == "yes" else NO,
            price,
            change,
            size,
            size != NULL,
        )

    def snapshot(self, sub: Subscription, frame: SnapshotFrame) -> None:
        """Stores a snapshot and, unless the frame came out of sequence, puts it in the place of the book."""
        msg, out = frame.msg, self._out
        yes = self.values.levels(msg.yes_dollars_fp or msg.yes_dollars, msg.yes)
        no = self.values.levels(msg.no_dollars_fp or msg.no_dollars, msg.no)
        market = self.market(msg.market_ticker)
        market.snapshots += 1
        self._tally.snapshots += 1
        self._rows(msg.market_ticker, yes, no)
        if out.stale or self._still_doubted(sub, market, yes, no):
            return
        if market.snapshots == 1:
            out.info(f"Created orderbook for {market.ticker} (sid={sub.sid})")
        if not market.valid:
            market.valid_since = out.ts_recv
            turn(market, WHOLE, out.ts_recv)
        market.book.yes.replace(yes)
        market.book.no.replace(no)
        market.anchored = market.valid = True
        market.last_frame, market.last_ts_recv, market.last_us = out.frame, out.ts_recv, NULL
        if market.home != sub.key:
            self._leave(market)
            market.home = sub.key
        if not market.touched:
            market.touched = True
            sub.pending.append(market.ticker)
        self._gaps.heal(market.ticker)
        out.signals.append(BookWhole(sub.connection, sub.sid, market.ticker))

    def _still_doubted(self, sub: Subscription, market: Market, yes: Levels, no: Levels) -> bool:
        """Whether this snapshot is no more to be believed than the last one, which was crossed and stayed so."""
        turned = sub.connection in self._state.turned
        if turned or (market.doubted and not market.valid and _crossed(yes, no)):
            self._invalidate(market, "impossible_book")
            lost = BooksLost(sub.connection, sub.sid, (market.ticker,), "impossible_book", turned or _turned(yes, no))
            self._out.signals.append(lost)
            return True
        market.doubted = market.turned = False
        return False

    def _rows(self, ticker: str, yes: Levels, no: Levels) -> None:
        out = self._out
        rows, number = out.packed.rows["snapshots"], out.packed.texts[ticker]
        stamps = (NULL, out.sid, out.seq, number, len(yes) + len(no))
        row = self._next_row if self._row_of == out.frame else 0
        for side, levels in ((YES, yes), (NO, no)):
            for price, size in levels:
                rows += _SNAPSHOT(out.frame, row, *stamps, side, price, size)
                row += 1
        if not (yes or no):
            rows += _SNAPSHOT(out.frame, row, *stamps, NONE, NULL, NULL)
            row += 1
        self._row_of, self._next_row = out.frame, row

    def _leave(self, market: Market) -> None:
        """Its book comes from another subscription now: the instant under way there is no longer its own."""
        if market.touched:
            connection, sid = divmod(market.home, 2**32)
            self._state.subscriptions[connection][sid].pending.remove(market.ticker)
            market.touched = False

    def _odd_instant(self, sub: Subscription, us: int) -> None:
        """A message without a time, or an earlier one, which closes nothing unless the clock must have been wrong."""
        if us == NULL:
            self.close_instant(sub, us)
        elif us < sub.instant_us - _MINUTE_US:
            self.close_instant(sub, us)
            sub.instant_us = us

    def close_instant(self, sub: Subscription, next_us: int | None) -> None:
        """The instant is over for all markets of this sid: judge their books, tell the tops that changed.

        `next_us` None: it was cut short. A crossed snapshot, which bears no time, is judged when the next one is over;
        what bears no time is an instant of its own, and none in which crossing can be judged.
        """
        touched, sub.pending = sub.pending, []
        for ticker in touched:
            market = self._markets[ticker]
            market.touched = False
            if not market.valid:
                continue
            best = market.book.best()
            if best[0] + best[2] > ONE_DOLLAR_E4:
                if next_us is not None:
                    self._judge(sub, market, next_us)
            elif best != market.said:
                market.said = best
                self._out.top(market, best)

    def _judge(self, sub: Subscription, market: Market, next_us: int) -> None:
        if NULL not in (market.last_us, next_us):
            market.crossed += 1
            market.doubted = market.said is None
            book = market.book
            market.turned = market.doubted and _turned(book.yes.levels.items(), book.no.levels.items())
            self._impossible(market, market.book.yes.best, turned=market.turned)
            self._judge_all(sub.connection)
            return
        if market.last_us == NULL:
            market.last_us = next_us
        market.touched = True
        sub.pending.append(market.ticker)

    def _judge_all(self, connection: int) -> None:
        """Where most books of a connection look turned, none of it is to be trusted, until there is a new one."""
        mine = [market for market in self._markets.values() if market.home >> 32 == connection and market.anchored]
        if len(mine) > 1 and 2 * sum(market.turned for market in mine) > len(mine):
            self._state.turned.append(connection)
            if whole := sorted(market.ticker for market in mine if market.valid):
                self.lose(whole, "impossible_book", connection, 0, turned=True)

    def _impossible(self, market: Market, price: int, *, turned: bool = False) -> None:
        self._out.seldom("impossible", f"Sequence gap or negative level for {market.ticker} at price {price}")
        connection, sid = divmod(market.home, 2**32)
        self.lose([market.ticker], "impossible_book", connection, sid, turned=turned)

    def lose_one(self, ticker: str, cause: str) -> None:
        """This market's book cannot be true, or misses a frame that could not be read: it may be its first snapshot."""
        market = self._markets.get(ticker)
        if market is not None and market.valid:
            connection, sid = divmod(market.home, 2**32)
            self.lose([ticker], cause, connection, sid)
        elif (market is not None or ticker in self._state.wanted) and cause == "unreadable":
            if any(ticker in gap.markets for gap in self._state.gaps if gap.channel in (BOOK_CHANNEL, None)):
                self._out.signals.append(BooksLost(self._out.connection, self._out.sid, (ticker,), cause))
            else:
                self.lose([ticker], cause, self._out.connection, self._out.sid)

    def miss(self, connection: int, sid: int = 0) -> None:
        """A frame of this sid, or (0) of this connection, could not be read: each of its books may miss it."""
        state = self._state
        concerned = self.concerned(connection, sid or None)
        found = [market for market in concerned if market in state.wanted or self._markets[market].valid]
        if found:
            self.lose(found, "unreadable", connection, sid)

    def lose(
        self,
        tickers: list[str],
        cause: str,
        connection: int,
        sid: int,
        numbers: tuple[int, int] = (NULL, NULL),
        *,
        turned: bool = False,
    ) -> None:
        """These books are not to be trusted until their next snapshot: a hole opens, and the subscriber hears of it."""
        self._gaps.open(cause, BOOK_CHANNEL, tickers, numbers)
        for ticker in tickers:
            self._invalidate(self._markets.get(ticker), cause)
        self._out.signals.append(BooksLost(connection, sid, tuple(tickers), cause, turned))

    def _invalidate(self, market: Market | None, cause: str) -> None:
        """Ends what was said of this market's book."""
        if market is not None and market.valid:
            market.valid = False
            market.lost += 1
            turn(market, GAP, self._out.ts_recv, cause)
            if market.said is not None:
                market.said = None
                self._out.no_top(market)

    def concerned(self, connection: int, sid: int | None = None) -> list[str]:
        """The markets that a hole in this sid, or in the whole connection, is a hole of.

        Those heard of there, and those wanted that have no book anywhere: their first snapshot may be what was lost.
        """
        mine = {
            market.ticker
            for market in self._markets.values()
            if (market.home >> 32 == connection if sid is None else market.home == connection << 32 | sid)
        }
        for ticker in self._state.wanted:
            market = self._markets.get(ticker)
            if market is None or not market.anchored:
                mine.add(ticker)
        return sorted(mine)

    def unsubscribed(self, sub: Subscription) -> None:
        """No more frames of this sid come, as somebody wished: no hole, but its books are not kept any more."""
        self.close_instant(sub, None)
        for market in self._markets.values():
            if market.home == sub.key:
                self._invalidate(market, "unsubscribed")
                self._drop(market)

    def disconnect(self, connection: int, *, final: bool, cause: str = "reconnect") -> None:
        """The connection is over: what is pending is told, its books are dropped."""
        for sub in self._state.subscriptions.get(connection, {}).values():
            self.close_instant(sub, None)
        for market in self._markets.values():
            if market.home >> 32 == connection and market.anchored:
                if not final:
                    self._invalidate(market, cause)
                elif market.valid:
                    turn(market, "", self._out.ts_recv)
                    market.valid = False
                self._drop(market)

    def _drop(self, market: Market) -> None:
        market.anchored = False
        market.book = Book()


def _crossed(yes: Iterable[tuple[int, int]], no: Iterable[tuple[int, int]]) -> bool:
    """Whether somebody bids more than somebody else asks."""
    best = [max((price for price, size in levels if size), default=0) for levels in (yes, no)]
    return sum(best) > ONE_DOLLAR_E4


def _turned(yes: Iterable[tuple[int, int]], no: Iterable[tuple[int, int]]) -> bool:
    """Whether a crossed book would not be crossed if the NO side's prices were those of YES: asks, that is."""
    bid = max((price for price, size in yes if size), default=0)
    return bid <= min((price for price, size in no if size), default=0)
