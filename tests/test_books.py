"""Books in time: what an instant is, when a top of book is told, which book cannot be true."""

from __future__ import annotations

from typing import Any

import pytest
from fed import A, B, Fed, delta, frame, snapshot

from kalshi_trio.protocol.signals import BooksLost

TOP = ("market", "book_frame", "bid", "bid_size", "ask", "ask_size", "valid")
IMPOSSIBLE = f"Sequence gap or negative level for {A} at price "


@pytest.fixture
def fed() -> Fed:
    """A is 0.50 at 0.60, whole since frame 3, and said so in frame 4."""
    fed = Fed()
    fed.frames(
        snapshot(1, A, yes=[["0.4000", "4.00"], ["0.5000", "5.00"]], no=[["0.3000", "3.00"], ["0.4000", "4.00"]])
    )
    fed.frames(delta(2, "0.1000", "1.00", at=".1"))
    assert fed.took("top_of_book", *TOP) == [(A, 3, "0.5000", "5.00", "0.6000", "4.00", True)]
    return fed


def test_a_top_is_told_when_the_instant_is_over(fed: Fed) -> None:
    fed.frames(delta(3, "0.5000", "1.00", at=".2"))
    assert fed.rows("top_of_book") == []

    fed.frames(delta(4, "0.0100", "1.00", at=".200001"))
    assert fed.rows("top_of_book", "frame", "row", "seq", *TOP) == [
        (6, 0, 4, A, 5, "0.5000", "6.00", "0.6000", "4.00", True)
    ]


def test_a_top_bears_the_instant_that_it_closes(fed: Fed) -> None:
    fed.frames(delta(3, "0.5000", "1.00", at=".2"), delta(4, "0.0100", "1.00", at=".3"))

    (told,), deltas = fed.rows("top_of_book", "ts_event"), fed.rows("deltas", "ts_event")
    assert told == deltas[1] == deltas[2] - 100_000


def test_a_snapshots_top_has_no_instant_since_a_snapshot_has_none() -> None:
    fed = Fed()
    fed.frames(snapshot(1, A, yes=[["0.4000", "4.00"]]), delta(2, "0.1000", "1.00", market=B))

    assert fed.rows("top_of_book", "ts_event", *TOP) == [(None, A, 3, "0.4000", "4.00", None, None, True)]


def test_only_what_changed_over_an_instant_is_told(fed: Fed) -> None:
    fed.frames(delta(3, "0.5000", "1.00", at=".2"), delta(4, "0.5000", "-1.00", at=".2"))
    fed.frames(delta(5, "0.4900", "9.00", at=".3"), delta(6, "0.0100", "1.00", at=".4"))

    assert fed.rows("top_of_book") == []


def test_a_top_speaks_of_the_last_frame_of_its_instant(fed: Fed) -> None:
    fed.frames(
        delta(3, "0.5000", "1.00", at=".2"), delta(4, "0.0500", "1.00", at=".2"), delta(5, "0.0100", "1.00", at=".3")
    )

    assert fed.rows("top_of_book", "book_frame") == [6]


def test_a_later_instant_of_another_market_of_the_sid_closes_it_too(fed: Fed) -> None:
    fed.frames(delta(3, "0.5500", "1.00", at=".2"), delta(4, "0.0100", "1.00", market=B, at=".3"))

    assert fed.rows("top_of_book", "frame", "bid") == [(6, "0.5500")]


def test_other_sids_close_nothing(fed: Fed) -> None:
    fed.frames(delta(3, "0.5500", "1.00", at=".2"))
    fed.frames(snapshot(1, B, sid=5), delta(2, "0.5500", "1.00", market=B, sid=5, at=".9"))

    assert fed.rows("top_of_book", "market") == [B]


def test_a_book_that_came_anew_by_another_sid_is_judged_by_that_ones_clock_alone(fed: Fed) -> None:
    fed.frames(delta(3, "0.5500", "1.00", at=".2"))
    fed.frames(snapshot(1, A, no=[["0.4000", "4.00"]], sid=5), delta(2, "0.7000", "1.00", sid=5, at=".9"))
    fed.frames(delta(4, "0.0100", "1.00", market=B, at=".3"))  # A is crossed, and its instant under way
    fed.frames(delta(3, "0.7000", "-1.00", sid=5, at=".9"), delta(4, "0.0100", "1.00", sid=5, at=".91"))

    assert fed.warnings == []
    assert fed.rows("top_of_book", "sid", *TOP) == [(5, A, 6, None, None, "0.6000", "4.00", True)]


