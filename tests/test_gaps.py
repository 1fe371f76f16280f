"""Gaps: opened by what shows them, from the last moment known to be good, healed market by market."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fed import A, B, Fed, delta, frame, snapshot

from kalshi_trio.protocol.audits import LATE_NS
from kalshi_trio.protocol.builder import Builder
from kalshi_trio.protocol.coverage import covered, missing
from kalshi_trio.protocol.gaps import AWAITED_NS, MOST_OPEN
from kalshi_trio.protocol.sequence import OWN_IDS
from kalshi_trio.protocol.signals import BooksLost, BookWhole, SubscriptionLost

LEVEL = ["0.5000", "10.00"]
GAP = ("event", "frame", "gap_frame", "cause", "channel", "markets")
SECOND = 1_000_000_000


@pytest.fixture
def fed() -> Fed:
    """Both books whole on sid 1, trades on sid 2; frames so far: 6."""
    fed = Fed()
    fed.frames(frame("subscribed", 0, id=1, msg={"channel": "orderbook_delta", "sid": 1}))
    fed.frames(frame("subscribed", 0, id=1, msg={"channel": "trade", "sid": 2}))
    fed.frames(snapshot(1, A, yes=[LEVEL]), snapshot(2, B, yes=[LEVEL]))
    fed.signals.clear()
    return fed


def later(fed: Fed, seconds: float) -> int:
    """Lets time pass; returns when the last record was."""
    last = fed.session.ts_recv
    fed.session.ts_recv += int(seconds * SECOND)
    return last


def spans(fed: Fed, market: str = A) -> list[tuple[str, str]]:
    return [span[2:] for span in covered(fed.builder.state, market)]


def test_a_gap_is_healed_market_by_market(fed: Fed) -> None:
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


def test_a_gap_says_when_it_opened_and_when_it_was_healed(fed: Fed) -> None:
    good = later(fed, 5)
    fed.frames(delta(9, "0.5000", "1.00"))
    fed.frames(snapshot(10, B, yes=[LEVEL]))

    assert fed.rows("gaps", "opened_at", "healed_at") == [(good, None), (good, fed.session.ts_recv)]


def shown_by_rest(size: str) -> str:
    """A's book with one level."""
    book = {"ticker": A, "orderbook_fp": {"yes_dollars": [["0.5000", size]], "no_dollars": []}}
    return json.dumps({"orderbooks": [book]})


BAD_DELTA = {"market_ticker": A, "side": "yes", "price_dollars": "x"}


@pytest.mark.parametrize(
    ("shows", "cause"),
    [
        (delta(9, "0.5000", "1.00"), "sequence"),
        (delta(3, "0.5000", "1.00"), "sequence"),
        (frame("error", 1, 4, msg={"code": 10, "msg": "gone"}), "channel_error"),
        (frame("error", 1, 4, msg={"code": 25, "msg": "gone"}), "overflow"),
        (frame("orderbook_delta", 1, 4, msg=BAD_DELTA), "unreadable"),
        (frame("orderbook_delta", 1, 4, msg=["?"]), "unreadable"),
        (b"{", "unreadable"),
    ],
)
def test_a_gap_begins_with_the_last_frame_before_it(fed: Fed, shows: bytes, cause: str) -> None:
    whole = fed.rows("snapshots", "ts_recv")[0]
    later(fed, 3)
    fed.frames(delta(3, "0.5000", "1.00", market=B))
    good = later(fed, 26)
    fed.frames(shows)
    later(fed, 1)
    fed.frames(snapshot(9, A, sid=3, yes=[LEVEL]))

    assert fed.rows("gaps", "event", "cause", "opened_at")[0] == ("opened", cause, good)
    healed = fed.session.ts_recv
    assert covered(fed.builder.state, A)[:2] == [(whole, good, "whole", ""), (good, healed, "gap", cause)]
    assert fed.rows("deltas", "valid")[:1] == [True]


def test_a_gap_of_a_sid_begins_with_its_own_last_frame_and_one_of_the_connection_with_any(fed: Fed) -> None:
    good = fed.session.ts_recv
    later(fed, 5)
    fed.frames(frame("ticker", 4, msg={"market_ticker": A}))
    heard = later(fed, 5)
    fed.frames(b"{")
    later(fed, 5)
    fed.frames(delta(9, "0.5000", "1.00"))

    assert fed.rows("gaps", "cause", "opened_at") == [("unreadable", heard), ("sequence", good)]


