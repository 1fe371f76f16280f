"""Events as the exchange's frames: compact JSON, keys in the real order, a newline at the end."""

from __future__ import annotations

import datetime
import json
import uuid
from functools import lru_cache

from kalshi_trio.exchange.market import ONE_DOLLAR_E4, Book, Change, Execution, Quote, Told
from kalshi_trio.protocol.numbers import count_text, price_text

_SPACE = uuid.UUID("00000000-0000-0000-0000-00006b616c73")


def time_text(us: int) -> str:
    """RFC 3339 with trailing zeros dropped: 0 to 6 decimals, as the real ones."""
    second, fraction = divmod(us, 1_000_000)
    digits = f"{fraction:06}".rstrip("0")
    return f"{_second_text(second)}.{digits}Z" if digits else f"{_second_text(second)}Z"


@lru_cache(64)
def _second_text(second: int) -> str:
    return datetime.datetime.fromtimestamp(second, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(4096)
def market_id(ticker: str) -> str:
    """A uuid that is always the same for a ticker."""
    return str(uuid.uuid5(_SPACE, ticker))


@lru_cache(4096)
def named(ticker: str) -> str:
    """The two members that name a market, any characters allowed."""
    return f'"market_ticker":{json.dumps(ticker)},"market_id":"{market_id(ticker)}"'


@lru_cache(4096)
def quoted(ticker: str) -> str:
    """The member that names a market where its id is not told."""
    return f'"market_ticker":{json.dumps(ticker)}'


def numbered(kind: str, sid: int, seq: int, number: int = 0) -> str:
    """The beginning of a frame; a `seq` or an id (`number`) of 0 is none."""
    own, place = (f'"id":{number},' if number else ""), (f'"seq":{seq},' if seq else "")
    return f'{{"type":"{kind}",{own}"sid":{sid},{place}"msg":{{'


class CurrentFrames:
    """As since April 2026: dollars and `_fp` only. `yes_price`: the no side's prices are told as the yes leg's."""

    fine = True

    def snapshot(
        self, ticker: str, book: Book, sid: int, seq: int, number: int = 0, *, yes_price: bool = False
    ) -> bytes:
        """`orderbook_snapshot`; an empty side has no key; `number` is the id of the get_snapshot it answers."""
        sides = ""
        for side, levels in book.sides.items():
            if levels:
                flip = yes_price and side == "no"
                prices = sorted((ONE_DOLLAR_E4 - p, p) if flip else (p, p) for p in levels)
                listed = ",".join(f'["{price_text(shown)}","{count_text(levels[p])}"]' for shown, p in prices)
                sides += f',"{side}_dollars_fp":[{listed}]'
        return f"{numbered('orderbook_snapshot', sid, seq, number)}{named(ticker)}{sides}}}}}\n".encode()

    def delta(self, change: Change, sid: int, seq: int, *, yes_price: bool = False) -> bytes:
        """`orderbook_delta`."""
        ticker, side, price, count, ts_us = change
        shown = ONE_DOLLAR_E4 - price if yes_price and side == "no" else price
        return (
            f'{{"type":"orderbook_delta","sid":{sid},"seq":{seq},"msg":{{{named(ticker)},'
            f'"price_dollars":"{price_text(shown)}","delta_fp":"{count_text(count)}","side":"{side}",'
            f'"ts":"{time_text(ts_us)}","ts_ms":{ts_us // 1000}}}}}\n'
        ).encode()

    def trade(self, event: Execution, sid: int, seq: int) -> bytes:
        """`trade`."""
        taker, price = event.taker_side, event.yes_price_e4
        return (
            f'{numbered("trade", sid, seq)}"trade_id":"{uuid.UUID(int=event.trade_id)}",{quoted(event.ticker)},'
            f'"yes_price_dollars":"{price_text(price)}","no_price_dollars":"{price_text(ONE_DOLLAR_E4 - price)}",'
            f'"count_fp":"{count_text(event.count_e2)}","taker_side":"{taker}","taker_outcome_side":"{taker}",'
            f'"taker_book_side":"{"bid" if taker == "yes" else "ask"}","is_block_trade":false,'
            f'"ts":{event.ts_us // 1_000_000},"ts_ms":{event.ts_us // 1000}}}}}\n'
        ).encode()

    def ticker(self, quote: Quote, sid: int) -> bytes:
        """`ticker`: no seq; an empty ask is 1.0000 with size 0.00."""
        return (
            f'{numbered("ticker", sid, 0)}"market_id":"{market_id(quote.ticker)}",{quoted(quote.ticker)},'
            f'"price_dollars":"{price_text(quote.last_price_e4)}","yes_bid_dollars":"{price_text(quote.bid_e4)}",'
            f'"yes_ask_dollars":"{price_text(ONE_DOLLAR_E4 - quote.no_bid_e4)}","volume_fp":"{count_text(quote.volume_e2)}",'
            f'"open_interest_fp":"{count_text(quote.volume_e2 // 2)}","dollar_volume":{quote.volume_e2 // 200},'
            f'"dollar_open_interest":{quote.volume_e2 // 400},"yes_bid_size_fp":"{count_text(quote.bid_e2)}",'
            f'"yes_ask_size_fp":"{count_text(quote.no_bid_e2)}","last_trade_size_fp":"{count_text(quote.last_count_e2)}",'
            f'"ts":{quote.ts_us // 1_000_000},"ts_ms":{quote.ts_us // 1000},"time":"{time_text(quote.ts_us)}"}}}}\n'
        ).encode()

    def told(self, event: Told, sid: int, seq: int) -> bytes:
        """`market_lifecycle_v2`, `event_lifecycle`: the same in all eras."""
        subject = "event_ticker" if event.kind.startswith("event") else "market_ticker"
        start = numbered(event.kind, sid, seq)
        return f'{start}"{subject}":{json.dumps(event.subject)},{event.members}}}}}\n'.encode()
