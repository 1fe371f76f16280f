"""Audits that nobody can decide, and why."""

from __future__ import annotations

from typing import Any

import pytest
from audit_help import LEVEL, NO, VERDICT, answer, ask, book, fed, later
from fed import A, B, Fed, delta, snapshot

from kalshi_trio.protocol import audits

__all__ = ["fed"]


def test_a_market_that_was_never_seen_is_undecidable_at_once(fed: Fed) -> None:
    ask(fed, "KXNEVER", A)
    answer(fed, book("KXNEVER"), book(yes=[LEVEL], no=[NO]))

    assert fed.rows("audits", "frame", *VERDICT) == [
        (5, "KXNEVER", "undecidable", "no whole book"),
        (6, A, "exact", None),
    ]
    assert fed.rows("audits", "answer_frame", "book_frame", "levels", "differing", "sent_at")[0] == (None,) * 5


def lose_by_a_hole(fed: Fed) -> None:
    fed.frames(delta(9, "0.5000", "1.00"), snapshot(10, A, yes=[LEVEL], no=[NO]))


def lose_by_a_snapshot_that_shows_a_hole(fed: Fed) -> None:
    fed.frames(snapshot(9, A, yes=[LEVEL], no=[NO]))


def lose_by_a_negative_level(fed: Fed) -> None:
    fed.frames(delta(3, "0.5000", "-11.00"))


def lose_the_connection(fed: Fed) -> None:
    fed.own("connection", 1, event="closed", why="reset by peer")


def lose_records(fed: Fed) -> None:
    fed.session.add("stall", 0, [b"{}"] * 3)
    fed.builder.lost(fed.session.records[-1].last)
    later(fed, 0)


@pytest.mark.parametrize(
    ("lose", "reason"),
    [
        (lose_by_a_hole, "no whole book"),
        (lose_by_a_snapshot_that_shows_a_hole, "no whole book"),
        (lose_by_a_negative_level, "no whole book"),
        (lose_the_connection, "disconnected"),
        (lose_records, "records lost"),
    ],
)
@pytest.mark.parametrize("answered_first", [False, True])
def test_a_book_lost_in_the_window_is_undecidable(fed: Fed, lose: Any, reason: str, *, answered_first: bool) -> None:
    ask(fed)
    if answered_first:
        answer(fed, book(yes=[["0.5000", "99.00"]]))
    lose(fed)
    answer(fed, book(yes=[LEVEL], no=[NO]))

    assert fed.rows("audits", *VERDICT) == [(A, "undecidable", reason)]


BODIES = [
    *(f'{{"orderbooks":[{{"ticker":"{A}"{book}}}]}}' for book in ("", ',"orderbook_fp":null', ',"orderbook_fp":[]')),
    *("{}", "", "[", "null", '{"orderbooks":null}', '{"orderbooks":[[]]}', "<html>busy</html>"),
]


@pytest.mark.parametrize("body", BODIES)
def test_an_answer_that_cannot_be_read_is_undecidable(fed: Fed, body: str) -> None:
    ask(fed)
    answer(fed, body=body)

    assert fed.rows("audits", *VERDICT, "status") == [(A, "undecidable", "unreadable answer", 200)]


@pytest.mark.parametrize(
    "level",
    [
        *(["0.50001", "10.00"], ["0.500001", "10.00"], ["0.5000", "10.001"], ["0.5000", "-0.01"], ["0.5000", "1e1"]),
        *(["", "10.00"], ["-0.5000", "10.00"], ["0.5000", "9" * 39], [0.5, 10], ["0.5000"], ["nan", "1.00"]),
    ],
)
def test_a_level_that_no_book_can_have_makes_the_answer_unreadable(fed: Fed, level: list[Any]) -> None:
    ask(fed)
    answer(fed, book(yes=[level], no=[NO]))

    assert fed.rows("audits", *VERDICT) == [(A, "undecidable", "unreadable answer")]


def test_a_price_given_twice_makes_the_answer_unreadable_for_that_market_only(fed: Fed) -> None:
    ask(fed, A, B)
    answer(fed, book(A, yes=[LEVEL, ["0.50", "10.00"]], no=[NO]), book(B, yes=[LEVEL]))

    assert fed.rows("audits", "row", *VERDICT) == [
        (0, A, "undecidable", "unreadable answer"),
        (1, B, "exact", None),
    ]


def test_a_market_left_out_of_the_answer_is_undecidable(fed: Fed) -> None:
    ask(fed, A, B)
    answer(fed, book(B, yes=[LEVEL]), book("KXNOBODYASKED", yes=[LEVEL]))

    assert fed.rows("audits", *VERDICT) == [(A, "undecidable", "not in the answer"), (B, "exact", None)]


@pytest.mark.parametrize(("status", "reason"), [(429, "refused"), (503, "refused"), (None, "no answer")])
def test_an_answer_that_is_an_error_is_undecidable(fed: Fed, status: int | None, reason: str) -> None:
    ask(fed)
    answer(fed, book(yes=[LEVEL]), status=status)

    assert fed.rows("audits", *VERDICT, "status") == [(A, "undecidable", reason, status)]


def test_an_answer_that_never_comes_is_given_up(fed: Fed) -> None:
    ask(fed)
    later(fed, audits.ANSWER_NS)
    answer(fed, book(yes=[LEVEL], no=[NO]))

    assert fed.rows("audits", *VERDICT, "answer_frame") == [(A, "undecidable", "no answer", None)]


def test_a_second_answer_to_a_request_changes_nothing(fed: Fed) -> None:
    ask(fed)
    answer(fed, book(yes=[["0.5000", "11.00"]], no=[NO]))
    answer(fed, book(yes=[LEVEL], no=[NO]))
    answer(fed, book(yes=[LEVEL], no=[NO]), request=7)
    fed.frames(delta(3, "0.5000", "1.00"))

    assert fed.rows("audits", "verdict", "answer_frame") == [("consistent", 6)]


def test_a_book_too_busy_to_be_judged_is_undecidable_and_takes_bounded_memory(
    fed: Fed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audits, "CHANGES", 5)
    ask(fed)
    fed.frames(*(delta(seq, "0.5000", "1.00") for seq in range(3, 20)))
    answer(fed, book(yes=[LEVEL], no=[NO]))

    assert fed.rows("audits", *VERDICT, "states", "frame") == [(A, "undecidable", "too many changes", 7, 11)]


def test_audits_under_way_are_bounded(fed: Fed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audits, "WATCHES", 2)
    ask(fed, A, B, A)

    assert fed.rows("audits", *VERDICT) == [(A, "undecidable", "too many audits")]


def test_what_is_under_way_when_the_session_ends_is_undecidable(fed: Fed) -> None:
    ask(fed)
    answer(fed, book(yes=[["0.5000", "11.00"]], no=[NO]))
    fed.end()

    assert fed.rows("audits", "frame", *VERDICT) == [(7, A, "undecidable", "disconnected")]


@pytest.mark.parametrize(
    "data", [b"{", b"{}", b"[]", b"\xff", b'{"event":"asked","markets":7}', b'{"event":"answered"}']
)
def test_a_rest_record_that_is_none_of_ours_changes_nothing(fed: Fed, data: bytes) -> None:
    ask(fed)
    fed.session.add("rest", 0, [data])
    answer(fed, book(yes=[LEVEL], no=[NO]))

    assert fed.rows("audits", "verdict") == ["exact"]