def test_in_one_read_the_frame_before_is_the_last_that_was_good(fed: Fed) -> None:
    later(fed, 5)
    fed.frames(delta(3, "0.5000", "1.00"), b"{", delta(7, "0.5000", "1.00"))

    now = fed.session.ts_recv
    assert fed.rows("gaps", "cause", "opened_at") == [("unreadable", now), ("sequence", now)]


def test_a_sid_that_was_joined_late_is_known_from_its_subscription_or_its_connection_on() -> None:
    fed = Fed()
    opened = later(fed, 5)
    fed.frames(frame("subscribed", 0, id=1, msg={"channel": "trade", "sid": 2}))
    subscribed = later(fed, 2)
    fed.frames(snapshot(3, A, yes=[LEVEL]), frame("trade", 2, 3, msg={}))

    first = [row[1:] for row in fed.rows("gaps", "event", "cause", "channel", "opened_at") if row[0] == "opened"]
    assert first == [
        ("joined_late", "orderbook_delta", opened),
        ("joined_late", "trade", subscribed),
        ("unreadable", "trade", subscribed),
    ]


@pytest.mark.parametrize(
    ("heard", "opened"),
    [
        ({"heard_ns": 20}, 20),
        ({"heard_ns": 99}, 60),
        ({"heard_ns": -5}, 0),
        ({"heard_ns": "soon"}, 10),
        ({}, 10),
    ],
)
def test_a_lost_connection_was_good_until_something_was_last_heard_on_it(heard: dict[str, Any], opened: int) -> None:
    """Seconds behind its opening: the last frame came at 10, it was given up at 60."""
    fed = Fed()
    begin = fed.session.ts_recv
    fed.session.ts_recv = begin + 10 * SECOND - 1_000_000
    fed.frames(snapshot(1, A, yes=[LEVEL]))
    fed.session.ts_recv = begin + 60 * SECOND - 1_000_000
    if isinstance(heard.get("heard_ns"), int):
        heard = {"heard_ns": begin + heard["heard_ns"] * SECOND}
    fed.own("connection", 1, event="closed", cause="stall", **heard)

    (row,) = [row for row in fed.rows("gaps", "cause", "opened_at", "markets") if row[0] == "stall"]
    assert row == ("stall", begin + opened * SECOND, [A, B])
    assert fed.rows("top_of_book", "valid", "ts_recv")[-1] == (False, fed.session.ts_recv)


def test_a_connection_that_brought_nothing_was_good_at_its_opening() -> None:
    fed = Fed()
    opened = later(fed, 5)
    fed.own("connection", 1, event="closed")

    assert fed.rows("gaps", "cause", "opened_at", "markets") == [("reconnect", opened, [A, B])]


def test_a_book_that_cannot_be_was_last_proved_by_its_snapshot_or_an_audit_that_agreed(fed: Fed) -> None:
    """Its numbers followed one another: none tells when it went wrong."""
    fed.frames(snapshot(3, A, own=OWN_IDS, yes=[LEVEL]))
    snapped = later(fed, 5)
    fed.frames(delta(4, "0.5000", "-99.00", at=".5"))
    fed.frames(snapshot(5, A, own=OWN_IDS, yes=[LEVEL]))
    later(fed, 5)
    fed.own("rest", event="asked", request=1, markets=[A])
    asked = later(fed, 1)
    body = shown_by_rest("10.00")
    fed.own("rest", event="answered", request=1, status=200, body=body)
    later(fed, 5)
    fed.frames(delta(6, "0.5000", "-99.00", at=".6"))

    assert fed.rows("audits", "verdict") == ["exact"]
    opened = [row[1:] for row in fed.rows("gaps", "event", "cause", "opened_at") if row[0] == "opened"]
    assert opened == [("impossible_book", snapped), ("impossible_book", asked)]


def test_an_audit_that_contradicts_takes_back_what_no_other_has_proved(fed: Fed) -> None:
    proved = fed.rows("snapshots", "ts_recv")[0]
    later(fed, 60)
    fed.own("rest", event="asked", request=1, markets=[A])
    body = shown_by_rest("11.00")
    fed.own("rest", event="answered", request=1, status=200, body=body)
    later(fed, LATE_NS / SECOND)
    fed.own("stall", 1)

    assert fed.rows("gaps", "cause", "opened_at", "markets") == [("audit", proved, [A])]