def test_an_earlier_time_closes_nothing(fed: Fed) -> None:
    fed.frames(delta(3, "0.5500", "1.00", at=".2"), delta(4, "0.0100", "1.00", at=".15"))

    assert fed.rows("top_of_book") == []


def test_a_time_far_ahead_does_not_stop_the_clock_for_ever(fed: Fed) -> None:
    wrong = delta(3, "0.5500", "1.00").replace(b"2026", b"2126")
    fed.frames(wrong, delta(4, "0.5600", "1.00", at=".3"), delta(5, "0.0100", "1.00", at=".4"))

    assert fed.rows("top_of_book", "bid") == ["0.5500", "0.5600"]


def test_messages_without_a_time_are_instants_of_their_own(fed: Fed) -> None:
    fed.frames(delta(3, "0.5500", "1.00", at=""), delta(4, "0.5600", "1.00", at=""), delta(5, "0.0100", "1.00", at=""))

    assert fed.rows("top_of_book", "bid", "ts_event") == [("0.5500", None), ("0.5600", None)]


@pytest.mark.parametrize(
    "time", [{"ts_ms": 0}, {"ts": ""}, {"ts": "0001-01-01T00:00:00Z"}, {"ts": None, "ts_ms": None}]
)
def test_an_event_with_stamp_0_has_no_time(fed: Fed, time: dict[str, object]) -> None:
    msg = {"market_ticker": A, "price_dollars": "0.5500", "delta_fp": "1.00", "side": "yes"}
    fed.frames(frame("orderbook_delta", 1, 3, msg=msg | time))

    assert fed.rows("deltas", "ts_event", "valid")[-1] == (None, True)


def test_milliseconds_are_taken_where_there_is_nothing_finer(fed: Fed) -> None:
    msg = {"market_ticker": A, "price_dollars": "0.5500", "delta_fp": "1.00", "side": "yes", "ts_ms": 1795543200104}
    fed.frames(frame("orderbook_delta", 1, 3, msg=msg | {"ts": ""}))

    assert fed.rows("deltas", "ts_event")[-1] == 1795543200104000


def test_a_disconnect_tells_what_is_pending_and_then_that_there_is_no_book(fed: Fed) -> None:
    fed.frames(delta(3, "0.5500", "1.00", at=".2"))
    fed.own("connection", 1, event="closed")

    assert fed.rows("top_of_book", "row", "sid", "seq", *TOP) == [
        (0, 0, 0, A, 5, "0.5500", "1.00", "0.6000", "4.00", True),
        (1, 0, 0, A, 6, None, None, None, None, False),
    ]


def test_the_end_of_the_session_tells_what_is_pending(fed: Fed) -> None:
    fed.frames(delta(3, "0.5500", "1.00", at=".2"))
    fed.own("session", event="ended", verdict="complete")

    assert fed.rows("top_of_book", "bid", "valid") == [("0.5500", True)]


def test_crossing_inside_an_instant_is_silent(fed: Fed) -> None:
    fed.frames(
        delta(3, "0.7000", "1.00", at=".2"), delta(4, "0.7000", "-1.00", at=".2"), delta(5, "0.0100", "1.00", at=".3")
    )

    assert (fed.warnings, fed.rows("gaps", "cause", "markets"), fed.rows("top_of_book")) == ([], [], [])


def test_a_locked_book_is_a_possible_one(fed: Fed) -> None:
    fed.frames(delta(3, "0.6000", "1.00", at=".2"), delta(4, "0.0100", "1.00", at=".3"))

    assert fed.rows("top_of_book", "bid", "ask") == [("0.6000", "0.6000")]


def test_a_book_still_crossed_when_the_instant_is_over_is_lost(fed: Fed) -> None:
    fed.frames(delta(3, "0.7000", "1.00", at=".2"), delta(4, "0.0100", "1.00", at=".3"))

    assert fed.warnings == [IMPOSSIBLE + "7000"]
    assert fed.rows("gaps", "event", "frame", "cause", "channel", "expected", "markets") == [
        ("opened", 6, "impossible_book", "orderbook_delta", None, [A])
    ]
    assert fed.rows("top_of_book", *TOP) == [(A, 6, None, None, None, None, False)]
    assert fed.rows("deltas", "size", "valid")[1:] == [("1.00", True), (None, False)]


