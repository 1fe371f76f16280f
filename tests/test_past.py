"""The past as an exchange's floor: recorded frames for clients with sids, numbers and markets of their own."""

from __future__ import annotations

import json
from typing import Any

from fed import A, B, delta, frame, snapshot
from recordings import Session

from kalshi_trio.exchange.eras import Era
from kalshi_trio.exchange.past import Past, era_of
from kalshi_trio.exchange.past_desk import PastDesk, flipped
from kalshi_trio.exchange.rules import Rules
from kalshi_trio.protocol.builder import Builder


def book(seq: int, market: str, sid: int = 7) -> bytes:
    """A snapshot with a level a side."""
    return snapshot(seq, market, sid=sid, yes=[["0.4000", "10.00"]], no=[["0.5000", "5.00"]])


class Told:
    """A recorded session, told record by record to clients."""

    def __init__(self, *markets: str, era: Era = "current") -> None:
        self.session = Session()
        self.session.start(A, B)
        self.past = Past(Builder("s"), markets)
        self.rules = Rules(era=era)
        self.clients: list[Client] = []
        self.own("connection", 1, event="open")

    def client(self) -> Client:
        client = Client(PastDesk(self.past, self.rules))
        self.clients.append(client)
        return client

    def own(self, *args: Any, **event: object) -> None:
        self.session.own(*args, **event)
        self._tell()

    def frames(self, *some: bytes, connection: int = 1) -> None:
        self.session.add("frame", connection, list(some))
        self._tell()

    def _tell(self) -> None:
        for records in self.session.records:
            if records.first > self.past.frame:
                events = self.past.take(records)
                for client in self.clients:
                    client.got += [json.loads(data) for data in client.desk.hear(events)]


class Client:
    def __init__(self, desk: PastDesk) -> None:
        self.desk = desk
        self.got: list[dict[str, Any]] = []
        self.asked = 0

    def say(self, name: str, **params: object) -> list[dict[str, Any]]:
        """The replies to a command."""
        self.asked += 1
        return [
            json.loads(data)
            for data in self.desk.command(json.dumps({"id": self.asked, "cmd": name, "params": params}))
        ]

    def subscribe(self, *markets: str, channel: str = "orderbook_delta", **more: object) -> list[dict[str, Any]]:
        return self.say("subscribe", channels=[channel], market_tickers=list(markets), **more)

    def took(self) -> list[tuple[str, int, int]]:
        """Type, sid and seq of what came since the last time."""
        taken = [(one["type"], one["sid"], one.get("seq", 0)) for one in self.got]
        self.got.clear()
        return taken


def both_books() -> tuple[bytes, ...]:
    return book(1, A), book(2, B)


def test_a_client_has_its_own_sids_and_numbers_and_only_its_markets() -> None:
    told = Told()
    client = told.client()
    replies = client.subscribe("KXNONE", channel="ticker") + client.subscribe(B)
    told.frames(*both_books(), delta(3, "0.4000", "1.00", sid=7), delta(4, "0.4000", "2.00", market=B, sid=7))
    told.frames(delta(5, "0.4000", "1.00", market=B, sid=7), delta(6, "0.4000", "1.00", sid=7))

    assert [(one["type"], one["id"], one["msg"]["sid"]) for one in replies] == [
        ("subscribed", 1, 1),
        ("subscribed", 2, 2),
    ]
    assert [one["msg"]["market_ticker"] for one in client.got] == [B] * 3
    assert client.got[1]["msg"] == json.loads(delta(4, "0.4000", "2.00", market=B, sid=7))["msg"]
    assert client.took() == [("orderbook_snapshot", 2, 1), ("orderbook_delta", 2, 2), ("orderbook_delta", 2, 3)]


def test_who_comes_later_gets_the_books_as_they_stand_first() -> None:
    told = Told()
    told.frames(*both_books(), delta(3, "0.4000", "1.00", sid=7), delta(4, "0.3000", "2.00", sid=7))
    client = told.client()
    ack, whole = client.subscribe(A)
    told.frames(delta(5, "0.4000", "-11.00", sid=7))

    assert (ack["type"], ack["msg"]) == ("subscribed", {"channel": "orderbook_delta", "sid": 1})
    assert (whole["type"], whole["sid"], whole["seq"]) == ("orderbook_snapshot", 1, 1)
    assert whole["msg"]["yes_dollars_fp"] == [["0.3000", "2.00"], ["0.4000", "11.00"]]
    assert whole["msg"]["no_dollars_fp"] == [["0.5000", "5.00"]]
    assert client.took() == [("orderbook_delta", 1, 2)]