def test_lost_records_begin_with_the_last_record_before_them(fed: Fed) -> None:
    good = later(fed, 30)
    fed.session.add("frame", 1, [delta(3, "0.5000", "1.00")])
    fed.builder.lost(fed.session.records[-1].last)
    later(fed, 30)
    fed.own("stall", 1)

    assert fed.rows("gaps", "cause", "opened_at") == [("damage", good)]


def test_a_clock_that_is_set_back_lets_no_gap_begin_behind_the_record_that_shows_it(fed: Fed) -> None:
    later(fed, -3600)
    fed.frames(delta(9, "0.5000", "1.00"))

    assert fed.rows("gaps", "opened_at") == [fed.session.ts_recv]


def test_what_is_missed_again_while_the_gap_is_open_is_counted(fed: Fed) -> None:
    fed.frames(delta(9, "0.5000", "1.00"), delta(12, "0.5000", "1.00"), snapshot(13, A, yes=[LEVEL]))
    fed.frames(delta(20, "0.5000", "1.00"), b"{", b"{", b"[")

    assert fed.rows("gaps", "event", "gap_frame", "cause", "markets") == [
        ("opened", 7, "sequence", [A, B]),
        ("healed", 7, "sequence", [A]),
        ("opened", 10, "sequence", [A]),
        ("opened", 11, "unreadable", [A, B]),
    ]
    assert fed.builder.state.gaps_repeated == 3


def test_a_gap_that_never_ends_costs_neither_rows_nor_memory(fed: Fed) -> None:
    fed.frames(*(delta(2, "0.5000", "1.00") for _ in range(1_050)))

    assert (len(fed.rows("gaps")), len(fed.builder.state.gaps), fed.builder.state.gaps_repeated) == (1, 1, 1_049)
    fed.frames(snapshot(3, A, yes=[LEVEL]), snapshot(4, B, yes=[LEVEL]))
    assert (fed.builder.state.gaps, fed.builder.state.gaps_healed) == ([], 1)


def test_a_market_waits_in_a_bounded_number_of_gaps_and_leaves_all_of_them_at_once(fed: Fed) -> None:
    for sid in range(100, 160):
        fed.frames(frame("subscribed", 0, id=1, msg={"channel": "orderbook_delta", "sid": sid}))
        fed.frames(snapshot(2, "STRANGER", sid=sid), frame("error", sid, 3, msg={"code": 25, "msg": "gone"}))
        fed.own("connection", 1, event="closed") if sid == 100 else None
    assert len(fed.builder.state.gaps) <= MOST_OPEN + 1

    fed.own("connection", 2, event="open")
    fed.frames(snapshot(1, A, yes=[LEVEL]), snapshot(2, B, yes=[LEVEL]), connection=2)
    assert fed.builder.state.gaps == []
    assert fed.builder.state.gaps_opened == fed.builder.state.gaps_healed


def test_a_lost_connection_is_a_gap_of_all_its_channels_until_new_snapshots(fed: Fed) -> None:
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


def test_the_last_connections_end_is_no_gap(fed: Fed) -> None:
    fed.end()

    assert fed.rows("gaps") == []
    assert [len(market.spans) for market in fed.builder.state.markets.values()] == [1, 1]


def test_a_connection_that_never_opened_leaves_no_gap() -> None:
    fed = Fed()
    fed.own("connection", 2, event="opening")
    fed.own("connection", 2, event="closed", why="refused")

    assert fed.rows("gaps") == []


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


def test_other_errors_are_no_gaps(fed: Fed) -> None:
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


@pytest.mark.parametrize("died", [[], None])
def test_a_start_after_a_session_that_ended_by_itself_is_no_gap(died: object) -> None:
    assert Fed(died=died).rows("gaps") == []


