"""Commands as the exchange reads them."""

from __future__ import annotations

import json

from kalshi_trio.protocol.commands import FIRST_ID, add_markets, get_snapshot, subscribe


def test_books_are_always_asked_for_in_prices_of_their_own_side() -> None:
    assert json.loads(subscribe(FIRST_ID, "orderbook_delta", ["A-1.5", "B"])) == {
        "id": FIRST_ID,
        "cmd": "subscribe",
        "params": {
            "channels": ["orderbook_delta"],
            "skip_ticker_ack": True,
            "use_yes_price": False,
            "market_tickers": ["A-1.5", "B"],
        },
    }


def test_other_channels_have_no_say_about_prices() -> None:
    assert json.loads(subscribe(FIRST_ID, "trade", ["A"]))["params"] == {
        "channels": ["trade"],
        "skip_ticker_ack": True,
        "market_tickers": ["A"],
    }


def test_a_channel_without_filter_gets_none() -> None:
    assert json.loads(subscribe(FIRST_ID, "market_lifecycle_v2", None))["params"] == {
        "channels": ["market_lifecycle_v2"],
        "skip_ticker_ack": True,
    }


def test_markets_are_added_to_one_sid() -> None:
    assert json.loads(add_markets(7, 3, ["A"])) == {
        "id": 7,
        "cmd": "update_subscription",
        "params": {"sids": [3], "action": "add_markets", "market_tickers": ["A"], "skip_ticker_ack": True},
    }


def test_a_snapshot_is_asked_for_with_nothing_but_tickers() -> None:
    assert json.loads(get_snapshot(8, 3, ["A", "B"])) == {
        "id": 8,
        "cmd": "update_subscription",
        "params": {"sids": [3], "action": "get_snapshot", "market_tickers": ["A", "B"]},
    }


def test_a_hostile_ticker_stays_inside_its_string() -> None:
    hostile = 'A"],"cmd":"\n\x00../../x'

    assert [hostile] == json.loads(subscribe(1, "trade", [hostile]))["params"]["market_tickers"]
