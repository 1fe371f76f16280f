"""Rows of trades, tickers and lifecycle."""

from __future__ import annotations

import json
from typing import Any

import pytest
import recordings
from fed import A, Fed, frame

TRADE = {
    "trade_id": "7b1f0e2a",
    "market_ticker": A,
    "yes_price_dollars": "0.9800",
    "no_price_dollars": "0.0200",
    "count_fp": "105.25",
    "taker_side": "no",
    "taker_outcome_side": "no",
    "taker_book_side": "ask",
    "is_block_trade": False,
    "ts": 1795543202,
    "ts_ms": 1795543202500,
}
TICKER = {
    "market_ticker": A,
    "price_dollars": "0.0990",
    "yes_bid_dollars": "0.0990",
    "yes_ask_dollars": "1.0000",
    "volume_fp": "20417.25",
    "open_interest_fp": "8120.50",
    "dollar_volume": -10208,
    "dollar_open_interest": 4060,
    "yes_bid_size_fp": "12.00",
    "yes_ask_size_fp": "0.00",
    "last_trade_size_fp": "0.37",
    "ts_ms": 1795543203031,
}


@pytest.fixture
def fed() -> Fed:
    return Fed()


def test_a_trade_is_a_row(fed: Fed) -> None:
    fed.frames(frame("trade", 2, 1, msg=TRADE))

    (row,) = fed.tables["trades"]
    received = {"ts_recv": fed.session.ts_recv, "ts_event": 1795543202500000}
    assert row == received | {
        "frame": 3,
        "row": 0,
        "connection": 1,
        "sid": 2,
        "seq": 1,
        "market": A,
        "trade_id": "7b1f0e2a",
        "yes_price": "0.9800",
        "no_price": "0.0200",
        "count": "105.25",
        "taker_side": "no",
        "block": False,
        "fetched": False,
    }


def test_a_block_trade_says_so(fed: Fed) -> None:
    fed.frames(frame("trade", 2, 1, msg=TRADE | {"is_block_trade": True}))

    assert fed.rows("trades", "block") == [True]


@pytest.mark.parametrize(
    ("sides", "taker"),
    [
        ({"taker_outcome_side": "yes", "taker_side": "no"}, "yes"),
        ({"taker_outcome_side": None, "taker_side": "no"}, "no"),
        ({"taker_outcome_side": None, "taker_side": None}, None),
    ],
)
def test_the_taker_is_the_newer_fields_where_it_is_there(fed: Fed, sides: dict[str, str], taker: str | None) -> None:
    fed.frames(frame("trade", 2, 1, msg=TRADE | sides))

    assert fed.rows("trades", "taker_side") == [taker]


def test_a_trade_of_the_cents_era(fed: Fed) -> None:
    old = {"market_ticker": A, "yes_price": 98, "no_price": 2, "count": 105, "taker_side": "no", "ts": 1741220000}
    fed.frames(frame("trade", 2, 1, msg=old))

    assert fed.rows("trades", "yes_price", "no_price", "count", "ts_event") == [
        ("0.9800", "0.0200", "105.00", 1741220000000000)
    ]


def test_a_trade_that_speaks_both_languages_counts_once(fed: Fed) -> None:
    fed.frames(frame("trade", 2, 1, msg=TRADE | {"yes_price": 98, "no_price": 2, "count": 105}))

    assert fed.rows("trades", "yes_price", "count") == [("0.9800", "105.25")]


def test_a_ticker_is_a_row(fed: Fed) -> None:
    fed.frames(frame("ticker", 3, msg=TICKER))

    (row,) = fed.tables["tickers"]
    assert row == {
        "frame": 3,
        "row": 0,
        "ts_recv": fed.session.ts_recv,
        "ts_event": 1795543203031000,
        "connection": 1,
        "sid": 3,
        "seq": 0,
        "market": A,
        "price": "0.0990",
        "yes_bid": "0.0990",
        "yes_ask": "1.0000",
        "yes_bid_size": "12.00",
        "yes_ask_size": "0.00",
        "last_trade_size": "0.37",
        "volume": "20417.25",
        "open_interest": "8120.50",
        "dollar_volume": -10208,
        "dollar_open_interest": 4060,
    }


