"""Audits: what REST says of a book, judged against every state that the book has had around the request."""

from __future__ import annotations

from typing import Any

import pytest
from audit_help import LEVEL, NO, SECOND, answer, ask, book, fed, later
from fed import A, B, Fed, delta, plain, snapshot
from hypothesis import given
from hypothesis import strategies as st

from kalshi_trio.protocol import audits
from kalshi_trio.protocol.builder import Builder
from kalshi_trio.protocol.signals import BooksLost, BookWhole

__all__ = ["fed"]


def test_a_book_that_stood_still_and_is_the_same_is_exact(fed: Fed) -> None:
    ask(fed)
    asked_at = fed.session.ts_recv
    answer(fed, book(yes=[["0.5000", "10.00"]], no=[["0.4000", "3.00"]]))

    by = {"frame": 6, "row": 0, "ts_recv": fed.session.ts_recv, "ts_event": None, "connection": 0, "sid": 0, "seq": 0}
    found = {"market": A, "verdict": "exact", "reason": None, "states": 1, "levels": 2, "differing": 0}
    records = {"request_frame": 5, "answer_frame": 6, "book_frame": 3}
    times = {"asked_at": asked_at, "sent_at": 1000, "answered_at": 2000}
    assert fed.tables["audits"] == [by | found | records | times | {"status": 200}]
    assert fed.builder.state.audits == {"exact": 1}
    assert fed.builder.state.watches == []


@pytest.mark.parametrize(
    ("yes", "no"),
    [
        ([["0.50", "10"]], [["0.400000", "3.0000"]]),
        ([["0.3", "0.00"], ["0.500000", "10.00"]], [["0.4000", "3.00"]]),
    ],
)
def test_numbers_are_compared_not_texts(fed: Fed, yes: Any, no: Any) -> None:
    ask(fed)
    answer(fed, book(yes=yes, no=no))

    assert fed.rows("audits", "verdict") == ["exact"]


@pytest.mark.parametrize("empty", [None, [], "absent"])
def test_an_empty_side_may_be_null_an_empty_list_or_absent(fed: Fed, empty: Any) -> None:
    no = {} if empty == "absent" else {"no_dollars": empty}
    ask(fed, B)
    answer(fed, {"ticker": B, "orderbook_fp": {"yes_dollars": [LEVEL]} | no})

    assert fed.rows("audits", "verdict") == ["exact"]


@pytest.mark.parametrize(("size", "frame"), [("10.00", 3), ("11.00", 6), ("12.00", 7), ("13.00", 8)])
def test_any_state_of_a_busy_book_within_the_window_is_consistent(fed: Fed, size: str, frame: int) -> None:
    ask(fed)
    fed.frames(*(delta(seq, "0.5000", "1.00") for seq in (3, 4, 5)))
    answer(fed, book(yes=[["0.5000", size]], no=[NO]))

    columns = ("verdict", "states", "book_frame", "differing")
    assert fed.rows("audits", *columns) == [("consistent", 4, frame, 0)]


def test_a_level_that_came_and_went_and_a_snapshot_are_states_too(fed: Fed) -> None:
    ask(fed, request=1)
    ask(fed, request=2)
    ask(fed, request=3)
    fed.frames(delta(3, "0.6000", "1.00"), delta(4, "0.6000", "-1.00"))
    fed.frames(snapshot(5, A, no=[["0.1000", "7.00"], ["0.2000", "8.00"]]))
    answer(fed, book(yes=[LEVEL, ["0.6000", "1.00"]], no=[NO]), request=1)
    answer(fed, book(no=[["0.2000", "8.00"], ["0.1000", "7.00"]]), request=2)
    answer(fed, book(yes=[LEVEL], no=[NO]), request=3)

    assert fed.rows("audits", "verdict", "book_frame", "states") == [
        *(("consistent", 8, 4), ("consistent", 10, 4), ("consistent", 9, 4)),
    ]


def test_a_state_between_two_frames_of_one_read_counts(fed: Fed) -> None:
    ask(fed)
    fed.frames(delta(3, "0.5000", "1.00"), delta(4, "0.4000", "2.00", "no"), delta(5, "0.5000", "-1.00"))
    answer(fed, book(yes=[["0.5000", "11.00"]], no=[["0.4000", "5.00"]]))

    assert fed.rows("audits", "verdict", "book_frame") == [("consistent", 7)]


def test_other_markets_frames_are_no_states(fed: Fed) -> None:
    ask(fed)
    fed.frames(delta(3, "0.5000", "1.00", market=B))
    answer(fed, book(yes=[LEVEL], no=[NO]))

    assert fed.rows("audits", "verdict", "states") == [("exact", 1)]


def test_what_the_websocket_brings_after_the_answer_is_waited_for(fed: Fed) -> None:
    ask(fed)
    answer(fed, book(yes=[["0.5000", "12.00"]], no=[NO]))
    assert fed.rows("audits") == []

    fed.session.ts_recv += 4 * SECOND
    fed.frames(delta(3, "0.5000", "1.00"), delta(4, "0.5000", "1.00"), delta(5, "0.5000", "1.00"))

    assert fed.rows("audits", "frame", "seq", "verdict", "answer_frame", "book_frame", "states") == [
        (8, 4, "consistent", 6, 8, 3),
    ]
    assert fed.rows("gaps") == []


def test_a_book_that_never_was_like_the_answer_is_inconsistent(fed: Fed) -> None:
    ask(fed)
    answer(fed, book(yes=[["0.5000", "12.00"], ["0.1000", "1.00"]], no=[NO]))
    fed.frames(delta(3, "0.5000", "2.00"), delta(4, "0.5000", "5.00"))
    later(fed, 5 * SECOND)

    columns = ("frame", "verdict", "reason", "book_frame", "states", "levels", "differing", "status")
    assert fed.rows("audits", *columns) == [(9, "inconsistent", None, 7, 3, 3, 1, 200)]
    assert fed.warnings == [f"Audit: REST shows {A} otherwise in 1 level (3 states compared): fetching it again"]


