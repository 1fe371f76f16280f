"""Kalshi's messages read with `json` and `decimal`, for the plain model: what each says, in the units of the tables."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

Row = dict[str, Any]


class Refused(Exception):
    """A frame that is not what it says."""


def units(text: str, places: int) -> int:
    """The decimal as a whole number of its last place."""
    number = Decimal(text).scaleb(places)
    if number != number.to_integral_value():
        raise Refused(text)
    return int(number)


def price_text(e4: int | None) -> str | None:
    """As the tables hold it."""
    return None if e4 is None else f"{Decimal(e4).scaleb(-4):.4f}"


def count_text(e2: int | None) -> str | None:
    """As the tables hold it."""
    return None if e2 is None else f"{Decimal(e2).scaleb(-2):.2f}"


def time_of(msg: Row) -> int | None:
    """Microseconds since 1970, None where the message bears no time."""
    if msg.get("ts"):
        since = datetime.datetime.fromisoformat(msg["ts"]) - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
        return since // datetime.timedelta(microseconds=1)
    return msg["ts_ms"] * 1000 if msg.get("ts_ms") else None


def levels_of(msg: Row, side: str) -> list[tuple[int, int]]:
    """One side of a snapshot; of what three eras write, the most exact."""
    if f"{side}_dollars_fp" in msg:
        found = [(units(p, 4), units(n, 2)) for p, n in msg[f"{side}_dollars_fp"]]
    elif f"{side}_dollars" in msg:
        found = [(units(p, 4), n * 100) for p, n in msg[f"{side}_dollars"]]
    else:
        found = [(p * 100, n * 100) for p, n in msg.get(side, ())]
    if any(size < 0 for _, size in found):
        raise Refused
    return found


def _trade(msg: Row) -> Row:
    prices = {}
    for side in ("yes", "no"):
        given = msg.get(f"{side}_price_dollars")
        if given is None and f"{side}_price" not in msg:
            raise Refused
        prices[f"{side}_price"] = price_text(units(given, 4) if given else msg[f"{side}_price"] * 100)
    count = units(msg["count_fp"], 2) if "count_fp" in msg else msg["count"] * 100
    what = {"market": msg["market_ticker"], "trade_id": msg["trade_id"], "count": count_text(count)}
    taker = {"taker_side": msg.get("taker_outcome_side") or msg.get("taker_side"), "fetched": False}
    time = msg["ts_ms"] * 1000 if "ts_ms" in msg else msg["ts"] * 1_000_000
    return {"ts_event": time, "block": msg.get("is_block_trade", False), **what, **taker, **prices}


def _ticker(msg: Row) -> Row:
    prices = dict.fromkeys(("price", "yes_bid", "yes_ask"))
    prices |= {name: price_text(msg[name] * 100) for name in prices if name in msg}
    prices |= {name: price_text(units(msg[f"{name}_dollars"], 4)) for name in prices if f"{name}_dollars" in msg}
    counts = dict.fromkeys(("yes_bid_size", "yes_ask_size", "last_trade_size", "volume", "open_interest"))
    counts |= {name: count_text(msg[name] * 100) for name in ("volume", "open_interest") if name in msg}
    counts |= {name: count_text(units(msg[f"{name}_fp"], 2)) for name in counts if f"{name}_fp" in msg}
    money = {name: msg.get(name) for name in ("dollar_volume", "dollar_open_interest")}
    return {"ts_event": msg["ts"] * 1_000_000, "market": msg["market_ticker"], **prices, **counts, **money}


def _lifecycle(msg: Row) -> Row:
    names = {"market": msg.get("market_ticker"), "event_ticker": msg.get("event_ticker")}
    payload = json.dumps(msg, separators=(",", ":"))
    return {"kind": "market_lifecycle_v2", "event_type": msg["event_type"], "payload": payload, **names}


ROWS: dict[str, tuple[str, Callable[[Row], Row]]] = {
    "trade": ("trades", _trade),
    "ticker": ("tickers", _ticker),
    "market_lifecycle_v2": ("lifecycle", _lifecycle),
}
"""Type of message → its table and what it says there."""