def test_what_a_ticker_does_not_say_is_null(fed: Fed) -> None:
    fed.frames(frame("ticker", 3, msg={"market_ticker": A, "yes_bid": 96, "volume": 840}))

    (row,) = fed.tables["tickers"]
    assert {name: value for name, value in row.items() if value is not None} == {
        "frame": 3,
        "row": 0,
        "ts_recv": fed.session.ts_recv,
        "connection": 1,
        "sid": 3,
        "seq": 0,
        "market": A,
        "yes_bid": "0.9600",
        "volume": "840.00",
    }


def test_a_lifecycle_message_keeps_all_it_says(fed: Fed) -> None:
    msg = {"market_ticker": "KXOTHER", "event_type": "determined", "result": "no", "price_ranges": [{"step": "0.0010"}]}
    fed.frames(frame("market_lifecycle_v2", 4, 1, msg=msg))

    (row,) = fed.tables["lifecycle"]
    assert json.loads(row["payload"]) == msg
    assert (row["kind"], row["event_type"], row["market"]) == ("market_lifecycle_v2", "determined", "KXOTHER")
    assert (row["event_ticker"], row["ts_event"]) == (None, None)


@pytest.mark.parametrize("kind", ["event_lifecycle", "event_fee_update"])
def test_messages_of_events_are_lifecycle_too(fed: Fed, kind: str) -> None:
    fed.frames(frame(kind, 4, 1, msg={"event_ticker": "KXE", "title": "Übermorgen?", "market_ticker": ""}))

    assert fed.rows("lifecycle", "kind", "event_type", "market", "event_ticker") == [(kind, None, None, "KXE")]


@pytest.mark.parametrize(
    ("kind", "msg"),
    [
        ("trade", TRADE | {"yes_price_dollars": None, "no_price_dollars": None}),
        ("trade", TRADE | {"yes_price_dollars": "1.0001", "no_price_dollars": None}),
        ("trade", TRADE | {"count_fp": "0.001"}),
        ("trade", TRADE | {"count_fp": 105.001}),
        ("trade", TRADE | {"is_block_trade": "perhaps"}),
        ("trade", {"market_ticker": A, "price": "0.5000", "count": "1.00", "taker_side": "bid"}),
        ("trade", TRADE | {"market_ticker": "A\nB"}),
        ("ticker", TICKER | {"market_ticker": ""}),
        ("ticker", TICKER | {"market_ticker": 5}),
        ("market_lifecycle_v2", ["a"]),
        ("market_lifecycle_v2", None),
    ],
)
def test_what_is_not_what_it_says_is_refused_and_makes_no_row(fed: Fed, kind: str, msg: Any) -> None:
    fed.frames(frame(kind, 2, 1, msg=msg))

    assert [fed.rows(table) for table in ("trades", "tickers", "lifecycle")] == [[], [], []]
    assert fed.builder.state.tally.refused == 1
    assert fed.warnings[0].startswith("Refused frame 3: ")


def test_a_lifecycle_payload_is_kept_whatever_numbers_are_in_it(fed: Fed) -> None:
    fed.frames(b'{"type":"market_lifecycle_v2","sid":4,"seq":1,"msg":{"open_ts":1e999,"market_ticker":["x"]}}')

    assert fed.rows("lifecycle", "market", "payload") == [(None, '{"open_ts":1e999,"market_ticker":["x"]}')]


