"""Which frames continue a sid's run, which show a hole, which came before."""

from __future__ import annotations

from typing import Any

import pytest
from fed import A, B, Fed, delta, frame, snapshot

from kalshi_trio.protocol.sequence import OWN_IDS
from kalshi_trio.protocol.signals import BooksLost

GAP = ("event", "cause", "channel", "expected", "got", "markets")
LEVEL = ["0.5000", "10.00"]


@pytest.fixture
def fed() -> Fed:
    """Both books whole, on sid 1, last number 2."""
    fed = Fed()
    fed.frames(snapshot(1, A, yes=[LEVEL]), snapshot(2, B, yes=[LEVEL]))
    return fed


def trade(seq: int, sid: int = 2) -> bytes:
    msg = {
        "market_ticker": A,
        "trade_id": "t",
        "yes_price_dollars": "0.5000",
        "no_price_dollars": "0.5000",
        "count_fp": "1.00",
    }
    return frame("trade", sid, seq, msg=msg)


def test_a_run_counts_over_all_markets_of_its_sid(fed: Fed) -> None:
    fed.frames(delta(3, "0.5000", "1.00", market=A), delta(4, "0.5000", "1.00", market=B), delta(5, "0.4000", "1.00"))

    assert fed.rows("gaps") == []
    assert fed.rows("deltas", "valid") == [True] * 3


@pytest.mark.parametrize(
    "control",
    [
        frame("ok", 1, 3, id=6, msg={"market_tickers": [A, B]}),
        frame("error", 1, 3, id=6, msg={"code": 7, "msg": "no"}),
        frame("quantum_update", 1, 3, msg={}),
        frame("orderbook_delta", 1, 3, msg={"market_ticker": "KXOTHER", "side": "?"}),
    ],
)
def test_every_frame_of_a_sid_takes_its_number(fed: Fed, control: bytes) -> None:
    fed.frames(control, delta(4, "0.5000", "1.00"))

    assert fed.rows("gaps") == []
    assert fed.rows("deltas", "valid") == [True]


def test_frames_without_a_number_change_no_run(fed: Fed) -> None:
    fed.frames(frame("ok", 1, id=4, msg=[]), frame("subscribed", 0, id=1, msg={"channel": "trade", "sid": 2}))
    fed.frames(frame("ticker", 3, msg={"market_ticker": A}), delta(3, "0.5000", "1.00"), trade(1))

    assert fed.rows("gaps") == []


def test_numbers_without_a_sid_are_nobodys_run(fed: Fed) -> None:
    fed.frames(frame("error", 0, 77, msg={"code": 8, "msg": "x"}), frame("error", 0, 5, msg={"code": 8, "msg": "x"}))

    assert fed.rows("gaps") == []


def test_a_gap_loses_every_book_of_the_sid_and_says_what_is_missing(fed: Fed) -> None:
    fed.frames(delta(6, "0.5000", "1.00"))

    assert fed.rows("gaps", *GAP) == [("opened", "sequence", "orderbook_delta", 3, 6, [A, B])]
    assert fed.rows("deltas", "size", "valid") == [(None, False)]
    assert fed.signals[-1] == BooksLost(1, 1, (A, B), "sequence")
    assert fed.warnings == ["Sequence gap on orderbook_delta (sid=1): expected 3, got 6"]


def test_after_a_gap_the_run_goes_on_from_there(fed: Fed) -> None:
    fed.frames(delta(6, "0.5000", "1.00"), delta(7, "0.5000", "1.00"))

    assert fed.builder.state.gaps_opened == 1


@pytest.mark.parametrize("seq", [1, 2])
def test_a_frame_that_came_before_is_stored_and_not_applied(fed: Fed, seq: int) -> None:
    fed.frames(delta(seq, "0.5000", "1.00"), delta(3, "0.5000", "2.00"))

    assert fed.rows("deltas", "seq", "size", "valid") == [(seq, None, False), (3, None, False)]
    assert fed.rows("gaps", *GAP) == [("opened", "sequence", "orderbook_delta", 3, seq, [A, B])]


