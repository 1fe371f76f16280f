"""Rows of the channels that are no books: trades, tickers, lifecycle."""

from __future__ import annotations

from msgspec import Raw

from kalshi_trio.errors import WireError
from kalshi_trio.protocol.book import ONE_DOLLAR_E4
from kalshi_trio.protocol.census import UNUSED
from kalshi_trio.protocol.columns import ROW
from kalshi_trio.protocol.messages import Ticker, Trade
from kalshi_trio.protocol.names import fit, ticker_of
from kalshi_trio.protocol.numbers import NULL
from kalshi_trio.protocol.output import Output
from kalshi_trio.protocol.second import Object, object_of, value_of
from kalshi_trio.protocol.values import Values

_TRADE = ROW["trades"].pack
_TICKER = ROW["tickers"].pack
_LIFECYCLE = ROW["lifecycle"].pack


class Others:
    """Makes those rows; WireError where a frame is not what it says, and then no row."""

    def __init__(self, out: Output, values: Values) -> None:
        self._out = out
        self._values = values

    def trade(self, msg: Trade) -> None:
        """A row of `trades`; a price that is not given follows from the other side's."""
        out, values = self._out, self._values
        yes = values.price(msg.yes_price_dollars, msg.yes_price)
        no = values.price(msg.no_price_dollars, msg.no_price)
        count = values.count(msg.count_fp, msg.count)
        if yes == NULL:
            yes = _other(no)
        elif no == NULL:
            no = _other(yes)
        if NULL in (yes, no, count):
            raise WireError("a trade without price or count")
        packed = out.packed
        texts = packed.texts
        packed.rows["trades"] += _TRADE(
            out.frame,
            values.milliseconds(msg.ts_ms, msg.ts),
            out.sid,
            out.seq,
            texts[ticker_of(msg.market_ticker)],
            texts[msg.trade_id],
            yes,
            no,
            count,
            packed.text(msg.taker_outcome_side or msg.taker_side),
            msg.is_block_trade is True,
            False,  # noqa: FBT003 -- the row's `fetched`
        )

    def ticker(self, msg: Ticker) -> None:
        """A row of `tickers`."""
        out, values = self._out, self._values
        out.packed.rows["tickers"] += _TICKER(
            *(out.frame, values.milliseconds(msg.ts_ms, msg.ts), out.sid, out.seq),
            out.packed.texts[ticker_of(msg.market_ticker)],
            values.price(msg.price_dollars, msg.price),
            values.price(msg.yes_bid_dollars, msg.yes_bid),
            values.price(msg.yes_ask_dollars, msg.yes_ask),
            *(values.count(n) for n in (msg.yes_bid_size_fp, msg.yes_ask_size_fp, msg.last_trade_size_fp)),
            values.count(msg.volume_fp, msg.volume),
            values.count(msg.open_interest_fp, msg.open_interest),
            *(NULL if n is None else n for n in (msg.dollar_volume, msg.dollar_open_interest)),
        )

    def lifecycle(self, kind: str, msg: Raw) -> tuple[str | None, str | None]:
        """A row of `lifecycle`: all markets', not only the chosen. Returns the event's type and the market."""
        out, fields = self._out, object_of(msg)
        try:
            payload = bytes(msg).decode()
        except UnicodeDecodeError as error:
            raise WireError(str(error)) from error
        text = out.packed.text
        event, market = _name(fields, "event_type"), _name(fields, "market_ticker")
        out.packed.rows["lifecycle"] += _LIFECYCLE(
            *(out.frame, NULL, out.sid, out.seq),
            text(kind),
            *(text(event), text(market), text(_name(fields, "event_ticker"))),
            text(payload),
        )
        return event, market


def _other(price_e4: int) -> int:
    """What the other side is worth; NULL where that is no price."""
    return ONE_DOLLAR_E4 - price_e4 if 0 <= price_e4 <= ONE_DOLLAR_E4 else NULL


def _name(fields: Object, name: str) -> str | None:
    """A type or a ticker, None where there is none."""
    value = value_of(fields.get(name, UNUSED))
    return value if isinstance(value, str) and fit(value) else None