@pytest.mark.parametrize(
    ("kind", "unknown"),
    [("multivariate_market_lifecycle", []), ("metadata_updated", []), ("series_lifecycle", ["type series_lifecycle"])],
)
def test_other_lives_are_rows_of_their_own_kind(fed: Fed, kind: str, unknown: list[str]) -> None:
    fed.frames(frame(kind, 5, 1, msg={"market_ticker": "KXMVE-A-B", "event_type": "settled", "floor_strike": 1.5}))

    assert fed.rows("lifecycle", "kind", "market", "event_type") == [(kind, "KXMVE-A-B", "settled")]
    assert fed.builder.state.census.lines() == unknown
    assert (fed.builder.state.tally.decoded, fed.builder.state.tally.unknown) == (1, 0)


@pytest.mark.parametrize(
    ("change", "column", "found"),
    [
        ({"price_dollars": "soon"}, "price", None),
        ({"price_dollars": 0.09}, "price", "0.0900"),
        ({"price_dollars": 0.09999}, "price", None),
        ({"yes_bid": -1, "yes_bid_dollars": None}, "yes_bid", None),
        ({"dollar_volume": 2**63}, "dollar_volume", None),
        ({"dollar_volume": 16948.5}, "dollar_volume", None),
        ({"dollar_volume": "-7"}, "dollar_volume", -7),
        ({"volume": 10**17, "volume_fp": None}, "volume", None),
        ({"volume": 33896.5, "volume_fp": None}, "volume", "33896.50"),
        ({"volume": "5.00", "volume_fp": None}, "volume", None),
        ({"open_interest_fp": 8e3}, "open_interest", "8000.00"),
        ({"ts_ms": -1}, "ts_event", None),
        ({"ts_ms": None, "ts": "1795543203"}, "ts_event", 1795543203000000),
        ({"yes_bid_size_fp": {"of": [1]}}, "yes_bid_size", None),
    ],
)
def test_a_ticker_is_not_lost_for_one_number(fed: Fed, change: dict[str, Any], column: str, found: object) -> None:
    fed.frames(frame("ticker", 3, msg=TICKER | change), frame("ticker", 3, msg=TICKER))

    (row, plain) = fed.tables["tickers"]
    assert row[column] == found
    same = {"frame", column}
    assert {key: value for key, value in row.items() if key not in same} == {
        key: value for key, value in plain.items() if key not in same
    }


@pytest.mark.parametrize(
    ("change", "column", "found"),
    [
        ({"no_price_dollars": None}, "no_price", "0.0200"),
        ({"yes_price_dollars": None}, "yes_price", "0.9800"),
        ({"yes_price_dollars": 0.98}, "yes_price", "0.9800"),
        ({"yes_price_dollars": 9.8e-1, "no_price_dollars": "0.02"}, "yes_price", "0.9800"),
        ({"count_fp": 105.25}, "count", "105.25"),
        ({"ts_ms": 2**61, "ts": None}, "ts_event", None),
        ({"ts_ms": None, "ts": {}}, "ts_event", None),
        ({"trade_id": 17}, "trade_id", "17"),
        ({"trade_id": None}, "trade_id", ""),
        ({"taker_outcome_side": 1}, "taker_side", "no"),
        ({"is_block_trade": "true"}, "block", True),
    ],
)
def test_a_trade_is_not_lost_for_what_it_need_not_say(
    fed: Fed, change: dict[str, Any], column: str, found: object
) -> None:
    fed.frames(frame("trade", 2, 1, msg=TRADE | change))

    assert fed.rows("trades", column, "market", "no_price") == [
        (found, A, "0.0200") if column != "no_price" else (found, A, found)
    ]


@recordings.needed
@pytest.mark.parametrize(("name", "table"), [("tickers_2026-02.jsonl", "tickers"), ("trades_2026-02.jsonl", "trades")])
def test_every_recorded_frame_of_2026_02_is_a_row(fed: Fed, name: str, table: str) -> None:
    frames = [line.frame for line in recordings.lines(name) if line.frame]
    fed.frames(*frames)

    assert len(frames) == len(fed.rows(table, "frame")) == fed.builder.state.tally.decoded
    assert fed.builder.state.census.lines() == []