def test_an_inconsistent_book_is_a_hole_until_its_next_snapshot(fed: Fed) -> None:
    ask(fed)
    answer(fed, book(yes=[["0.5000", "10.01"]], no=[NO]))
    later(fed, 5 * SECOND)
    fed.frames(delta(3, "0.5000", "1.00"), delta(4, "0.5000", "1.00", market=B))
    fed.frames(snapshot(5, A, yes=[["0.5000", "10.01"]]))

    assert fed.signals == [BooksLost(1, 1, (A,), "audit"), BookWhole(1, 1, A)]
    assert fed.rows("gaps", "frame", "event", "cause", "markets") == [
        (7, "opened", "audit", [A]),
        (10, "healed", "audit", [A]),
    ]
    assert fed.rows("deltas", "market", "valid") == [(A, False), (B, True)]


def test_time_is_up_only_after_five_seconds_by_the_monotonic_clock(fed: Fed) -> None:
    ask(fed)
    answer(fed, book(yes=[LEVEL]))
    later(fed, audits.LATE_NS - 2_000_000)
    assert fed.rows("audits") == []

    later(fed, 0)
    assert fed.rows("audits", "verdict") == ["inconsistent"]


def test_the_frames_that_come_when_time_is_up_come_too_late(fed: Fed) -> None:
    ask(fed)
    answer(fed, book(yes=[["0.5000", "11.00"]], no=[NO]))
    fed.session.ts_recv += 5 * SECOND
    fed.frames(delta(3, "0.5000", "1.00"), snapshot(4, A, yes=[["0.5000", "11.00"]], no=[NO]))

    assert fed.rows("audits", "frame", "verdict") == [(7, "inconsistent")]
    assert fed.rows("deltas", "valid") == [False]
    assert fed.rows("gaps", "frame", "event") == [(7, "opened"), (8, "healed")]


def some_session(fed: Fed) -> None:
    """Audits with every verdict, two of them under way at once."""
    ask(fed, A, B, "KXNEVER")
    fed.frames(delta(3, "0.5000", "1.00"), delta(4, "0.6000", "2.00"), delta(5, "0.6000", "-2.00"))
    ask(fed, A, request=2)
    answer(fed, book(yes=[["0.5000", "11.00"], ["0.6000", "2.00"]], no=[NO]), book(B, yes=[["0.5000", "11.00"]]))
    answer(fed, book(yes=[["0.5000", "13.00"]], no=[NO]), request=2)
    fed.frames(delta(6, "0.5000", "1.00"), delta(7, "0.5000", "1.00"), delta(8, "0.5000", "1.00"))
    later(fed, 5 * SECOND)
    fed.frames(snapshot(9, B, yes=[["0.5000", "11.00"]]), delta(10, "0.5000", "1.00", market=B))
    ask(fed, B, request=3)
    answer(fed, book(B, yes=[["0.5000", "12.00"]]), request=3)
    fed.end()


def test_any_record_may_be_the_last_before_a_checkpoint(fed: Fed) -> None:
    some_session(fed)
    assert [row["verdict"] for row in fed.tables["audits"]] == [
        *("undecidable", "consistent", "consistent", "inconsistent", "exact"),
    ]

    for cut in range(1, len(fed.session.records)):
        first = Builder("s")
        for records in fed.session.records[:cut]:
            first.feed(records)
        second = Builder("s", first.dump())
        for records in fed.session.records[cut:]:
            second.feed(records)
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in fed.tables}
        for made in first.take() + second.take():
            for name, table in made.rows().tables.items():
                rows[name] += plain(table)

        assert rows == fed.tables, cut
        assert second.state.audits == fed.builder.state.audits


CHANGE = st.tuples(st.sampled_from(["0.1000", "0.2000", "0.3000"]), st.integers(1, 9), st.sampled_from(["yes", "no"]))


@given(changes=st.lists(CHANGE, max_size=30), reads=st.integers(1, 5), data=st.data())
def test_whatever_state_rest_shows_is_found_and_no_other(
    changes: list[tuple[str, int, str]], reads: int, data: st.DataObject
) -> None:
    fed = Fed()
    fed.frames(snapshot(1, A, yes=[LEVEL], no=[NO]))
    states = [({"0.5000": 10}, {"0.4000": 3})]
    frames = []
    for seq, (price, size, side) in enumerate(changes, 2):
        yes, no = (dict(levels) for levels in states[-1])
        levels = yes if side == "yes" else no
        frames.append(delta(seq, price, str(size - levels.pop(price, 0)), side))
        levels[price] = size
        states.append((yes, no))
    shown = data.draw(st.sampled_from(states))
    ask(fed)
    for start in range(0, len(frames), reads):
        fed.frames(*frames[start : start + reads])
    listed = [[[price, f"{size}.00"] for price, size in side.items()] for side in shown]
    answer(fed, book(yes=listed[0], no=listed[1]))
    ask(fed, request=2)
    answer(fed, book(yes=[*listed[0], ["0.9000", "1.00"]], no=listed[1]), request=2)
    later(fed, 5 * SECOND)

    newest = max(number for number, state in enumerate(states) if state == shown)
    found = fed.rows("audits", "verdict", "book_frame", "states")
    moved = len({number for number, state in enumerate(states) if number == 0 or state != states[number - 1]})
    assert found[0] == ("consistent" if moved > 1 else "exact", 3 + newest + (newest > 0), moved)
    assert found[1][0] == "inconsistent"
