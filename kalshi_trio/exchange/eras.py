"""How frames looked before: whole cents and whole contracts, alone (before September 2025) or beside the dollars."""

from __future__ import annotations

import uuid
from typing import Literal

from kalshi_trio.exchange.frames import (
    CurrentFrames,
    market_id,
    named,
    numbered,
    quoted,
    time_text,
)
from kalshi_trio.exchange.market import ONE_DOLLAR_E4, Book, Change, Execution, Quote
from kalshi_trio.protocol.numbers import count_text, price_text

Era = Literal["current", "dual", "cents"]


class CentsFrames(CurrentFrames):
    """Before 2025-09-09: integers of cents and contracts; deltas carry no time."""

    fine = False

    def snapshot(
        self, ticker: str, book: Book, sid: int, seq: int, number: int = 0, *, yes_price: bool = False
    ) -> bytes:
        """`orderbook_snapshot`; `use_yes_price` did not exist."""
        del yes_price
        sides = "".join(f',"{side}":[{_cents(levels)}]' for side, levels in book.sides.items() if levels)
        return f"{numbered('orderbook_snapshot', sid, seq, number)}{quoted(ticker)}{sides}}}}}\n".encode()

    def delta(self, change: Change, sid: int, seq: int, *, yes_price: bool = False) -> bytes:
        """`orderbook_delta`."""
        del yes_price
        ticker, side, price, count, _ = change
        tail = f'{quoted(ticker)},"price":{price // 100},"delta":{count // 100},"side":"{side}"}}}}\n'
        return (numbered("orderbook_delta", sid, seq) + tail).encode()

    def trade(self, event: Execution, sid: int, seq: int) -> bytes:
        """`trade`."""
        yes, count = event.yes_price_e4 // 100, event.count_e2 // 100
        return (
            f'{numbered("trade", sid, seq)}"trade_id":"{uuid.UUID(int=event.trade_id)}",{quoted(event.ticker)},'
            f'"yes_price":{yes},"no_price":{100 - yes},"count":{count},"taker_side":"{event.taker_side}",'
            f'"ts":{event.ts_us // 1_000_000}}}}}\n'
        ).encode()

    def ticker(self, quote: Quote, sid: int) -> bytes:
        """`ticker`."""
        volume = quote.volume_e2 // 100
        return (
            f'{numbered("ticker", sid, 0)}"market_id":"{market_id(quote.ticker)}",{quoted(quote.ticker)},'
            f'"price":{quote.last_price_e4 // 100},"yes_bid":{quote.bid_e4 // 100},"yes_ask":{100 - quote.no_bid_e4 // 100},'
            f'"volume":{volume},"open_interest":{volume // 2},"dollar_volume":{volume // 2},'
            f'"dollar_open_interest":{volume // 4},"ts":{quote.ts_us // 1_000_000},"Clock":{quote.ts_us}}}}}\n'
        ).encode()


class DualFrames(CentsFrames):
    """From 2026-01-22 to 2026-03-12: cents, dollars and `_fp` beside each other, the same thing told three times."""

    def snapshot(
        self, ticker: str, book: Book, sid: int, seq: int, number: int = 0, *, yes_price: bool = False
    ) -> bytes:
        """`orderbook_snapshot` with up to six arrays."""
        del yes_price
        sides = ""
        for suffix, listed in (("", _cents), ("_dollars", _dollars), ("_dollars_fp", _fixed_point)):
            sides += "".join(f',"{side}{suffix}":[{listed(levels)}]' for side, levels in book.sides.items() if levels)
        return f"{numbered('orderbook_snapshot', sid, seq, number)}{named(ticker)}{sides}}}}}\n".encode()

    def delta(self, change: Change, sid: int, seq: int, *, yes_price: bool = False) -> bytes:
        """`orderbook_delta`, its `ts` without `ts_ms`."""
        del yes_price
        ticker, side, price, count, ts_us = change
        return (
            f'{numbered("orderbook_delta", sid, seq)}{named(ticker)},"price":{price // 100},'
            f'"price_dollars":"{price_text(price)}","delta":{count // 100},"delta_fp":"{count_text(count)}",'
            f'"side":"{side}","ts":"{time_text(ts_us)}"}}}}\n'
        ).encode()

    def trade(self, event: Execution, sid: int, seq: int) -> bytes:
        """`trade`."""
        price, yes, count = event.yes_price_e4, event.yes_price_e4 // 100, event.count_e2 // 100
        return (
            f'{numbered("trade", sid, seq)}"trade_id":"{uuid.UUID(int=event.trade_id)}",{quoted(event.ticker)},'
            f'"yes_price":{yes},"no_price":{100 - yes},"yes_price_dollars":"{price_text(price)}",'
            f'"no_price_dollars":"{price_text(ONE_DOLLAR_E4 - price)}","count":{count},'
            f'"count_fp":"{count_text(event.count_e2)}","taker_side":"{event.taker_side}",'
            f'"ts":{event.ts_us // 1_000_000}}}}}\n'
        ).encode()

    def ticker(self, quote: Quote, sid: int) -> bytes:
        """`ticker`, with the undocumented `Clock`."""
        volume, volume_fp = quote.volume_e2 // 100, count_text(quote.volume_e2)
        bid, ask = quote.bid_e4, ONE_DOLLAR_E4 - quote.no_bid_e4
        return (
            f'{numbered("ticker", sid, 0)}"market_id":"{market_id(quote.ticker)}",{quoted(quote.ticker)},'
            f'"price":{quote.last_price_e4 // 100},"yes_bid":{bid // 100},"yes_ask":{ask // 100},'
            f'"price_dollars":"{price_text(quote.last_price_e4)}","yes_bid_dollars":"{price_text(bid)}",'
            f'"yes_ask_dollars":"{price_text(ask)}","volume":{volume},"volume_fp":"{volume_fp}",'
            f'"open_interest":{volume // 2},"open_interest_fp":"{volume // 2}.00","dollar_volume":{volume // 2},'
            f'"dollar_open_interest":{volume // 4},"yes_bid_size_fp":"{count_text(quote.bid_e2)}",'
            f'"yes_ask_size_fp":"{count_text(quote.no_bid_e2)}","last_trade_size_fp":"{count_text(quote.last_count_e2)}",'
            f'"ts":{quote.ts_us // 1_000_000},"Clock":{quote.ts_us}}}}}\n'
        ).encode()


FRAMES: dict[Era, CurrentFrames] = {"current": CurrentFrames(), "dual": DualFrames(), "cents": CentsFrames()}
"""The makers of frames; whole cents and contracts are needed where `fine` is False."""


def _cents(levels: dict[int, int]) -> str:
    return ",".join(f"[{price // 100},{levels[price] // 100}]" for price in sorted(levels))


def _dollars(levels: dict[int, int]) -> str:
    return ",".join(f'["{price_text(price)}",{levels[price] // 100}]' for price in sorted(levels))


def _fixed_point(levels: dict[int, int]) -> str:
    return ",".join(f'["{price_text(price)}","{count_text(levels[price])}"]' for price in sorted(levels))
