"""The simulated exchange answers commands as the real one was seen to: sids, sequence numbers, replies, errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kalshi_trio.exchange.desk import BOOKS, LIFECYCLE, TICKERS, TRADES, Desk
from kalshi_trio.exchange.floor import GeneratedFloor
from kalshi_trio.exchange.rules import Rules

START_US = 1_795_543_200_000_000
ALL = [BOOKS, TRADES, TICKERS, LIFECYCLE]


class Talk:
    """A conversation with a desk of three markets."""

    def __init__(self, **rules: Any) -> None:
        self.rules = Rules(**rules)
        self.floor = GeneratedFloor(("A", "B", "C"), 1, rate=300, fine=self.rules.era == "current")
        self.desk = Desk(self.floor, self.rules)
        self._us = START_US
        self._id = 0

    def raw(self, name: str, **params: Any) -> list[bytes]:
        self._id += 1
        return self.desk.command(json.dumps({"id": self._id, "cmd": name, "params": params}))

    def say(self, name: str, **params: Any) -> list[dict[str, Any]]:
        return [json.loads(frame) for frame in self.raw(name, **params)]

    def subscribe(self, *tickers: str, channels: list[str] | None = None, **params: Any) -> list[dict[str, Any]]:
        return self.say("subscribe", channels=channels or [BOOKS], market_tickers=list(tickers), **params)

    def live(self, seconds: float) -> list[bytes]:
        self._us += int(seconds * 1e6)
        return self.desk.events(self.floor.advance(int(seconds * 1e6), self._us))


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    return [message["type"] for message in messages]


def numbers(messages: list[dict[str, Any]], sid: int) -> list[int]:
    return [message["seq"] for message in messages if message.get("sid") == sid and "seq" in message]


def test_one_command_gives_a_reply_a_channel_good_and_bad_ones_under_its_id() -> None:
    heard = Talk().say("subscribe", channels=[BOOKS, "nonsense", TRADES], market_tickers=["A", "B"])

    assert kinds(heard) == ["subscribed", "orderbook_snapshot", "orderbook_snapshot", "error", "subscribed"]
    assert [message["id"] for message in heard if "id" in message] == [1, 1, 1]
    assert heard[3]["msg"]["code"] == 8
    assert (heard[0]["msg"], heard[4]["msg"]) == ({"channel": BOOKS, "sid": 1}, {"channel": TRADES, "sid": 2})


def test_a_second_subscription_of_a_channel_merges_into_the_first_and_takes_a_number() -> None:
    talk = Talk()
    talk.subscribe("B")

    ok, snapshot = talk.subscribe("A", "B")

    assert ok == {"type": "ok", "id": 2, "sid": 1, "seq": 2, "msg": {"market_tickers": ["A", "B"]}}
    assert (snapshot["msg"]["market_ticker"], snapshot["sid"], snapshot["seq"]) == ("A", 1, 3)


def test_numbers_run_over_all_markets_of_a_sid_and_every_reply_takes_one() -> None:
    talk = Talk()
    heard = talk.subscribe("A", "B")
    heard += [json.loads(frame) for frame in talk.live(2)]
    heard += talk.say("update_subscription", action="add_markets", sids=[1], market_tickers=["C"])
    heard += talk.say("update_subscription", action="get_snapshot", sid=1, market_tickers=["A", "B"])
    heard += [json.loads(frame) for frame in talk.live(2)]
    heard += talk.say("unsubscribe", sids=[1])

    assert len(heard) > 100
    assert numbers(heard, 1) == list(range(1, len(numbers(heard, 1)) + 1))
    assert kinds(heard)[-1] == "unsubscribed"
    assert heard[-1]["seq"] == len(numbers(heard, 1))


def test_an_asked_snapshot_carries_the_id_and_the_book_as_it_is() -> None:
    talk = Talk()
    talk.subscribe("A")
    talk.live(3)

    (snapshot,) = talk.say("update_subscription", action="get_snapshot", sid=1, market_tickers=["A"])

    levels = talk.floor.markets["A"].book.sides["yes"]
    assert snapshot["id"] == 2
    told = {
        int(price.replace(".", "")): int(count.replace(".", "")) for price, count in snapshot["msg"]["yes_dollars_fp"]
    }
    assert told == levels


def test_the_ticker_channel_has_no_numbers_and_trades_and_lifecycle_have() -> None:
    talk = Talk()
    talk.subscribe("A", "B", "C", channels=ALL)
    heard = [json.loads(frame) for frame in talk.live(60)]
    by_kind = {kind: [m for m in heard if m["type"] == kind] for kind in set(kinds(heard))}

    assert not any("seq" in message for message in by_kind["ticker"])
    assert numbers(by_kind["trade"], 2) == list(range(1, len(by_kind["trade"]) + 1))
    assert numbers([*by_kind["event_lifecycle"], *by_kind["market_lifecycle_v2"]], 4)


def test_subscriptions_are_listed() -> None:
    talk = Talk()
    talk.subscribe("A", channels=[BOOKS, TRADES])

    assert talk.say("list_subscriptions") == [
        {"type": "ok", "id": 2, "msg": [{"channel": BOOKS, "sid": 1}, {"channel": TRADES, "sid": 2}]}
    ]


def test_an_unknown_ticker_gets_neither_error_nor_data() -> None:
    assert kinds(Talk().subscribe("NOSUCH")) == ["subscribed"]


@pytest.mark.parametrize(
    ("code", "name", "params"),
    [
        (3, "subscribe", {"market_tickers": ["A"]}),
        (4, "unsubscribe", {}),
        (5, "dance", {}),
        (7, "unsubscribe", {"sids": [9]}),
        (7, "update_subscription", {"sid": 9, "action": "add_markets"}),
        (8, "subscribe", {"channels": ["nonsense"]}),
        (11, "subscribe", {"channels": "orderbook_delta"}),
        (12, "update_subscription", {"sids": [1, 2], "action": "add_markets"}),
        (12, "update_subscription", {"action": "add_markets"}),
        (13, "update_subscription", {"sid": 1, "action": "explode", "market_tickers": ["A"]}),
        (13, "update_subscription", {"sid": 2, "action": "get_snapshot", "market_tickers": ["A"]}),
        (14, "subscribe", {"channels": [BOOKS]}),
        (14, "update_subscription", {"sid": 1, "action": "add_markets"}),
        (15, "update_subscription", {"sid": 1, "market_tickers": ["A"]}),
    ],
)
def test_what_cannot_be_done_is_refused_by_the_exchanges_code(code: int, name: str, params: dict[str, Any]) -> None:
    talk = Talk()
    talk.subscribe("A", channels=[BOOKS, TRADES])

    (error,) = talk.say(name, **params)

    assert (error["type"], error["id"], error["msg"]["code"]) == ("error", 2, code)


def test_what_is_no_command_is_refused_without_an_id() -> None:
    (answer,) = Talk().desk.command("no JSON")

    assert json.loads(answer)["msg"]["code"] == 1
    assert "id" not in json.loads(answer)


def test_more_markets_than_a_subscription_may_have_are_refused() -> None:
    talk = Talk(market_limit=2)
    talk.subscribe("A", "B")

    (error,) = talk.subscribe("C")

    assert error["msg"]["code"] == 26


def test_a_busy_exchange_refuses_the_first_commands() -> None:
    talk = Talk(busy=1)

    assert [kinds(talk.subscribe("A"))[0] for _ in range(2)] == ["error", "subscribed"]


def test_acks_may_come_behind_their_snapshots_and_snapshots_not_at_all() -> None:
    assert kinds(Talk(late_acks=True).subscribe("A")) == ["orderbook_snapshot", "subscribed"]
    assert kinds(Talk(withheld=frozenset("A")).subscribe("A")) == ["subscribed"]


def test_the_list_of_tickers_can_be_left_out_of_an_ok() -> None:
    talk = Talk()
    talk.subscribe("A")

    assert "msg" not in talk.subscribe("B", skip_ticker_ack=True)[0]


def test_by_yes_prices_the_no_side_reads_as_asks() -> None:
    plain, flipped = Talk(), Talk()
    no, asks = (
        {float(price): count for price, count in talk.subscribe("A", use_yes_price=asked)[1]["msg"]["no_dollars_fp"]}
        for talk, asked in ((plain, False), (flipped, True))
    )

    assert {round(1 - price, 4): count for price, count in no.items()} == asks


def test_every_frame_ends_in_a_newline_and_is_compact() -> None:
    talk = Talk()
    frames = talk.raw("subscribe", channels=ALL, market_tickers=["A", "B", "C"]) + talk.live(30)

    assert {frame[-1:] for frame in frames} == {b"\n"}
    assert not any(b"\n" in frame[:-1] or b": " in frame for frame in frames)


def test_times_of_deltas_drop_their_trailing_zeros() -> None:
    talk = Talk()
    talk.subscribe("A", "B", "C")
    stamps = [json.loads(frame)["msg"]["ts"] for frame in talk.live(120) if b"orderbook_delta" in frame]
    digits = {len(stamp.partition(".")[2].rstrip("Z")) for stamp in stamps}

    assert digits >= {4, 5, 6}
    assert not any(stamp.endswith("0Z") and "." in stamp for stamp in stamps)


@pytest.mark.parametrize(
    ("era", "has", "lacks"),
    [
        ("current", {"yes_dollars_fp"}, {"yes", "yes_dollars"}),
        ("dual", {"yes", "yes_dollars", "yes_dollars_fp"}, set[str]()),
        ("cents", {"yes"}, {"yes_dollars", "yes_dollars_fp"}),
    ],
)
def test_snapshots_look_as_in_their_era(era: str, has: set[str], lacks: set[str]) -> None:
    snapshot = Talk(era=era).subscribe("A")[1]["msg"]

    assert has <= set(snapshot)
    assert not lacks & set(snapshot)
