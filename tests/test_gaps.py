"""Holes: opened by what shows them, healed market by market."""

from __future__ import annotations

import pytest
from fed import A, B, Fed, delta, frame, snapshot

from kalshi_trio.protocol.gaps import OPEN_LIMIT
from kalshi_trio.protocol.sequence import OWN_IDS
from kalshi_trio.protocol.signals import BooksLost, BookWhole, SubscriptionLost

LEVEL = ["0.5000", "10.00"]
GAP = ("event", "frame", "gap_frame", "cause", "channel", "markets")


@pytest.fixture
def fed() -> Fed:
    """Both books whole on sid 1, trades on sid 2; frames so far: 6."""
    fed = Fed()
    fed.frames(frame("subscribed", 0, id=1, msg={"channel": "orderbook_delta", "sid": 1}))
    fed.frames(frame("subscribed", 0, id=1, msg={"channel": "trade", "sid": 2}))
    fed.frames(snapshot(1, A, yes=[LEVEL]), snapshot(2, B, yes=[LEVEL]))
    fed.signals.clear()
    return fed


def test_a_hole_is_healed_market_by_market(fed: Fed) -> None:
    fed.frames(delta(9, "0.5000", "1.00"))
    fed.frames(snapshot(10, B, yes=[LEVEL]))
    fed.frames(snapshot(11, A))

    assert fed.rows("gaps", *GAP) == [
        ("opened", 7, 7, "sequence", "orderbook_delta", [A, B]),
        ("healed", 8, 7, "sequence", "orderbook_delta", [B]),
        ("healed", 9, 7, "sequence", "orderbook_delta", [A]),
    ]
    assert fed.signals == [BooksLost(1, 1, (A, B), "sequence"), BookWhole(1, 1, B), BookWhole(1, 1, A)]
    assert (fed.builder.state.gaps_opened, fed.builder.state.gaps_healed, fed.builder.state.gaps) == (1, 1, [])


def test_a_hole_says_when_it_opened_and_when_it_was_healed(fed: Fed) -> None:
    fed.frames(delta(9, "0.5000", "1.00"))
    opened = fed.session.ts_recv
    fed.frames(snapshot(10, B, yes=[LEVEL]))

    assert fed.rows("gaps", "opened_at", "healed_at") == [(opened, None), (opened, fed.session.ts_recv)]


def test_one_snapshot_heals_its_market_in_all_holes(fed: Fed) -> None:
    fed.frames(delta(9, "0.5000", "1.00"), delta(12, "0.5000", "1.00"), snapshot(13, A, yes=[LEVEL]))

    assert fed.rows("gaps", "event", "row", "gap_frame") == [
        *(("opened", 0, 7), ("opened", 0, 8)),
        *(("healed", 0, 7), ("healed", 1, 8)),
    ]


def test_a_lost_connection_is_a_hole_of_all_its_channels_until_new_snapshots(fed: Fed) -> None:
    fed.own("connection", 1, event="closed", why="reset by peer")
    fed.own("connection", 2, event="opening")
    fed.own("connection", 2, event="closed", why="refused")
    fed.own("connection", 3, event="open")
    fed.frames(snapshot(1, A, yes=[LEVEL]), connection=3)

    assert fed.rows("gaps", *GAP) == [
        ("opened", 7, 7, "reconnect", None, [A, B]),
        ("healed", 11, 7, "reconnect", None, [A]),
    ]
    assert fed.rows("gaps", "connection") == [1, 3]
    assert [market.valid for market in fed.builder.state.markets.values()] == [True, False]


@pytest.mark.parametrize("cause", ["stall", "unwritable", "overflow"])
def test_a_connection_closed_for_a_reason_says_it(fed: Fed, cause: str) -> None:
    fed.own("connection", 1, event="closed", cause=cause)

    assert fed.rows("gaps", "cause") == [cause]


def test_the_last_connections_end_is_no_hole(fed: Fed) -> None:
    fed.end()

    assert fed.rows("gaps") == []
    assert [len(market.spans) for market in fed.builder.state.markets.values()] == [1, 1]


def test_a_connection_that_never_opened_leaves_no_hole() -> None:
    fed = Fed()
    fed.own("connection", 2, event="opening")
    fed.own("connection", 2, event="closed", why="refused")

    assert fed.rows("gaps") == []


def test_a_crash_of_the_session_before_is_a_hole_of_this_one() -> None:
    fed = Fed(previous={"session": "old", "frame": 77})
    fed.frames(snapshot(1, A, yes=[LEVEL]), snapshot(2, B, yes=[LEVEL]))

    assert fed.rows("gaps", *GAP) == [
        ("opened", 1, 1, "crash", None, [A, B]),
        ("healed", 3, 1, "crash", None, [A]),
        ("healed", 4, 1, "crash", None, [B]),
    ]


