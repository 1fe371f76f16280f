"""Commands to the exchange, as JSON text.

Ids start at `FIRST_ID` so that replies inside a played recording (whose ids are small) are not taken for ours; 0 would
mean "no id". `use_yes_price` is always sent, since its default is to change one day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

FIRST_ID = 1_000_001


def subscribe(command_id: int, channel: str, markets: Sequence[str] | None) -> str:
    """Opens `channel` for `markets`; None for a channel that takes no filter. The reply leaves out the tickers."""
    params: dict[str, object] = {"channels": [channel], "skip_ticker_ack": True}
    if channel == "orderbook_delta":
        params["use_yes_price"] = False
    if markets is not None:
        params["market_tickers"] = list(markets)
    return _command(command_id, "subscribe", params)


def add_markets(command_id: int, sid: int, markets: Sequence[str]) -> str:
    """Adds `markets` to a subscription."""
    params = {"sids": [sid], "action": "add_markets", "market_tickers": list(markets), "skip_ticker_ack": True}
    return _command(command_id, "update_subscription", params)


def get_snapshot(command_id: int, sid: int, markets: Sequence[str]) -> str:
    """Asks for the whole books of `markets`, which belong to the book channel `sid`."""
    params = {"sids": [sid], "action": "get_snapshot", "market_tickers": list(markets)}
    return _command(command_id, "update_subscription", params)


def _command(command_id: int, name: str, params: Mapping[str, object]) -> str:
    return msgspec.json.encode({"id": command_id, "cmd": name, "params": params}).decode()
