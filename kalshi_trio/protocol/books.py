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
UNREADABLE = "unreadable"
EMPTIED, DETERMINED = 1, 2
"""How a market is closed: levels end the former, only the exchange's word the latter."""


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
        self._lost: tuple[object, ...] | None = None
        """The last gap of all books of something, and how much had changed then: it need not be looked for again."""

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
                if market.closed:
                    self._reopened(market)
        else:
            self._unbased(sub, market)
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
        levels = bool(yes or no)
        ends = not (levels or frame.id) and market.anchored and market.home == sub.key
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
        market.proved = out.ts_recv
        self._whole(market, levels=levels, ends=ends)
        out.signals.append(BookWhole(sub.connection, sub.sid, market.ticker))

    def _still_doubted(self, sub: Subscription, market: Market, yes: Levels, no: Levels) -> bool:
        """Whether this snapshot is no more to be believed than the last one, which was crossed and stayed so."""
        turned = sub.connection in self._state.turned
        if turned or (market.doubted and not market.valid and _crossed(yes, no)):
            self._invalidate(market)
            lost = BooksLost(sub.connection, sub.sid, (market.ticker,), "impossible_book", turned or _turned(yes, no))
            self._out.signals.append(lost)
            if not turned:
                self._judge_all(sub.connection)
            return True
        market.doubted = market.turned = False
        return False

    def _whole(self, market: Market, *, levels: bool, ends: bool) -> None:
        """Its book is whole now; `ends`: by a snapshot without levels that nobody asked for, which is what a close is.

        A closed market that shows an empty book once more, on a new connection, is still closed.
        """
        if ends:
            self._gaps.close(market, EMPTIED)
            return
        self._gaps.heal(market.ticker)
        if market.closed == EMPTIED and levels:
            market.closed = 0
        if not market.closed and market.cover != WHOLE:
            turn(market, WHOLE, self._out.ts_recv)

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
                if market.closed and (best[0] or best[2]):
                    self._reopened(market)
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
        """Where the books of a connection look turned, none of it is to be trusted, until there is a new one.

        A turned book whose market trades below half a dollar is not crossed: it is a plausible book, if a wide one. So
        those are not counted that look well, but those that would be crossed if they were turned: they prove the contrary.
        """
        if connection in self._state.turned:
            return
        mine = [market for market in self._of(connection) if market.anchored]
        turned, likely, contrary = sum(market.turned for market in mine), 0, 0
        for book in [market.book for market in mine if market.valid and market.book.yes.best and market.book.no.best]:
            if _turned(book.yes.levels.items(), book.no.levels.items()):
                likely += 1
            else:
                contrary += 1
        if len(mine) > 1 and turned and (not contrary or (turned > 1 and contrary < turned + likely)):
            self._state.turned.append(connection)
            for market in mine:
                self.lose_one(market.ticker, turned=True)

    def _impossible(self, market: Market, price: int, *, turned: bool = False) -> None:
        self._out.seldom("impossible", f"Sequence gap or negative level for {market.ticker} at price {price}")
        self.lose_one(market.ticker, turned=turned)

    def lose_one(self, ticker: str, cause: str = "impossible_book", *, turned: bool = False) -> None:
        """This market's book cannot be true, or (`unreadable`) misses the frame under way, which could not be read."""
        market = self._markets.get(ticker)
        if cause == UNREADABLE:
            connection, sid = self._out.connection, self._out.sid
            at = self._gaps.known(self._sub(connection, sid))
        elif market is not None and market.valid:
            connection, sid = divmod(market.home, 2**32)
            at = market.proved
        else:
            return
        if self._gaps.wants(ticker):
            self.lose([ticker], cause, connection, sid, at=at, turned=turned)
        else:
            self._invalidate(market)

    def lose_all(
        self, sub: Subscription, cause: str, channel: str | None, numbers: tuple[int, int] = (NULL, NULL)
    ) -> None:
        """All books of this sid, or (0) of the whole connection, are not to be trusted."""
        connection, sid = sub.connection, sub.sid
        again = (connection, sid, cause, channel, self._gaps.changes)
        if again == self._lost:
            self._state.gaps_repeated += 1
            return
        mine = self._of(connection, sid)
        tickers = self.concerned(connection, sid)
        if tickers or not mine or any(self._gaps.wants(market.ticker) for market in mine):
            self.lose(tickers, cause, connection, sid, numbers, at=self._gaps.known(sub), channel=channel)
        for market in mine:
            self._invalidate(market)
        self._lost = (connection, sid, cause, channel, self._gaps.changes) if tickers else None

    def lose(  # noqa: PLR0913 -- one fact
        self,
        tickers: list[str],
        cause: str,
        connection: int,
        sid: int,
        numbers: tuple[int, int] = (NULL, NULL),
        *,
        at: int | None = None,
        channel: str | None = BOOK_CHANNEL,
        turned: bool = False,
    ) -> None:
        """These books are not to be trusted until their next snapshot: a gap opens, and the subscriber hears of it.

        It begins at `at`, or where the last thing came that is known of the sid, or of the connection (0).
        """
        at = self._gaps.known(self._sub(connection, sid)) if at is None else at
        self._gaps.open(cause, channel, tickers, at, numbers, sid)
        for ticker in tickers:
            self._invalidate(self._markets.get(ticker))
        if tickers:
            self._out.signals.append(BooksLost(connection, sid, tuple(tickers), cause, turned))

    def _invalidate(self, market: Market | None) -> None:
        """Ends what was said of this market's book; what it covers from now on is a gap's to say, if it is wanted."""
        if market is not None and market.valid:
            market.valid = False
            market.lost += 1
            if market.cover == WHOLE:
                turn(market, "", self._out.ts_recv)
            if market.said is not None:
                market.said = None
                self._out.no_top(market)

    def _sub(self, connection: int, sid: int) -> Subscription:
        """What is known of a sid; nothing is of 0."""
        return self._state.subscriptions.get(connection, {}).get(sid) or Subscription(connection, sid)

    def _of(self, connection: int, sid: int = 0) -> list[Market]:
        """The markets heard of on this sid, or on the whole connection (0)."""
        markets = self._markets.values()
        if sid:
            return [market for market in markets if market.home == connection << 32 | sid]
        return [market for market in markets if market.home >> 32 == connection]

    def concerned(self, connection: int, sid: int = 0) -> list[str]:
        """The markets that a gap in this sid, or in the whole connection (0), is a gap of; closed ones are not.

        Of those that were wanted: the ones heard of there, and those that have no book anywhere: their first snapshot may
        be what was lost. Where markets are wanted as they are seen, those not seen yet have lost nothing.
        """
        mine = {m.ticker for m in self._of(connection, sid) if not m.closed and self._gaps.wants(m.ticker)}
        return sorted(mine.union(self.bookless()))

    def bookless(self) -> list[str]:
        """Wanted markets that are not closed and have no book on a connection that is open."""
        found = []
        for ticker in self._state.wanted:
            market = self._markets.get(ticker)
            if not self._state.as_seen if market is None else not (market.anchored or market.closed):
                found.append(ticker)
        return found

    def _unbased(self, sub: Subscription, market: Market) -> None:
        """A delta that has no valid book of its subscription to change. If its market is in no gap, that is one to be."""
        if not market.anchored:
            market.unanchored += 1
            if market.home != sub.key:
                market.home = sub.key
                self._gaps.changes += 1
        ticker, gaps = market.ticker, self._gaps
        if market.valid or market.cover == GAP or market.closed == DETERMINED or not gaps.wants(ticker):
            return
        if market.closed:
            self.lose([ticker], "no_book", sub.connection, sub.sid)
        else:
            gaps.wait_for(ticker, gaps.known(sub))

    def _reopened(self, market: Market) -> None:
        """Its valid book has levels again after its closing snapshot."""
        if market.closed == EMPTIED:
            market.closed = 0
            self._gaps.changes += 1
            turn(market, WHOLE, self._out.ts_recv)

    def lifecycle(self, event: str | None, ticker: str | None) -> None:
        """What the exchange says of a market's life: determined or settled, it is closed, unless it is activated again."""
        if ticker is None or not self._gaps.wants(ticker):
            return
        if event in {"determined", "settled"}:
            self._gaps.close(self.market(ticker), DETERMINED)
        elif event == "activated" and ticker in self._markets and self._markets[ticker].closed:
            self._markets[ticker].closed = EMPTIED

    def unsubscribed(self, sub: Subscription) -> None:
        """No more frames of this sid come, as somebody wished: no gap, but its books are not kept any more."""
        self.close_instant(sub, None)
        for market in self._of(sub.connection, sub.sid):
            if self._gaps.wants(market.ticker):
                self._gaps.close(market, EMPTIED)
            self._invalidate(market)
            self._drop(market)

    def disconnect(self, connection: int, at: int, *, final: bool) -> None:
        """The connection is over, and was known to be good until `at`: what is pending is told, its books are dropped."""
        self._gaps.changes += 1
        for sub in self._state.subscriptions.get(connection, {}).values():
            self.close_instant(sub, None)
        for market in self._of(connection):
            if not market.anchored:
                continue
            if not final:
                self._invalidate(market)
            elif market.valid:
                market.valid = False
                if market.cover == WHOLE:
                    turn(market, "", at)
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