def test_more_markets_a_fresh_snapshot_and_fewer_markets_may_be_asked_for() -> None:
    told = Told()
    told.frames(*both_books())
    client = told.client()
    client.subscribe(A)
    added = client.say("update_subscription", sid=1, action="add_markets", market_tickers=[B])
    asked = client.say("update_subscription", sid=1, action="get_snapshot", market_tickers=[A])
    client.say("update_subscription", sid=1, action="delete_markets", market_tickers=[A])
    told.frames(delta(3, "0.4000", "1.00", sid=7), delta(4, "0.4000", "1.00", market=B, sid=7))

    assert [(one["type"], one["seq"]) for one in added] == [("ok", 2), ("orderbook_snapshot", 3)]
    assert [(one["type"], one["id"], one["seq"]) for one in asked] == [("orderbook_snapshot", 3, 4)]
    assert client.took() == [("orderbook_delta", 1, 6)]


def test_a_hole_of_the_recording_is_a_hole_for_the_client() -> None:
    told = Told()
    client = told.client()
    client.subscribe(A)
    told.frames(*both_books(), delta(3, "0.4000", "1.00", sid=7))
    told.frames(delta(6, "0.4000", "1.00", sid=7), delta(6, "0.4000", "1.00", sid=7), delta(7, "0.4000", "1.00", sid=7))

    assert [seq for _, _, seq in client.took()] == [1, 2, 5, 5, 6]
    late = told.client()
    assert [one["type"] for one in late.subscribe(A)] == ["subscribed"]  # its book is lost, and so not shown
    told.frames(delta(8, "0.4000", "1.00", sid=7), book(9, A), delta(10, "0.4000", "1.00", sid=7))
    assert late.took() == [("orderbook_snapshot", 1, 1), ("orderbook_delta", 1, 2)]


def test_a_lost_connection_is_a_hole_until_the_next_ones_snapshots() -> None:
    told = Told()
    client = told.client()
    client.subscribe(A)
    told.frames(*both_books())
    told.own("connection", 1, event="closed", why="recorded")
    told.own("connection", 2, event="open")
    told.frames(delta(1, "0.4000", "1.00", sid=3), book(2, A, 3), connection=2)

    assert client.took() == [("orderbook_snapshot", 1, 1), ("orderbook_snapshot", 1, 3)]


def test_the_end_of_the_recording_is_not_the_end_of_its_books() -> None:
    told = Told()
    told.frames(*both_books())
    told.own("connection", 1, event="closed", final=True)
    told.own("session", event="ended", verdict="complete")

    assert [one["type"] for one in told.client().subscribe(A, B)] == ["subscribed"] + ["orderbook_snapshot"] * 2


def test_a_subscription_that_died_is_a_hole_of_its_channel() -> None:
    told = Told()
    client = told.client()
    client.subscribe(A)
    client.subscribe(channel="trade")
    told.frames(frame("subscribed", id=1, msg={"channel": "trade", "sid": 8}), *both_books())
    told.frames(trade(1, "a"), frame("error", 8, 2, msg={"code": 25, "msg": "overflow"}))
    told.frames(trade(1, "b", sid=9), delta(3, "0.4000", "1.00", sid=7))

    assert client.took() == [
        *(("orderbook_snapshot", 1, 1), ("trade", 2, 1)),
        *(("trade", 2, 3), ("orderbook_delta", 1, 2)),
    ]


def trade(seq: int, trade_id: str, market: str = A, sid: int = 8) -> bytes:
    price = {"yes_price_dollars": "0.4000", "no_price_dollars": "0.6000", "count_fp": "1.00", "taker_side": "yes"}
    return frame("trade", sid, seq, msg={"market_ticker": market, "trade_id": trade_id, "ts": 1, **price})


def test_what_two_recorded_connections_brought_comes_once() -> None:
    told = Told()
    client = told.client()
    client.subscribe(A)
    client.subscribe(channel="trade")
    told.own("connection", 2, event="open")
    told.frames(*both_books(), trade(1, "a"))
    told.frames(book(1, A), trade(1, "a"), trade(2, "b"), connection=2)
    told.frames(delta(3, "0.4000", "1.00", sid=7), trade(2, "b"))
    told.frames(delta(2, "0.4000", "1.00", sid=7), connection=2)

    assert [kind for kind, _, _ in client.took()] == [
        *("orderbook_snapshot", "trade", "orderbook_snapshot", "trade", "orderbook_delta")
    ]