@pytest.mark.parametrize("end", [("connection", 1), ("session",)])
def test_a_book_crossed_in_an_instant_cut_short_is_neither_told_nor_blamed(fed: Fed, end: tuple[str, int]) -> None:
    fed.frames(delta(3, "0.7000", "1.00", at=".2"))
    fed.own(*end, event="ended" if end[0] == "session" else "closed", final=True)

    assert (fed.warnings, fed.rows("gaps", "cause", "markets"), fed.rows("top_of_book")) == ([], [("no_book", [B])], [])


def test_a_crossed_snapshot_is_judged_when_a_whole_instant_is_over(fed: Fed) -> None:
    fed.frames(
        snapshot(3, A, yes=[["0.7000", "1.00"]], no=[["0.4000", "1.00"]]), delta(4, "0.0100", "1.00", market=B, at=".3")
    )
    assert fed.warnings == []

    fed.frames(delta(5, "0.0100", "1.00", market=B, at=".4"))
    assert fed.warnings == [IMPOSSIBLE + "7000"]


def test_a_crossed_snapshot_that_uncrosses_was_taken_inside_an_instant(fed: Fed) -> None:
    fed.frames(snapshot(3, A, yes=[["0.7000", "1.00"]], no=[["0.4000", "1.00"]]), delta(4, "0.7000", "-1.00", at=".3"))
    fed.frames(delta(5, "0.0100", "1.00", at=".4"))

    assert fed.warnings == []
    assert fed.rows("top_of_book", "bid", "ask") == [(None, "0.6000")]


def test_a_level_below_zero_loses_the_book(fed: Fed) -> None:
    fed.frames(delta(3, "0.5000", "-5.01", at=".2"), delta(4, "0.5000", "1.00", at=".3"))

    assert fed.warnings == [IMPOSSIBLE + "5000"]
    assert fed.rows("deltas", "delta", "size", "valid")[1:] == [("-5.01", None, False), ("1.00", None, False)]
    assert fed.rows("gaps", "cause", "markets") == [("impossible_book", [A])]
    assert fed.rows("top_of_book", "valid") == [False]


def test_levels_that_grow_beyond_the_table_lose_the_book(fed: Fed) -> None:
    fed.frames(*(delta(3 + n, "0.5000", "9999999999999999.99", at=".2") for n in range(12)))

    assert fed.warnings == [IMPOSSIBLE + "5000"]


def test_a_snapshot_makes_a_lost_book_whole(fed: Fed) -> None:
    fed.frames(
        delta(3, "0.5000", "-5.01", at=".2"),
        snapshot(4, A, yes=[["0.3000", "3.00"]]),
        delta(5, "0.3000", "1.00", at=".3"),
    )

    assert fed.rows("deltas", "size", "valid")[-1] == ("4.00", True)
    assert fed.rows("top_of_book", "bid", "bid_size", "valid") == [(None, None, False), ("0.3000", "3.00", True)]


def test_a_close_empties_the_book_and_is_a_row(fed: Fed) -> None:
    fed.frames(snapshot(3, A), delta(4, "0.0100", "1.00", market=B, at=".3"), snapshot(5, A))

    closes = [row for row in fed.rows("snapshots", "seq", "row", "levels", "side", "price", "size") if row[0] > 1]
    assert closes == [(3, 0, 0, None, None, None), (5, 0, 0, None, None, None)]
    assert fed.rows("top_of_book", "bid", "ask", "valid") == [(None, None, True)]


def test_a_snapshots_rows_are_its_levels_as_they_came(fed: Fed) -> None:
    assert fed.rows("snapshots", "row", "levels", "side", "price", "size") == [
        (0, 4, "yes", "0.4000", "4.00"),
        (1, 4, "yes", "0.5000", "5.00"),
        (2, 4, "no", "0.3000", "3.00"),
        (3, 4, "no", "0.4000", "4.00"),
    ]


def test_deltas_without_a_base_are_kept_counted_and_make_no_book() -> None:
    fed = Fed()
    fed.frames(
        delta(1, "0.5000", "5.00", at=".1"),
        delta(2, "0.4000", "5.00", at=".2"),
        snapshot(3, A, yes=[["0.3000", "1.00"]]),
    )
    fed.frames(delta(4, "0.3000", "1.00", at=".3"))

    assert fed.rows("deltas", "delta", "size", "valid") == [
        ("5.00", None, False),
        ("5.00", None, False),
        ("1.00", "2.00", True),
    ]
    assert fed.rows("top_of_book", "bid") == ["0.3000"]
    assert fed.builder.state.markets[A].unanchored == 2