def test_an_old_snapshot_is_stored_and_makes_no_book(fed: Fed) -> None:
    fed.frames(snapshot(1, A, yes=[["0.9000", "1.00"]]), delta(3, "0.9000", "-1.00"))

    assert fed.rows("snapshots", "seq", "price")[-1] == (1, "0.9000")
    assert fed.rows("deltas", "valid") == [False]


def test_after_a_loss_a_snapshot_makes_its_market_whole_again(fed: Fed) -> None:
    fed.frames(
        delta(2, "0.5000", "1.00"),
        snapshot(3, A, yes=[LEVEL]),
        delta(4, "0.5000", "1.00"),
        delta(5, "0.5000", "1.00", market=B),
    )

    assert fed.rows("deltas", "market", "size", "valid") == [(A, None, False), (A, "11.00", True), (B, None, False)]


def test_a_snapshot_that_shows_a_gap_heals_its_own_market_at_once(fed: Fed) -> None:
    fed.frames(snapshot(9, A, yes=[LEVEL]))

    assert fed.rows("gaps", "event", "row", "markets") == [("opened", 0, [A, B]), ("healed", 1, [A])]


def test_a_run_that_begins_above_1_was_joined_late() -> None:
    fed = Fed()
    fed.frames(delta(5, "0.5000", "1.00"), delta(6, "0.5000", "1.00"))

    assert fed.rows("gaps", *GAP) == [("opened", "joined_late", "orderbook_delta", 1, 5, [A, B])]
    assert fed.rows("deltas", "valid") == [False, False]


def test_a_market_whose_first_snapshot_was_lost_is_part_of_the_hole() -> None:
    fed = Fed()
    fed.frames(snapshot(1, A, yes=[LEVEL]), delta(3, "0.5000", "1.00", market=B))

    assert fed.rows("gaps", *GAP) == [("opened", "sequence", "orderbook_delta", 2, 3, [A, B])]


def test_a_hole_of_one_sid_leaves_the_books_of_others_alone(fed: Fed) -> None:
    fed.frames(trade(1), trade(5), delta(3, "0.5000", "1.00"))

    assert fed.rows("gaps", *GAP) == [
        ("opened", "sequence", "trade", 2, 5, [A, B]),
        ("healed", "sequence", "trade", 2, 5, [A, B]),
    ]
    assert fed.rows("deltas", "valid") == [True]
    assert fed.rows("trades", "seq") == [1, 5]


def test_a_trade_that_came_before_is_stored(fed: Fed) -> None:
    fed.frames(trade(1), trade(1))

    assert fed.rows("trades", "seq") == [1, 1]
    assert fed.rows("gaps", "event", "got") == [("opened", 1), ("healed", 1)]


def test_frames_may_come_before_their_subscription_is_confirmed() -> None:
    fed = Fed()
    fed.frames(snapshot(1, A, yes=[LEVEL]), frame("subscribed", 0, id=1, msg={"channel": "orderbook_delta", "sid": 1}))
    fed.frames(delta(4, "0.5000", "1.00"))

    assert fed.rows("gaps", *GAP) == [("opened", "sequence", "orderbook_delta", 2, 4, [A, B])]


def test_a_run_that_begins_with_a_reply_is_a_books_run_once_a_book_came() -> None:
    fed = Fed()
    fed.frames(frame("ok", 1, 1, id=2, msg={}), snapshot(2, A, yes=[LEVEL]), delta(4, "0.5000", "1.00"))

    assert fed.rows("gaps", *GAP) == [("opened", "sequence", "orderbook_delta", 3, 4, [A, B])]
    assert fed.rows("deltas", "valid") == [False]


def test_a_new_connection_begins_new_runs(fed: Fed) -> None:
    fed.own("connection", 2, event="open")
    fed.frames(snapshot(1, B, yes=[LEVEL]), delta(2, "0.5000", "1.00", market=B), connection=2)
    fed.frames(delta(3, "0.5000", "1.00"))

    assert fed.rows("gaps") == []
    assert fed.rows("deltas", "connection", "valid") == [(2, True), (1, True)]