def test_only_the_chosen_markets_are_told() -> None:
    told = Told(B)
    client = told.client()
    client.subscribe(A, B)
    client.subscribe(channel="trade")
    client.say("subscribe", channels=["market_lifecycle_v2"])
    event = {"event_ticker": "E", "title": "t"}
    told.frames(*both_books(), trade(1, "a"), frame("event_lifecycle", 9, 1, msg=event))

    assert client.took() == [("orderbook_snapshot", 1, 1), ("event_lifecycle", 3, 1)]
    assert [one["type"] for one in told.client().subscribe(A, B)] == ["subscribed", "orderbook_snapshot"]


def test_what_nobody_can_read_is_left_out_and_counted() -> None:
    told = Told()
    client = told.client()
    client.subscribe(A)
    told.frames(b"{", b'{"type":5}', *both_books())

    assert client.took() == [("orderbook_snapshot", 1, 1)]
    assert told.past.left_out == 2


def test_damaged_records_are_a_hole() -> None:
    told = Told()
    client = told.client()
    client.subscribe(A)
    told.frames(*both_books())
    assert client.desk.hear(told.past.lost(told.past.frame)) == []
    told.frames(book(9, A))

    first, second = client.took()
    assert first[2] + 1 < second[2]


def test_a_client_may_ask_for_yes_prices() -> None:
    told = Told()
    client = told.client()
    client.subscribe(A, use_yes_price=True)
    told.frames(*both_books(), delta(3, "0.5500", "1.00", side="no", sid=7), delta(4, "0.4100", "1.00", sid=7))
    (_, whole) = told.client().subscribe(A, use_yes_price=True)

    assert client.got[0]["msg"]["no_dollars_fp"] == [["0.5000", "5.00"]]
    assert [one["msg"]["price_dollars"] for one in client.got[1:]] == ["0.4500", "0.4100"]
    assert whole["msg"]["no_dollars_fp"] == [["0.4500", "1.00"], ["0.5000", "5.00"]]
    some = {"no_dollars_fp": [["0.1000", "1.00"], ["0.9990", "2.00"]]}
    assert json.loads(flipped(json.dumps(some).encode())) == {"no_dollars_fp": [["0.0010", "2.00"], ["0.9000", "1.00"]]}


def test_snapshots_look_as_the_recordings_frames_did() -> None:
    assert era_of(delta(1, "0.5000", "1.00")) == "current"
    assert era_of(b'{"type":"orderbook_delta","msg":{"price":50,"delta":1}}') == "cents"
    dual = b'{"type":"orderbook_delta","msg":{"price": 50,"price_dollars":"0.5000","delta":1,"delta_fp":"1.00"}}'
    assert era_of(dual) == "dual"
    assert era_of(book(1, A)) is None
    told = Told(era="cents")
    told.frames(*both_books())
    assert told.client().subscribe(A)[1]["msg"] == {"market_ticker": A, "yes": [[40, 10]], "no": [[50, 5]]}


def test_who_asks_for_a_snapshot_behind_a_gap_is_answered_by_the_next_that_the_recording_has() -> None:
    told = Told()
    client, other = told.client(), told.client()
    for one in (client, other):
        one.subscribe(A)
    told.frames(book(1, A), delta(2, "0.4000", "1.00", sid=7), delta(9, "0.4000", "1.00", sid=7))
    asked = [client.say("update_subscription", sid=1, action="get_snapshot", market_tickers=[A]) for _ in range(2)]
    client.took()
    other.took()
    told.frames(delta(10, "0.4000", "1.00", sid=7))
    told.frames(book(11, A), delta(12, "0.4000", "1.00", sid=7))

    assert asked == [[], []]
    assert [(one["type"], one.get("id")) for one in client.got] == [
        ("orderbook_snapshot", 2),
        ("orderbook_snapshot", 3),
        ("orderbook_delta", None),
    ]
    assert [one["msg"]["market_ticker"] for one in client.got] == [A] * 3
    assert [one.get("id") for one in other.got] == [None] * 3
    assert [seq for _, _, seq in client.took()] == [10, 11, 12]


def test_who_subscribes_behind_a_gap_gets_the_book_when_the_recording_has_it() -> None:
    told = Told()
    told.client().subscribe(B)
    told.frames(book(1, A), delta(5, "0.4000", "1.00", sid=7))
    client = told.client()
    assert [one["type"] for one in client.subscribe(A)] == ["subscribed"]
    told.frames(delta(6, "0.4000", "1.00", sid=7), book(7, A), delta(8, "0.4000", "1.00", sid=7))

    assert [kind for kind, _, _ in client.took()] == ["orderbook_snapshot", "orderbook_delta"]
