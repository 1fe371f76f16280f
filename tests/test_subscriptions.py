"""What is asked of the exchange, and when, as a state machine: no clock, no socket."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from subscription_help import SIDS, Exchange

from kalshi_trio.protocol.links import Command
from kalshi_trio.protocol.signals import BooksLost, Replied, SubscriptionLost
from kalshi_trio.protocol.subscriptions import CHOSEN, Subscriptions


def test_all_channels_are_asked_for_the_books_first_and_only_lifecycle_without_filter() -> None:
    exchange = Exchange("A", "B")
    exchange.run(1)

    asked = [params for _, params in exchange.params("subscribe")]
    assert [params["channels"] for params in asked] == [[*CHOSEN[:1]], ["trade"], ["ticker"], ["market_lifecycle_v2"]]
    assert [params.get("market_tickers") for params in asked] == [["A", "B"], ["A", "B"], ["A", "B"], None]
    assert exchange.texts() == ["Subscribing to markets: ['A', 'B']"]


def test_ids_begin_at_a_million_and_one_and_are_never_used_twice() -> None:
    exchange = Exchange("A")
    exchange.run(1)
    exchange.subscriptions.up(2)
    exchange.run(1)

    assert [command["id"] for _, command in exchange.asked] == [1_000_001 + number for number in range(8)]


def test_many_markets_go_in_chunks_the_first_subscribes_and_the_others_are_added() -> None:
    exchange = Exchange("A", "B", "C", "D", "E", chunk=2)
    exchange.run(1)

    added = [params for _, params in exchange.params("add_markets") if params["sids"] == [1]]
    assert [params["market_tickers"] for params in added] == [["C", "D"], ["E"]]
    assert [params["market_tickers"] for _, params in exchange.params("subscribe")[:1]] == [["A", "B"]]


def test_a_market_named_twice_is_asked_for_once() -> None:
    exchange = Exchange("A", "A")
    exchange.run(1)

    assert exchange.params("subscribe")[0][1]["market_tickers"] == ["A"]


def test_one_subscribing_command_is_under_way_at_a_time() -> None:
    subscriptions = Subscriptions(["A"])
    subscriptions.up(1)

    first = subscriptions.next(0)

    assert isinstance(first, Command)
    assert subscriptions.next(1) is None
    subscriptions.heard(Replied(1, first.id, "subscribed", 1, "orderbook_delta", 0, "", ()), 1)
    assert isinstance(subscriptions.next(1), Command)


def test_replies_to_ids_that_are_not_ours_and_from_other_connections_change_nothing() -> None:
    subscriptions = Subscriptions(["A"])
    subscriptions.up(2)
    first = subscriptions.next(0)
    assert isinstance(first, Command)

    for reply in (
        Replied(2, first.id + 1, "subscribed", 1, "orderbook_delta", 0, "", ()),
        Replied(1, first.id, "subscribed", 1, "orderbook_delta", 0, "", ()),
    ):
        subscriptions.heard(reply, 1)

    assert subscriptions.next(1) is None


def test_a_subscription_that_gets_no_reply_is_asked_again_and_then_the_connection_is_left() -> None:
    exchange = Exchange("A")
    exchange.answer = lambda _: None
    exchange.run(60)

    books = [at - 100 for at, params in exchange.params("subscribe") if params["channels"] == ["orderbook_delta"]]
    assert books == [0, 20, 40]
    assert exchange.hang_ups == ["subscribing to orderbook_delta failed 3 times (no reply within 10s)"]


def test_another_channel_that_is_refused_costs_itself_only() -> None:
    exchange = Exchange("A")
    exchange.answer = lambda command: 8 if command["params"].get("channels") == ["ticker"] else 0
    exchange.run(600)

    assert not exchange.hang_ups
    assert [params["channels"][0] for _, params in exchange.params("subscribe")].count("ticker") == 3
    assert any("ticker cannot be subscribed to" in text for text in exchange.texts())


def test_a_book_that_does_not_come_is_asked_for_again() -> None:
    exchange = Exchange("A", "B")
    exchange.silent = {"B"}
    exchange.run(6)

    assert exchange.params("get_snapshot") == [(105, {"sids": [1], "action": "get_snapshot", "market_tickers": ["B"]})]


def test_a_market_that_does_not_exist_is_warned_about_once_waited_for_and_never_a_reason_to_reconnect() -> None:
    exchange = Exchange("A", "B")
    exchange.silent = {"B"}
    exchange.run(600)

    times = [at - 100 for at, _ in exchange.params("get_snapshot")]
    assert times[:6] == [5, 10, 20, 40, 100, 160]
    assert len(times) <= 14
    assert not exchange.hang_ups
    assert [text for text in exchange.texts() if "exist" in text] == [
        "No book has come of ['B']: does it exist (yet)? Waiting for it"
    ]

    exchange.silent = set()
    exchange.run(61)
    assert exchange.texts() == ["The book of B has come"]
    asked = len(exchange.asked)
    exchange.run(600)
    assert len(exchange.asked) == asked


def test_books_lost_in_one_moment_are_asked_for_in_one_command() -> None:
    exchange = Exchange("A", "B", "C")
    exchange.run(1)
    exchange.lost("A")
    exchange.lost("C", "A")
    exchange.run(1)

    (asked,) = exchange.params("get_snapshot")
    assert asked[1]["market_tickers"] == ["A", "C"]
    assert asked[0] == pytest.approx(101.1)


def test_a_lost_book_that_is_not_given_back_is_a_reason_to_reconnect_once() -> None:
    exchange = Exchange("A", "B")
    exchange.run(1)
    exchange.silent = {"A"}
    exchange.lost("A")
    exchange.run(60)

    assert [round(at - 101.1) for at, _ in exchange.params("get_snapshot")] == [0, 5, 15]
    assert exchange.hang_ups == ["no snapshot came of ['A']"]

    exchange.subscriptions.up(2)
    exchange.run(600)
    assert len(exchange.hang_ups) == 1


def test_a_book_lost_on_another_connection_is_history() -> None:
    exchange = Exchange("A")
    exchange.run(1)
    exchange.lost("A", connection=7)
    exchange.run(60)

    assert not exchange.params("get_snapshot")


@pytest.mark.parametrize("code", [10, 25])
@pytest.mark.parametrize("channel", [*CHOSEN, "market_lifecycle_v2"])
def test_a_dead_subscription_is_made_again_alone(channel: str, code: int) -> None:
    exchange = Exchange("A", "B")
    exchange.run(1)
    exchange.asked.clear()
    exchange.subscriptions.heard(SubscriptionLost(1, SIDS[channel], channel, code), exchange.now)
    exchange.run(60)

    assert [params["channels"] for _, params in exchange.params("subscribe")] == [[channel]]
    assert not exchange.params("get_snapshot")


def test_a_subscription_that_dies_again_and_again_is_made_again_ever_later() -> None:
    exchange = Exchange("A")
    exchange.run(1)
    exchange.asked.clear()
    waits = [1, 2, 4, 8, 16, 32, 60, 60]
    deaths = []
    for wait in waits:
        deaths.append(exchange.now)
        exchange.subscriptions.heard(SubscriptionLost(1, 2, "trade", 10), exchange.now)
        exchange.run(wait + 10)

    times = [at for at, _ in exchange.params("subscribe")]
    assert [at - death for at, death in zip(times, deaths, strict=True)] == waits
    said = [text for text in exchange.texts() if "subscribing" in text]
    assert [text.partition(" (")[0] for text in said] == [
        "The subscription to trade is dead",
        *["The subscription to trade dies again and again"] * 3,
    ]


def losing(exchange: Exchange, seconds: float, *markets: str, every: float = 0.05, turned: bool = False) -> None:
    """Each book is lost as soon as it has come."""
    end = exchange.now + seconds
    while exchange.now < end:
        exchange.subscriptions.heard(BooksLost(1, 1, markets, "impossible_book", turned), exchange.now)
        exchange.run(every)


def test_a_book_that_is_lost_after_each_snapshot_is_asked_for_ever_more_seldom() -> None:
    exchange = Exchange("A", "B")
    exchange.run(1)
    losing(exchange, 200, "A")

    times = [at for at, _ in exchange.params("get_snapshot")]
    waits = [after - before for before, after in itertools.pairwise(times)]
    assert waits == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60], abs=0.2)
    errors = [text for text in exchange.texts() if "lost again" in text]
    assert errors == ["Books are lost again after each snapshot, asking ever more seldom: ['A']"]
    assert not exchange.hang_ups


def test_a_book_that_stood_for_a_minute_is_asked_for_at_once_again() -> None:
    exchange = Exchange("A", "B")
    exchange.run(1)
    losing(exchange, 10, "A")
    asked = len(exchange.params("get_snapshot"))
    exchange.run(70)
    lost_at = exchange.now
    exchange.lost("A")
    exchange.run(1)

    times = [at for at, _ in exchange.params("get_snapshot")]
    assert times[-1] == pytest.approx(lost_at + 0.1)
    assert len(times) == asked + 2  # the one that was waited for, and this one


def test_books_that_are_crossed_from_their_snapshots_on_are_said_to_look_turned_and_asked_for_no_more() -> None:
    exchange = Exchange("A", "B", "C")
    exchange.run(1)
    losing(exchange, 600, "A", "B", turned=True)

    assert len(exchange.params("get_snapshot")) == 3
    errors = [text for text in exchange.texts() if "use_yes_price" in text]
    assert len(errors) == 1
    assert errors[0].endswith(": ['A', 'B']")
    assert not exchange.hang_ups


def test_one_book_of_many_that_looks_turned_is_a_book_like_any_other() -> None:
    exchange = Exchange("A", "B", "C")
    exchange.run(1)
    losing(exchange, 100, "A", turned=True)

    assert len(exchange.params("get_snapshot")) > 5
    assert not [text for text in exchange.texts() if "use_yes_price" in text]


def test_markets_that_nobody_wants_are_not_asked_for() -> None:
    exchange = Exchange("A")
    exchange.run(1)
    exchange.lost("HOSTILE")
    exchange.run(60)

    assert not exchange.params("get_snapshot")


def test_an_error_that_comes_as_a_fact_and_as_a_reply_is_taken_once() -> None:
    exchange = Exchange("A")
    exchange.run(1)
    exchange.lost("A")
    exchange.answer = lambda command: 10 if command["params"].get("action") == "get_snapshot" else 0
    exchange.run(0.5)
    exchange.subscriptions.heard(SubscriptionLost(1, 1, "orderbook_delta", 10), exchange.now)
    exchange.run(60)

    assert [params["channels"] for _, params in exchange.params("subscribe")].count(["orderbook_delta"]) == 2


def test_a_sid_that_is_not_known_any_more_is_made_again() -> None:
    exchange = Exchange("A")
    exchange.run(1)
    exchange.answer = lambda command: 7 if command["params"].get("action") == "get_snapshot" else 0
    exchange.lost("A")
    exchange.run(10)

    assert len(exchange.params("subscribe")) == 5


def test_a_chunk_that_is_too_large_is_split_until_it_fits() -> None:
    exchange = Exchange(*"ABCDEFGH", chunk=8)
    exchange.answer = lambda command: 26 if len(command["params"].get("market_tickers", [])) > 2 else 0
    exchange.run(1)

    first = [p["market_tickers"] for _, p in exchange.params("subscribe") if p["channels"] == ["orderbook_delta"]]
    added = [p["market_tickers"] for _, p in exchange.params("add_markets") if p["sids"] == [1]]
    assert first == [list("ABCDEFGH"), list("ABCD"), list("AB")]
    assert added == [list("CD"), list("EF"), list("GH")]


def test_markets_beyond_the_exchanges_limit_are_named_and_the_rest_is_recorded() -> None:
    exchange = Exchange(*"ABCD", chunk=2)
    taken: set[str] = set()

    def three(command: dict[str, Any]) -> int:
        markets = set(command["params"].get("market_tickers", []))
        if command["params"].get("channels") == ["trade"] or len(taken | markets) <= 3:
            taken.update(markets)
            return 0
        return 26

    exchange.answer = three
    exchange.run(60)

    assert taken >= {"A", "B", "C"}
    assert any("takes no more markets" in text and "['D']" in text for text in exchange.texts())
    assert not exchange.hang_ups


def test_a_bad_market_is_found_and_left_out() -> None:
    exchange = Exchange("A", "B", "../../x", "C", chunk=4)
    exchange.answer = lambda command: 11 if "../../x" in command["params"].get("market_tickers", []) else 0
    exchange.run(60)

    first = [p["market_tickers"] for _, p in exchange.params("subscribe") if p["channels"] == ["orderbook_delta"]]
    added = [p["market_tickers"] for _, p in exchange.params("add_markets") if p["sids"] == [1]]
    assert first[-1] == ["A", "B"]
    assert added[-1] == ["C"]
    assert any("refuses ['../../x']" in text for text in exchange.texts())


def test_too_many_requests_are_answered_by_patience() -> None:
    exchange = Exchange("A")
    replies = iter([27, 27, 27])
    exchange.answer = lambda _: next(replies, 0)
    exchange.run(60)

    assert [at - 100 for at, _ in exchange.params("subscribe")] == [0, 1, 3, 7, 7, 7, 7]
    assert not exchange.hang_ups


def test_nothing_is_asked_while_there_is_no_connection() -> None:
    exchange = Exchange("A")
    exchange.silent = {"A"}
    exchange.run(1)
    exchange.subscriptions.down()

    assert exchange.subscriptions.next(1000) is None
    assert exchange.subscriptions.wake_at() == float("inf")


ANSWERS = st.sampled_from([0, 0, 0, None, 7, 8, 10, 11, 18, 25, 26, 27])


@given(st.lists(ANSWERS, max_size=40), st.integers(1, 4))
def test_whatever_the_exchange_answers_in_the_end_every_book_comes_or_the_connection_is_left_or_it_is_said(
    answers: list[int | None], chunk: int
) -> None:
    exchange = Exchange(*"ABCDE", chunk=chunk)
    replies = iter(answers)
    exchange.answer = lambda _: next(replies, 0)
    exchange.run(3600)

    missing = set("ABCDE") - exchange.came
    said = " ".join(exchange.texts())
    assert exchange.hang_ups or all(f"'{market}'" in said for market in missing)
    assert len(exchange.asked) < 40 + 200