def test_a_crash_is_a_gap_from_the_last_durable_record_of_each_session_that_died() -> None:
    """Their markets have it too; those that nobody wants any more have no coverage of it."""
    at = 1_795_496_000_000_000_000
    died = [
        {"session": "one", "last_record": 7, "at_ns": at, "markets": [A, "C"]},
        {"session": "two", "last_record": 9, "at_ns": at + SECOND, "markets": [B]},
    ]
    fed = Fed(died=died)
    fed.frames(snapshot(1, A, yes=[LEVEL]), snapshot(2, B, yes=[LEVEL]))
    fed.end()

    assert fed.rows("gaps", *GAP, "opened_at") == [
        ("opened", 1, 1, "crash", None, ["C", A, B], at),
        ("opened", 1, 1, "crash", None, [A, B], at + SECOND),
        ("healed", 3, 1, "crash", None, [A], at),
        ("healed", 3, 1, "crash", None, [A], at + SECOND),
        ("healed", 4, 1, "crash", None, [B], at),
        ("healed", 4, 1, "crash", None, [B], at + SECOND),
    ]
    started = fed.builder.state.started_ns
    assert [span.start for span in covered(fed.builder.state, A)][:1] == [started]
    assert spans(fed) == [("gap", "crash"), ("whole", "")]
    assert covered(fed.builder.state, "C") == []


def test_a_crash_that_an_old_journal_tells_of_begins_with_its_record() -> None:
    fed = Fed(previous={"session": "old", "last_frame": 77})

    assert fed.rows("gaps", *GAP) == [("opened", 1, 1, "crash", None, [A, B])]
    assert fed.rows("gaps", "opened_at") == [fed.builder.state.started_ns]


@pytest.mark.parametrize("msg", [{"market_ticker": A, "yes_dollars_fp": [["0.5"]]}, BAD_DELTA])
def test_an_unreadable_frame_that_names_its_market_concerns_it_alone(fed: Fed, msg: dict[str, Any]) -> None:
    kind = "orderbook_snapshot" if "yes_dollars_fp" in msg else "orderbook_delta"
    fed.frames(frame(kind, 1, 3, msg=msg), delta(4, "0.5000", "1.00", market=B))

    assert fed.rows("gaps", "cause", "channel", "markets") == [("unreadable", "orderbook_delta", [A])]
    assert fed.rows("deltas", "valid") == [True]
    assert fed.signals == [BooksLost(1, 1, (A,), "unreadable")]


def test_a_first_snapshot_that_cannot_be_read_is_a_gap_and_no_book() -> None:
    fed = Fed()
    fed.frames(frame("orderbook_snapshot", 1, 1, msg={"market_ticker": A, "yes_dollars_fp": [["0.5"]]}))
    fed.frames(delta(2, "0.5000", "1.00"))

    assert fed.rows("gaps", "event", "cause", "markets") == [("opened", "unreadable", [A])]
    assert fed.rows("deltas", "size", "valid") == [(None, False)]
    assert missing(fed.builder.state) == [A, B]


@pytest.mark.parametrize(
    ("kind", "named", "markets"),
    [("trade", A, [A]), ("ticker", "", [A, B]), ("trade", "", [A, B]), ("trade", "C", None)],
)
def test_an_unreadable_frame_of_a_channel_without_books_is_over_at_once(
    fed: Fed, kind: str, named: str, markets: list[str] | None
) -> None:
    msg = {"price_dollars": "x", **({"market_ticker": named} if named else {})}
    fed.frames(frame(kind, 2, *([1] if kind == "trade" else []), msg=msg))

    expected = [(event, "unreadable", kind, markets) for event in ("opened", "healed") if markets]
    assert fed.rows("gaps", "event", "cause", "channel", "markets") == expected
    assert all(market.valid for market in fed.builder.state.markets.values())


def test_only_the_books_of_its_connection_miss_an_unreadable_frame(fed: Fed) -> None:
    fed.own("connection", 2, event="open")
    fed.frames(b"{", connection=2)

    assert fed.rows("gaps", "event", "markets") == [("opened", []), ("healed", [])]
    assert all(market.valid for market in fed.builder.state.markets.values())


def test_a_market_without_a_book_10_s_after_its_connections_opening_has_a_gap_from_then_on() -> None:
    fed = Fed()
    opened = later(fed, 1)
    fed.frames(snapshot(1, A, yes=[LEVEL]))
    fed.session.ts_recv = opened + AWAITED_NS - 2_000_000
    fed.frames(delta(2, "0.5000", "1.00"))
    assert fed.rows("gaps") == []
    fed.frames(delta(3, "0.5000", "1.00"))
    late = fed.rows("gaps", *GAP, "opened_at")
    later(fed, 5)
    fed.frames(snapshot(4, B, yes=[LEVEL]))

    assert late == [("opened", 5, 5, "no_book", "orderbook_delta", [B], opened)]
    assert fed.rows("gaps", "event", "frame", "markets")[1:] == [("healed", 6, [B])]
    assert covered(fed.builder.state, B)[0] == (opened, fed.session.ts_recv, "gap", "no_book")
    assert missing(fed.builder.state) == []