@pytest.mark.parametrize("seq", [None, 1, 2, 3, 40])
def test_an_answer_to_our_get_snapshot_makes_a_book_whatever_its_number(fed: Fed, seq: Any) -> None:
    fed.frames(snapshot(seq, A, own=OWN_IDS, yes=[["0.6000", "1.00"]]))
    fed.frames(delta(4 if seq == 3 else 3, "0.6000", "1.00"))

    assert fed.rows("gaps") == []
    assert fed.rows("deltas", "size", "valid") == [("2.00", True)]


def test_an_answer_to_our_get_snapshot_hides_no_gap(fed: Fed) -> None:
    fed.frames(snapshot(5, A, own=OWN_IDS, yes=[LEVEL]), delta(6, "0.5000", "1.00"))

    assert fed.rows("gaps", *GAP) == [("opened", "sequence", "orderbook_delta", 3, 6, [A, B])]


def test_an_answer_to_somebody_elses_get_snapshot_is_judged_like_any_frame(fed: Fed) -> None:
    fed.frames(snapshot(1, A, own=3, yes=[LEVEL]))

    assert fed.rows("gaps", "expected", "got") == [(3, 1)]


def test_the_highest_number_leaves_room_for_the_next(fed: Fed) -> None:
    fed.frames(delta(2**62 - 1, "0.5000", "1.00"), delta(3, "0.5000", "1.00"))

    assert fed.rows("gaps", "expected", "got") == [(3, 2**62 - 1)]
    assert fed.builder.state.gaps_repeated == 1


def test_a_run_that_begins_again_is_a_new_base_with_one_gap(fed: Fed) -> None:
    fed.frames(delta(3, "0.5000", "1.00"), delta(1, "0.5000", "1.00"), delta(2, "0.5000", "1.00"))
    fed.frames(snapshot(3, A, yes=[LEVEL]), delta(4, "0.5000", "1.00"), snapshot(5, B, yes=[LEVEL]))
    fed.frames(delta(6, "0.5000", "1.00", market=B))

    assert fed.rows("gaps", "event", "cause", "expected", "got", "markets") == [
        ("opened", "sequence", 4, 1, [A, B]),
        ("healed", "sequence", 4, 1, [A]),
        ("healed", "sequence", 4, 1, [B]),
    ]
    assert fed.rows("deltas", "seq", "size", "valid") == [
        *((3, "11.00", True), (1, None, False), (2, None, False), (4, "11.00", True), (6, "11.00", True)),
    ]


def test_a_gap_in_a_run_that_began_again_is_one(fed: Fed) -> None:
    fed.frames(delta(1, "0.5000", "1.00"), delta(2, "0.5000", "1.00"), snapshot(3, A, yes=[LEVEL]))
    fed.frames(delta(5, "0.5000", "1.00"))

    assert fed.rows("gaps", "event", "expected", "got") == [("opened", 3, 1), ("healed", 3, 1), ("opened", 4, 5)]


def test_two_late_frames_that_do_not_follow_each_other_begin_nothing_again(fed: Fed) -> None:
    fed.frames(delta(6, "0.5000", "1.00"), delta(3, "0.5000", "1.00"), delta(5, "0.5000", "1.00"))
    fed.frames(snapshot(7, A, yes=[LEVEL]), delta(8, "0.5000", "1.00"))

    assert fed.rows("deltas", "valid")[-1] is True
    assert fed.builder.state.subscriptions[1][1].seq == 8


def test_numbers_that_only_go_back_are_one_gap_and_one_line_a_minute(fed: Fed) -> None:
    for number in range(1_000, 0, -1):
        fed.frames(delta(number, "0.5000", "1.00"))

    assert len(fed.rows("gaps", "event")) == 1
    assert fed.builder.state.gaps_repeated >= 998
    assert len(fed.warnings) == 1
    fed.session.ts_recv += 60_000_000_000
    fed.frames(delta(9, "0.5000", "1.00"))
    assert fed.warnings[1].endswith("like it before)")
