"""Events as the exchange's frames: compact JSON, keys in the real order, a newline at the end."""

from __future__ import annotations

import datetime
import uuid

from kalshi_trio.exchange.market import ONE_DOLLAR_E4, Book, Change, Closed, Execution, Market

_SPACE = uuid.UUID("00000000-0000-0000-0000-00006b616c73")


def price_text(price_e4: int) -> str:
    """`0.9800`."""
    return f"{price_e4 // 10_000}.{price_e4 % 10_000:04}"


def count_text(count_e2: int) -> str:
    """`-0.37`."""
    sign, count = ("-", -count_e2) if count_e2 < 0 else ("", count_e2)
    return f"{sign}{count // 100}.{count % 100:02}"


def time_text(us: int) -> str:
    """RFC 3339 with trailing zeros dropped: 0 to 6 decimals, as the real ones."""
    second, fraction = divmod(us, 1_000_000)
    text = datetime.datetime.fromtimestamp(second, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f"{fraction:06}".rstrip("0")
    return f"{text}.{digits}Z" if digits else f"{text}Z"


def market_id(ticker: str) -> str:
    """A uuid that is always the same for a ticker."""
    return str(uuid.uuid5(_SPACE, ticker))


def snapshot(ticker: str, book: Book, sid: int, seq: int, number: int = 0) -> bytes:
    """`orderbook_snapshot`; an empty side has no key; `number` is the id of the get_snapshot it answers."""
    sides = ""
    for side, levels in book.sides.items():
        if levels:
            listed = ",".join(f'["{price_text(p)}","{count_text(levels[p])}"]' for p in sorted(levels))
            sides += f',"{side}_dollars_fp":[{listed}]'
    own = f'"id":{number},' if number else ""
    return (
        f'{{"type":"orderbook_snapshot",{own}"sid":{sid},"seq":{seq},"msg":{{"market_ticker":"{ticker}",'
        f'"market_id":"{market_id(ticker)}"{sides}}}}}\n'
    ).encode()


def delta(change: Change, sid: int, seq: int, ids: dict[str, str]) -> bytes:
    """`orderbook_delta`; `ids` remembers the markets' uuids."""
    ticker = change.ticker
    known = ids.get(ticker) or ids.setdefault(ticker, market_id(ticker))
    return (
        f'{{"type":"orderbook_delta","sid":{sid},"seq":{seq},"msg":{{"market_ticker":"{ticker}","market_id":"{known}",'
        f'"price_dollars":"{price_text(change.price_e4)}","delta_fp":"{count_text(change.delta_e2)}",'
        f'"side":"{change.side}","ts":"{time_text(change.ts_us)}","ts_ms":{change.ts_us // 1000}}}}}\n'
    ).encode()


def trade(event: Execution, sid: int, seq: int, number: int) -> bytes:
    """`trade`."""
    taker = event.taker_side
    return (
        f'{{"type":"trade","sid":{sid},"seq":{seq},"msg":{{"trade_id":"{uuid.UUID(int=number)}",'
        f'"market_ticker":"{event.ticker}","yes_price_dollars":"{price_text(event.yes_price_e4)}",'
        f'"no_price_dollars":"{price_text(10_000 - event.yes_price_e4)}","count_fp":"{count_text(event.count_e2)}",'
        f'"taker_side":"{taker}","taker_outcome_side":"{taker}","taker_book_side":"{"bid" if taker == "yes" else "ask"}",'
        f'"is_block_trade":false,"ts":{event.ts_us // 1_000_000},"ts_ms":{event.ts_us // 1000}}}}}\n'
    ).encode()


def ticker(market: Market, sid: int, now_us: int) -> bytes:
    """`ticker`: no seq; an empty ask is 1.0000 with size 0.00."""
    sides, bid, no_bid = market.book.sides, market.book.best("yes"), market.book.best("no")
    ask, bid_size, ask_size = ONE_DOLLAR_E4 - no_bid, sides["yes"].get(bid, 0), sides["no"].get(no_bid, 0)
    return (
        f'{{"type":"ticker","sid":{sid},"msg":{{"market_id":"{market_id(market.ticker)}",'
        f'"market_ticker":"{market.ticker}","price_dollars":"{price_text(market.last_price_e4)}",'
        f'"yes_bid_dollars":"{price_text(bid)}","yes_ask_dollars":"{price_text(ask)}",'
        f'"volume_fp":"{count_text(market.volume_e2)}","open_interest_fp":"{count_text(market.volume_e2 // 2)}",'
        f'"dollar_volume":{market.volume_e2 // 200},"dollar_open_interest":{market.volume_e2 // 400},'
        f'"yes_bid_size_fp":"{count_text(bid_size)}","yes_ask_size_fp":"{count_text(ask_size)}",'
        f'"last_trade_size_fp":"0.00","ts":{now_us // 1_000_000},"ts_ms":{now_us // 1000},"time":"{time_text(now_us)}"}}}}\n'
    ).encode()


def lifecycle(event: Closed, sid: int, seq: int, now_us: int) -> bytes:
    """`market_lifecycle_v2` of a market that was determined."""
    return (
        f'{{"type":"market_lifecycle_v2","sid":{sid},"seq":{seq},"msg":{{"market_ticker":"{event.ticker}",'
        f'"event_type":"determined","determination_ts":{now_us // 1_000_000},"result":"no","settlement_value":"0.0000"}}}}\n'
    ).encode()