@pytest.mark.parametrize(("code", "cause"), [(10, "channel_error"), (25, "overflow")])
def test_a_terminal_error_kills_the_books_of_its_subscription(fed: Fed, code: int, cause: str) -> None:
    fed.frames(frame("error", 1, 3, msg={"code": code, "msg": "gone"}))
    fed.frames(
        frame("subscribed", 0, id=2, msg={"channel": "orderbook_delta", "sid": 3}), snapshot(1, A, sid=3, yes=[LEVEL])
    )

    assert fed.rows("gaps", *GAP) == [
        ("opened", 7, 7, cause, "orderbook_delta", [A, B]),
        ("healed", 9, 7, cause, "orderbook_delta", [A]),
    ]
    assert SubscriptionLost(1, 1, "orderbook_delta", code) in fed.signals
    assert fed.warnings == [f"Exchange answered error {code}: gone (sid=1)"]


def test_a_dead_sid_may_be_used_again_from_1(fed: Fed) -> None:
    fed.frames(frame("error", 1, 3, msg={"code": 25, "msg": "gone"}))
    fed.frames(frame("subscribed", 0, id=2, msg={"channel": "orderbook_delta", "sid": 1}), snapshot(1, A, yes=[LEVEL]))
    fed.frames(delta(2, "0.5000", "1.00"))

    assert fed.rows("gaps", "cause", "event") == [("overflow", "opened"), ("overflow", "healed")]
    assert fed.rows("deltas", "valid") == [True]


def test_a_dead_channel_without_snapshots_is_healed_when_it_flows_again(fed: Fed) -> None:
    fed.frames(frame("error", 2, 1, msg={"code": 25, "msg": "gone"}))
    fed.frames(snapshot(3, A, yes=[LEVEL]))
    fed.frames(frame("subscribed", 0, id=2, msg={"channel": "trade", "sid": 3}))

    assert fed.rows("gaps", *GAP) == [
        ("opened", 7, 7, "overflow", "trade", [A, B]),
        ("healed", 9, 7, "overflow", "trade", [A, B]),
    ]


def test_other_errors_are_no_holes(fed: Fed) -> None:
    fed.frames(
        frame("error", 1, 3, msg={"code": 26, "msg": "limit"}), frame("error", 0, id=7, msg={"code": 25, "msg": "x"})
    )

    assert fed.rows("gaps") == []


@pytest.mark.parametrize("number", [{}, {"id": 5}, {"id": None}])
def test_an_end_that_we_did_not_ask_for_is_as_good_as_an_error(fed: Fed, number: dict[str, object]) -> None:
    fed.frames(delta(3, "0.5000", "1.00"), frame("unsubscribed", 1, 4, **number), delta(5, "0.5000", "1.00"))

    assert fed.rows("gaps", *GAP)[0] == ("opened", 8, 8, "channel_error", "orderbook_delta", [A, B])
    assert fed.rows("deltas", "valid") == [True, False]
    assert SubscriptionLost(1, 1, "orderbook_delta", 0) in fed.signals
    assert fed.warnings[0] == "Exchange ended the subscription to orderbook_delta unasked (sid=1)"


def test_a_channel_of_trades_may_be_ended_unasked_too(fed: Fed) -> None:
    fed.frames(frame("unsubscribed", 2, 1), frame("subscribed", 0, id=2, msg={"channel": "trade", "sid": 3}))

    assert fed.rows("gaps", "event", "cause", "channel") == [
        ("opened", "channel_error", "trade"),
        ("healed", "channel_error", "trade"),
    ]


def test_an_unsubscribed_sids_books_are_kept_no_longer_but_nothing_is_missing(fed: Fed) -> None:
    fed.frames(delta(3, "0.6000", "1.00"), frame("unsubscribed", 1, 4, id=OWN_IDS))

    assert fed.rows("gaps") == []
    assert fed.rows("top_of_book", "market", "bid", "valid") == [
        *((A, "0.5000", True), (B, "0.5000", True), (A, "0.6000", True)),
        *((A, None, False), (B, None, False)),
    ]
    assert not any(market.valid or market.anchored for market in fed.builder.state.markets.values())


def test_a_hole_without_markets_waits_for_none() -> None:
    fed = Fed("x")
    fed.builder.state.wanted.clear()
    fed.frames(delta(5, "0.5000", "1.00", market="C"), snapshot(6, "C"))

    assert fed.rows("gaps", "event", "markets") == [("opened", [])]
    assert fed.builder.state.gaps == []


def test_open_holes_are_bounded_and_every_one_is_a_row(fed: Fed) -> None:
    fed.frames(*(delta(2, "0.5000", "1.00") for _ in range(OPEN_LIMIT + 50)))

    assert len(fed.builder.state.gaps) == OPEN_LIMIT
    assert len(fed.rows("gaps")) == fed.builder.state.gaps_opened == OPEN_LIMIT + 50