def test_a_new_connection_begins_without_books(fed: Fed) -> None:
    fed.own("connection", 1, event="closed")
    fed.own("connection", 2, event="open")
    fed.frames(delta(1, "0.5000", "1.00", at=".5"), connection=2)

    assert fed.rows("deltas", "size", "valid")[-1] == (None, False)
    assert fed.builder.state.markets[A].unanchored == 1


def test_a_book_that_cannot_be_was_last_known_to_be_right_at_its_snapshot(fed: Fed) -> None:
    since = fed.builder.state.markets[A].valid_since
    fed.frames(delta(3, "0.5000", "-9.00", at=".2"))
    fed.frames(snapshot(4, A, own=7))
    again = fed.session.ts_recv
    fed.end()

    assert fed.builder.state.markets[A].spans == [
        (since, since, "whole", ""),
        (since, again, "gap", "impossible_book"),
        (again, fed.session.ts_recv - 1_000_000, "whole", ""),
    ]


CROSSED: dict[str, Any] = {"yes": [["0.4500", "100.00"]], "no": [["0.4700", "10.00"], ["0.9900", "5.00"]]}


def judged(fed: Fed, seq: int) -> None:
    """Two instants, after which every book of the sid has been looked at."""
    fed.frames(delta(seq, "0.0100", "1.00", market="KXOTHER", at=f".{seq}"))
    fed.frames(delta(seq + 1, "0.0100", "1.00", market="KXOTHER", at=f".{seq}1"))
    fed.frames(delta(seq + 2, "0.0100", "1.00", market="KXOTHER", at=f".{seq}2"))


def test_a_snapshot_like_one_that_stayed_crossed_is_not_believed_again() -> None:
    fed = Fed(A)
    fed.frames(snapshot(1, A, **CROSSED))
    judged(fed, 2)
    assert BooksLost(1, 1, (A,), "impossible_book", turned=True) in fed.signals
    fed.signals.clear()
    fed.frames(snapshot(5, A, **CROSSED), delta(6, "0.4500", "1.00", at=".7"))

    assert fed.rows("gaps", "event", "cause", "markets") == [("opened", "impossible_book", [A])]
    assert fed.rows("deltas", "market", "valid")[-1] == (A, False)
    assert fed.signals == [BooksLost(1, 1, (A,), "impossible_book", turned=True)]
    assert len(fed.warnings) == 1

    fed.frames(snapshot(7, A, yes=[["0.4500", "100.00"]], no=[["0.5300", "10.00"]]))
    assert fed.rows("gaps", "event") == ["opened", "healed"]


def test_where_most_books_look_turned_none_of_the_connection_is_believed() -> None:
    fed = Fed(A, B, "C")
    fed.frames(snapshot(1, A, **CROSSED), snapshot(2, B, **CROSSED), snapshot(3, "C", no=[["0.0300", "1.00"]]))
    judged(fed, 4)
    fed.frames(snapshot(7, "C", no=[["0.0300", "1.00"]]), delta(8, "0.0100", "1.00", market="C", at=".9"))

    assert fed.rows("deltas", "market", "valid")[-1] == ("C", False)
    assert {market for gap in fed.builder.state.gaps for market in gap.markets} == {A, B, "C"}
    assert len(fed.rows("gaps", "event")) == 3

    fed.own("connection", 1, event="closed")
    fed.own("connection", 2, event="open")
    fed.frames(snapshot(1, "C", no=[["0.0300", "1.00"]]), delta(2, "0.0100", "1.00", market="C", at=".9"), connection=2)
    assert fed.rows("deltas", "market", "valid")[-1] == ("C", True)


def test_a_book_crossed_by_its_deltas_is_doubted_no_more_than_before(fed: Fed) -> None:
    fed.frames(delta(3, "0.7000", "1.00", at=".2"), delta(4, "0.0100", "1.00", at=".3"))
    fed.frames(snapshot(5, A, yes=[["0.7000", "1.00"]], no=[["0.4000", "1.00"]]), delta(6, "0.7000", "-1.00", at=".4"))

    assert fed.rows("deltas", "valid")[-1] is True
    assert fed.rows("gaps", "event") == ["opened", "healed"]
