"""The builder as a whole: records in, rows, lines and facts out; one bad frame stays one bad frame."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import recordings
from fed import A, B, Fed, delta, frame, snapshot
from recordings import Session

from kalshi_trio.protocol.builder import Builder
from kalshi_trio.protocol.records import Records
from kalshi_trio.protocol.schema import TABLES
from kalshi_trio.protocol.sequence import OWN_IDS
from kalshi_trio.protocol.signals import BooksLost, Replied

LEVEL = ["0.5000", "10.00"]
DAY_NS = 86_400_000_000_000


@pytest.fixture
def fed() -> Fed:
    """A is whole, with 10 at 0.50; frames so far: 3."""
    fed = Fed()
    fed.frames(snapshot(1, A, yes=[LEVEL]))
    return fed


def old_delta(seq: int, **more: Any) -> bytes:
    return frame("orderbook_delta", 1, seq, msg={"market_ticker": A, "side": "yes"} | more)


@pytest.mark.parametrize(
    "msg",
    [
        {"price": 50, "delta": -3},
        {"price": 50, "price_dollars": "0.5000", "delta": -3},
        {"price": 50, "price_dollars": "0.5000", "delta": -3, "delta_fp": "-3.00"},
        {"price_dollars": "0.5000", "delta_fp": "-3.00"},
        {"price_dollars": "0.5", "delta_fp": "-3"},
    ],
)
def test_a_delta_of_any_era_is_the_same_change(fed: Fed, msg: dict[str, object]) -> None:
    fed.frames(old_delta(2, **msg))

    assert fed.rows("deltas", "price", "delta", "size", "valid") == [("0.5000", "-3.00", "7.00", True)]


@pytest.mark.parametrize(
    "msg",
    [
        {"yes": [[2, 51], [58, 9]], "no": [[41, 130]]},
        {"yes_dollars": [["0.0200", 51], ["0.5800", 9]], "no_dollars": [["0.4100", 130]]},
        {"yes_dollars_fp": [["0.0200", "51.00"], ["0.5800", "9.00"]], "no_dollars_fp": [["0.4100", "130.00"]]},
        {
            "yes": [[2, 51], [58, 9]],
            "no": [[41, 130]],
            "yes_dollars": [["0.0200", 51], ["0.5800", 9]],
            "no_dollars": [["0.4100", 130]],
            "yes_dollars_fp": [["0.0200", "51.00"], ["0.5800", "9.00"]],
            "no_dollars_fp": [["0.4100", "130.00"]],
        },
    ],
)
def test_a_snapshot_of_any_era_is_the_same_book(msg: dict[str, object]) -> None:
    fed = Fed()
    fed.frames(frame("orderbook_snapshot", 1, 1, msg=msg | {"market_ticker": A}))

    assert fed.rows("snapshots", "levels", "side", "price", "size") == [
        (3, "yes", "0.0200", "51.00"),
        (3, "yes", "0.5800", "9.00"),
        (3, "no", "0.4100", "130.00"),
    ]


@pytest.mark.parametrize("empty", [{}, {"yes_dollars_fp": []}, {"yes_dollars_fp": None, "no": [], "no_dollars": None}])
def test_a_side_may_be_absent_empty_or_null(fed: Fed, empty: dict[str, object]) -> None:
    fed.frames(frame("orderbook_snapshot", 1, 2, msg=empty | {"market_ticker": A}))

    assert fed.rows("snapshots", "levels", "side", "price", "size")[1:] == [(0, None, None, None)]


@recordings.needed
def test_every_sample_of_the_protocol_is_taken_in() -> None:
    fed = Fed("KXDEMOFED-26DEC-T3.75", "KXDEMOBTC15M-26NOV241315-15", "KXMVEDEMO-S20261A-0F3B")
    samples = [json.loads(line) for line in (recordings.FOLDER / "protocol_samples.jsonl").read_text().splitlines()]
    frames = [msgspec.json.encode(sample["frame"]) for sample in samples if sample["dir"] == "server"]
    current = sum(sample["dir"] == "server" and sample["n"] <= 27 for sample in samples)
    fed.frames(*frames[:current])

    assert fed.rows("gaps", "cause") == ["channel_error", "overflow"]  # the first: an `unsubscribed` to somebody else
    assert fed.rows("deltas", "delta", "size", "valid") == [
        *(("5.00", "105.00", True), ("-0.37", "12.00", True), ("-40.00", "0.00", True), ("1500.00", "1500.00", True)),
        *(("20.00", "20.00", True), ("-105.00", "0.00", True)),
    ]
    for number, data in enumerate(frames[current:], 2):
        fed.own("connection", number, event="open")
        fed.frames(data, connection=number)
    tally = fed.builder.state.tally
    assert (tally.received, tally.refused, tally.unknown, tally.control) == (len(frames), 0, 0, 8)
    assert fed.builder.state.census.lines() == []


BAD = [
    *(b"", b"\n", b"{", b"[]", b"null", b"\x00\xff\x1b", "grüße".encode("latin-1"), b"[" * 100_000, b'y {"type":"x"}'),
    *(old_delta(2, price_dollars=0.98765, delta_fp="1.00"), old_delta(2, price_dollars="0.98", delta_fp="nan")),
    *(old_delta(2, price_dollars="-0.98", delta_fp="1.00"), old_delta(2, price_dollars="9" * 400, delta_fp="1.00")),
    *(old_delta(2, price=10**30, delta=1), old_delta(2, price=50), old_delta(2, delta=1), old_delta(2)),
    *(old_delta(2, price=50, delta=10**17), old_delta(2, price="50", delta=1), old_delta(2, price=50, delta="1")),
    *(old_delta(2, price=50.001, delta=1), old_delta(2, price=50, delta=1, side="both")),
    *(snapshot(2, A, yes=[["0.5", "-1"]]), snapshot(2, A, yes=[["0.5"]]), snapshot(2, A, yes=[["0.5", "1", "2"]])),
    *(
        snapshot(2, "A" * 10_000),
        snapshot(2, "A\nB"),
        snapshot(2, "A\x1b[2J"),
        snapshot(2, ""),
        snapshot(2, "A B"),
        snapshot(2, "Ä"),
    ),
    *(
        frame("subscribed", 0, msg={"channel": "a\nb", "sid": 9}),
        frame("subscribed", 0, msg=[]),
    ),
]


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
def test_a_bad_frame_is_refused_counted_and_told_once(fed: Fed, bad: bytes) -> None:
    fed.frames(bad, bad)

    assert (fed.builder.state.tally.refused, fed.builder.state.tally.received) == (2, 3)
    assert [text for text in fed.warnings if text.startswith("Refused frame 4: ")] == fed.warnings[:1]
    assert [fed.rows(table, "frame") for table in ("deltas", "trades", "lifecycle")] == [[], [], []]


def test_a_frame_that_cannot_be_read_may_be_any_books_so_all_of_its_connection_are_lost(fed: Fed) -> None:
    fed.own("connection", 2, event="open")
    fed.frames(snapshot(1, B, yes=[LEVEL]), connection=2)
    fed.frames(delta(2, "0.5000", "1.00"), b"{", delta(3, "0.5000", "1.00"))
    fed.frames(delta(2, "0.5000", "1.00", market=B), connection=2)

    assert fed.rows("deltas", "size", "valid") == [("11.00", True), (None, False), ("11.00", True)]
    assert fed.rows("gaps", "cause", "channel", "markets") == [("unreadable", None, [A])]
    assert fed.signals[-1] == BooksLost(1, 0, (A,), "unreadable")


def test_a_refused_book_frame_loses_its_book_and_no_other(fed: Fed) -> None:
    fed.frames(snapshot(2, B, yes=[LEVEL]), old_delta(3, price_dollars=0.50005, delta_fp="1.00"))
    fed.frames(delta(4, "0.5000", "1.00", market=A), delta(5, "0.5000", "1.00", market=B))

    assert fed.rows("deltas", "market", "valid") == [(A, False), (B, True)]
    assert fed.rows("gaps", "cause", "markets") == [("unreadable", [A])]


def test_a_refused_book_frame_without_a_market_loses_all_of_its_sid(fed: Fed) -> None:
    fed.frames(snapshot(2, B, yes=[LEVEL]), frame("orderbook_delta", 1, 3, msg=["?"]))

    assert fed.rows("gaps", "cause", "markets") == [("unreadable", [A, B])]


def test_a_refused_trade_loses_no_book(fed: Fed) -> None:
    fed.frames(frame("trade", 2, 1, msg={"market_ticker": A}), delta(2, "0.5000", "1.00"))

    assert fed.rows("deltas", "valid") == [True]


def test_a_ticker_that_looks_like_a_path_is_text_like_any_other(fed: Fed) -> None:
    fed.frames(snapshot(2, "../../x", yes=[LEVEL]))

    assert fed.rows("snapshots", "market") == [A, "../../x"]


def test_refusals_are_said_at_most_once_a_minute(fed: Fed) -> None:
    fed.frames(b"{", b"{")
    fed.session.ts_recv += 59_000_000_000
    fed.frames(b"{")
    fed.session.ts_recv += 1_000_000_000
    fed.frames(b"{")

    said = [text for text in fed.warnings if text.startswith("Refused")]
    assert [text.split(":")[0] for text in said] == ["Refused frame 4", "Refused frame 7"]
    assert said[1].endswith(" (and 2 like it before)")


def test_unknown_types_are_counted_told_once_and_bounded(fed: Fed) -> None:
    fed.frames(*(frame(f"news{number}", 9, msg={}) for number in range(300)), frame("news0", 9, msg={}))

    tally = fed.builder.state.tally
    assert tally.unknown == 301
    assert (tally.others["news0"], len(tally.others) <= 101, sum(tally.others.values())) == (2, True, 301)
    assert tally.by_type["(others)"] == 200


def test_every_frame_is_one_of_four_things(fed: Fed) -> None:
    fed.frames(delta(2, "0.5000", "1.00"), b"{", frame("news", 9), frame("ok", 1, 3, id=4, msg={}))

    tally = fed.builder.state.tally
    assert (tally.received, tally.decoded, tally.control, tally.unknown, tally.refused) == (5, 2, 1, 1, 1)
    assert tally.by_type == {"news": 1, "ok": 1, "orderbook_delta": 1, "orderbook_snapshot": 1}


def test_unusual_precisions_are_in_the_census(fed: Fed) -> None:
    fed.frames(delta(2, "0.500", "1", at=".123456789"), delta(3, "0.500", "1.00"))

    assert fed.builder.state.census.precisions == {
        "price with 3 decimals": 2,
        "count with 0 decimals": 1,
        "time with 9 decimals": 1,
    }


def test_replies_to_our_commands_are_facts_and_others_only_counted(fed: Fed) -> None:
    fed.signals.clear()
    fed.frames(frame("ok", 1, 2, id=6, msg={"market_tickers": [A]}))
    assert fed.signals == []

    fed.frames(
        frame("ok", 1, 3, id=OWN_IDS, msg={"market_tickers": [A, B]}),
        frame("ok", 1, 4, id=OWN_IDS, market_tickers=[A]),
        frame("ok", 0, id=OWN_IDS, msg=[{"channel": "trade", "sid": 2}]),
        frame("subscribed", 0, id=OWN_IDS + 1, msg={"channel": "trade", "sid": 2}),
        frame("error", 0, id=OWN_IDS + 2, msg={"code": 8, "msg": "Unknown channel", "market_ticker": A}),
        frame("unsubscribed", 2, 1, id=OWN_IDS + 3),
        snapshot(5, A, own=OWN_IDS + 4),
    )
    assert [fact for fact in fed.signals if isinstance(fact, Replied)] == [
        Replied(1, OWN_IDS, "ok", 1, "", 0, "", (A, B)),
        Replied(1, OWN_IDS, "ok", 1, "", 0, "", (A,)),
        Replied(1, OWN_IDS, "ok", 0, "", 0, "", ()),
        Replied(1, OWN_IDS + 1, "subscribed", 2, "trade", 0, "", ()),
        Replied(1, OWN_IDS + 2, "error", 0, "", 8, "Unknown channel", (A,)),
        Replied(1, OWN_IDS + 3, "unsubscribed", 2, "", 0, "", ()),
        Replied(1, OWN_IDS + 4, "orderbook_snapshot", 1, "orderbook_delta", 0, "", (A,)),
    ]


def test_a_session_is_its_own_rows(fed: Fed) -> None:
    fed.end()

    assert fed.rows("sessions", "event", "source", "software", "settings", "markets", "verdict", "connection") == [
        ("started", "import", "0", "{}", [A, B], None, 0),
        ("ended", "import", "0", "{}", [A, B], "complete", 0),
    ]
    assert fed.builder.state.ended


def test_records_of_other_kinds_change_no_row(fed: Fed) -> None:
    before = {name: list(rows) for name, rows in fed.tables.items()}
    for kind in ("command", "rest", "stall", "unwritable"):
        fed.session.add(kind, 1, [b"{}"])
    fed.own("connection", 2, event="opening")

    assert fed.tables == before


def test_records_must_come_in_order(fed: Fed) -> None:
    with pytest.raises(ValueError, match="record 9 after 3"):
        fed.builder.feed(Records(9, "frame", 1, 0, 0, [b"{}"]))


def test_each_date_is_a_batch_of_its_own() -> None:
    session = Session(20_000 * DAY_NS - 2_500_000)
    session.start(A)
    session.own("connection", 1, event="open")
    session.add("frame", 1, [snapshot(1, A, yes=[LEVEL]), delta(2, "0.5000", "1.00")])
    session.add("frame", 1, [delta(3, "0.5000", "1.00")])
    builder = Builder("s")
    for records in session.records:
        builder.feed(records)
    made = builder.take()

    assert [(one.lo, one.hi, one.frames) for one in made] == [(1, 2, 0), (3, 5, 3)]
    assert [one.rows().date.isoformat() for one in made] == ["2024-10-03", "2024-10-04"]
    assert [(one.ts_first // DAY_NS, one.ts_last // DAY_NS) for one in made] == [(19_999, 19_999), (20_000, 20_000)]
    assert builder.take() == []


def test_progress_is_known_at_every_thousandth_book_event(fed: Fed) -> None:
    frames = [delta(seq, "0.5000", "1.00") for seq in range(2, 999)]
    fed.frames(*frames, snapshot(999, B))
    assert fed.builder.milestone == (0, 0, 0)

    fed.frames(delta(1000, "0.5000", "1.00"), snapshot(1001, B))
    assert fed.builder.milestone == (1000, 2, 998)


@pytest.mark.parametrize("table", TABLES)
def test_frame_and_row_are_unique_in_each_table(fed: Fed, table: str) -> None:
    fed.frames(snapshot(2, B, yes=[LEVEL, ["0.4000", "1.00"]]), delta(9, "0.5000", "1.00"), delta(9, "0.5000", "1.00"))
    fed.frames(snapshot(10, A, yes=[LEVEL]), snapshot(11, B), delta(12, "0.4000", "1.00"))
    fed.own("connection", 1, event="closed")
    fed.own("session", event="recovered")

    places = fed.rows(table, "frame", "row")
    assert len(places) == len(set(places))
    assert places == sorted(places)
