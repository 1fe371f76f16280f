"""Rows of the channels that are no books: trades, tickers, lifecycle."""

from __future__ import annotations

from typing import Any

import msgspec

from kalshi_trio.errors import WireError
from kalshi_trio.protocol.books import Books, ticker_of
from kalshi_trio.protocol.columns import ROW
from kalshi_trio.protocol.messages import Lifecycle, Ticker, Trade
from kalshi_trio.protocol.numbers import COUNT_LIMIT_E2, NULL, TIME_LIMIT_MS
from kalshi_trio.protocol.output import Output

_TRADE = ROW["trades"].pack
_TICKER = ROW["tickers"].pack
_LIFECYCLE = ROW["lifecycle"].pack


class Others:
    """Makes those rows; WireError where a frame is not what it says, and then no row."""

    def __init__(self, out: Output, books: Books) -> None:
        self._out = out
        self._prices = books.prices
        self._counts = books.counts

    def _price(self, text: str | None, cents: int | None) -> int:
        if text is not None:
            return self._prices[text]
        if cents is not None and not 0 <= cents <= 10_000:
            raise WireError(f"price {cents} cents")
        return NULL if cents is None else cents * 100

    def _count(self, text: str | None, whole: int | None = None) -> int:
        if text is not None:
            return self._counts[text]
        if whole is not None and abs(whole) >= COUNT_LIMIT_E2 // 100:
            raise WireError(f"count {whole}")
        return NULL if whole is None else whole * 100

    def trade(self, msg: Trade) -> None:
        """A row of `trades`."""
        out = self._out
        yes = self._price(msg.yes_price_dollars, msg.yes_price)
        no = self._price(msg.no_price_dollars, msg.no_price)
        count = self._count(msg.count_fp, msg.count)
        if NULL in (yes, no, count):
            raise WireError("a trade without price or count")
        text = out.packed.text
        out.packed.rows["trades"] += _TRADE(
            *(out.frame, 0, out.ts_recv, _event_us(msg.ts_ms, msg.ts), out.connection, out.sid, out.seq),
            *(text(ticker_of(msg.market_ticker)), text(msg.trade_id), yes, no, count),
            *(text(msg.taker_outcome_side or msg.taker_side), msg.is_block_trade, False),
        )

    def ticker(self, msg: Ticker) -> None:
        """A row of `tickers`."""
        out = self._out
        out.packed.rows["tickers"] += _TICKER(
            *(out.frame, 0, out.ts_recv, _event_us(msg.ts_ms, msg.ts), out.connection, out.sid, out.seq),
            out.packed.text(ticker_of(msg.market_ticker)),
            self._price(msg.price_dollars, msg.price),
            self._price(msg.yes_bid_dollars, msg.yes_bid),
            self._price(msg.yes_ask_dollars, msg.yes_ask),
            *(self._count(n) for n in (msg.yes_bid_size_fp, msg.yes_ask_size_fp, msg.last_trade_size_fp)),
            self._count(msg.volume_fp, msg.volume),
            self._count(msg.open_interest_fp, msg.open_interest),
            *(NULL if n is None else n for n in (msg.dollar_volume, msg.dollar_open_interest)),
        )

    def lifecycle(self, message: Lifecycle) -> None:
        """A row of `lifecycle`: all markets', not only the chosen."""
        out = self._out
        payload = bytes(message.msg).decode()
        fields = msgspec.json.decode(payload)
        if not isinstance(fields, dict):
            raise WireError("a lifecycle message that is no object")
        text = out.packed.text
        out.packed.rows["lifecycle"] += _LIFECYCLE(
            *(out.frame, 0, out.ts_recv, NULL, out.connection, out.sid, out.seq),
            text(str(message.__struct_config__.tag)),
            *(text(_text(fields, name)) for name in ("event_type", "market_ticker", "event_ticker")),
            text(payload),
        )


def _text(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) else None


def _event_us(ts_ms: int | None, ts: int | None) -> int:
    """Milliseconds where they are given, else seconds; 0 means none. WireError past the year 9999."""
    us = ts_ms * 1000 if ts_ms else (ts or 0) * 1_000_000
    if not 0 <= us < TIME_LIMIT_MS * 1000:
        raise WireError(f"time {us} µs")
    return us or NULL