def test_the_snapshot_that_comes_too_late_opens_the_gap_and_heals_it() -> None:
    fed = Fed(A)
    later(fed, 10)
    fed.frames(snapshot(1, A, yes=[LEVEL]))

    assert fed.rows("gaps", "event", "frame", "cause") == [("opened", 3, "no_book"), ("healed", 3, "no_book")]


def test_a_session_that_ends_without_a_book_has_that_gap_however_short_it_was() -> None:
    fed = Fed()
    opened = fed.session.ts_recv
    fed.frames(snapshot(1, A, yes=[LEVEL]))
    fed.end()

    assert fed.rows("gaps", "event", "cause", "markets", "opened_at") == [("opened", "no_book", [B], opened)]
    assert missing(fed.builder.state) == [B]


def test_a_book_that_is_awaited_is_awaited_behind_a_checkpoint_too() -> None:
    fed = Fed(A)
    again = Fed(A)
    again.session, again.builder = fed.session, Builder("s", fed.builder.dump())
    again.tables["gaps"].clear()
    later(again, 10)
    again.own("stall", 1)

    assert again.rows("gaps", "cause", "markets") == [("no_book", [A])]


def test_markets_that_nobody_wanted_have_rows_and_neither_gaps_nor_coverage(fed: Fed) -> None:
    fed.frames(snapshot(3, "C", yes=[LEVEL]), delta(4, "0.5000", "-99.00", market="C"))
    fed.frames(frame("orderbook_delta", 1, 5, msg={**BAD_DELTA, "market_ticker": "C"}))
    fed.frames(snapshot(1, "D", sid=7, yes=[LEVEL]), delta(9, "0.5000", "1.00", market="D", sid=7))
    assert fed.rows("gaps") == []
    assert fed.rows("deltas", "market", "valid") == [("C", False), ("D", False)]

    fed.frames(delta(9, "0.5000", "1.00"))
    assert fed.rows("gaps", "markets") == [[A, B]]


def test_as_markets_are_seen_none_is_missed_before_its_first_frame() -> None:
    """An import of strangers' files wants what they name; nobody knows since when somebody had asked for it."""
    fed = Fed(as_seen=True)
    fed.frames(snapshot(1, A, yes=[LEVEL]))
    later(fed, 900)
    fed.frames(delta(9, "0.5000", "1.00"))
    fed.own("connection", 1, event="closed")
    fed.own("connection", 2, event="open")
    fed.frames(snapshot(1, B, yes=[LEVEL]), connection=2)
    fed.end()

    assert fed.rows("gaps", "event", "cause", "markets") == [("opened", "sequence", [A]), ("opened", "reconnect", [A])]
    assert spans(fed, B) == [("whole", "")]


def test_deltas_without_a_snapshot_are_a_gap_when_it_does_not_come() -> None:
    fed = Fed(A, as_seen=True)
    later(fed, 900)
    fed.frames(delta(1, "0.5000", "1.00"))
    fed.frames(delta(2, "0.5000", "1.00"))
    since = fed.rows("deltas", "ts_recv")[0]
    later(fed, 10)
    fed.frames(delta(3, "0.5000", "1.00"))

    (gap,) = fed.rows("gaps", "event", "cause", "opened_at")
    assert gap[:2] == ("opened", "no_book")
    assert gap[2] < since


def closing(fed: Fed) -> None:
    fed.frames(snapshot(3, A))


def determined(fed: Fed) -> None:
    fed.frames(frame("market_lifecycle_v2", 3, msg={"market_ticker": A, "event_type": "determined", "result": "yes"}))


def settled(fed: Fed) -> None:
    fed.frames(frame("market_lifecycle_v2", 3, msg={"market_ticker": A, "event_type": "settled"}))


@pytest.mark.parametrize("closes", [closing, determined, settled])
def test_a_closed_market_has_no_more_gaps(fed: Fed, closes: Any) -> None:
    whole = fed.rows("snapshots", "ts_recv")[0]
    later(fed, 900)
    closes(fed)
    closed = later(fed, 5)
    fed.frames(delta(9, "0.5000", "1.00", market=B))
    fed.own("connection", 1, event="closed")
    fed.own("connection", 2, event="open")
    fed.frames(snapshot(1, A), snapshot(2, B, yes=[LEVEL]), connection=2)
    later(fed, 60)
    fed.own("connection", 2, event="closed", final=True)

    assert {tuple(markets) for markets in fed.rows("gaps", "markets")} == {(B,)}
    assert covered(fed.builder.state, A) == [
        (whole, closed, "whole", ""),
        (closed, fed.session.ts_recv, "closed", ""),
    ]


def test_a_gap_that_is_open_when_its_market_closes_ends_there(fed: Fed) -> None:
    fed.frames(delta(3, "0.5000", "1.00"))
    fed.frames(delta(9, "0.5000", "1.00"))
    later(fed, 5)
    determined(fed)

    assert fed.rows("gaps", "event", "cause", "markets")[1:] == [("healed", "sequence", [A])]
    assert fed.rows("gaps", "healed_at")[1:] == [fed.session.ts_recv]
    assert spans(fed) == [("whole", ""), ("gap", "sequence")]
    assert fed.builder.state.markets[A].cover == "closed"


@pytest.mark.parametrize(
    "reopens", [delta(4, "0.5000", "1.00", at=".3"), snapshot(4, A, yes=[LEVEL]), snapshot(4, A, own=7, yes=[LEVEL])]
)
def test_levels_reopen_a_market_that_a_snapshot_had_closed(fed: Fed, reopens: bytes) -> None:
    closing(fed)
    later(fed, 5)
    fed.frames(reopens)
    later(fed, 5)
    fed.frames(delta(9, "0.5000", "1.00"))

    assert spans(fed) == [("whole", ""), ("closed", ""), ("whole", "")] or fed.builder.state.markets[A].cover == "gap"
    assert fed.rows("gaps", "cause", "markets") == [("sequence", [A, B])]


def test_a_delta_for_a_closed_market_whose_book_was_lost_since_is_a_gap(fed: Fed) -> None:
    closing(fed)
    fed.frames(delta(9, "0.5000", "1.00", market=B))
    good = later(fed, 5)
    fed.frames(delta(10, "0.5000", "1.00"))

    assert fed.rows("gaps", "cause", "markets", "opened_at")[1:] == [("no_book", [A], good)]
    assert fed.rows("deltas", "market", "valid") == [(B, False), (A, False)]
    assert fed.signals[-1] == BooksLost(1, 1, (A,), "no_book")


def test_a_settled_market_stays_closed_whatever_its_book_shows_until_it_is_activated(fed: Fed) -> None:
    settled(fed)
    fed.frames(delta(3, "0.5100", "1.00", at=".3"), snapshot(4, A, yes=[LEVEL]))
    assert fed.builder.state.markets[A].cover == "closed"

    fed.frames(frame("market_lifecycle_v2", 3, msg={"market_ticker": A, "event_type": "activated"}))
    fed.frames(delta(5, "0.5200", "1.00", at=".4"))
    assert fed.builder.state.markets[A].cover == "whole"


@pytest.mark.parametrize(
    "empty",
    [snapshot(3, A, own=OWN_IDS), snapshot(3, A, own=7), snapshot(1, A, sid=8)],
    ids=["ours", "theirs", "first"],
)
def test_an_empty_book_that_was_asked_for_or_comes_first_is_no_close(fed: Fed, empty: bytes) -> None:
    fed.frames(empty)

    assert fed.builder.state.markets[A].cover == "whole"


def test_a_reconnect_that_concerns_no_market_is_over_when_there_is_a_connection_again(fed: Fed) -> None:
    fed.frames(snapshot(3, A), snapshot(4, B))
    fed.own("connection", 1, event="closed")
    closed = later(fed, 5)
    fed.own("connection", 2, event="open")

    assert fed.rows("gaps", *GAP) == [("opened", 9, 9, "reconnect", None, []), ("healed", 10, 9, "reconnect", None, [])]
    assert fed.rows("gaps", "healed_at")[1] == fed.session.ts_recv > closed
    later(fed, 60)
    fed.end()
    assert len(fed.rows("gaps")) == 2
