"""Audits from end to end, against an exchange that tells the truth, one that is late, and one that lies."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import trio
from audited import MARKETS, Audited, take
from trio.testing import MockClock

from kalshi_trio.exchange.faults import Faults
from kalshi_trio.exchange.http import refused
from kalshi_trio.exchange.lies import Lies
from kalshi_trio.protocol.builder import Builder
from kalshi_trio.protocol.schema import ROW_SCHEMAS


@pytest.mark.parametrize(
    ("rate", "lag", "delay"), [(30, 0, 0), (30, 0.4, 0.1), (300, 0, 0.3), (300, 0.4, 0), (3, 2, 0)]
)
async def test_a_truthful_exchange_is_never_called_a_liar(
    rate: float, lag: float, delay: float, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Whichever of websocket and REST is the later one, and however much happens meanwhile."""
    audited = Audited(nursery, 180, rate=rate, lag=lag)
    audited.desk.delay = delay
    await trio.sleep(15)

    found = Counter(audited.found("verdict"))
    assert found.keys() <= {"exact", "consistent"}
    assert found["consistent"] > 0
    assert found.total() > 25
    assert {market for market, _ in audited.found("market", "verdict")} == set(MARKETS)
    assert audited.builder.state.gaps_opened == 0
    assert {records.connection for records in audited.journal.records if records.kind == "rest"} == {0}
    if lag:
        assert any(book > answer for book, answer in audited.found("book_frame", "answer_frame"))
    nursery.cancel_scope.cancel(reason="tested")


async def test_a_lie_is_found_told_and_healed_by_a_fresh_snapshot(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    audited = Audited(nursery, 60)
    audited.desk.lies = lies = Lies(1, first=7, most=1)
    await trio.sleep(40)

    (lie,) = lies.told
    assert Counter(audited.found("verdict"))["inconsistent"] == 1
    ((market, frame, differing),) = [
        (row["market"], row["frame"], row["differing"])
        for row in audited.rows["audits"]
        if row["verdict"] == "inconsistent"
    ]
    assert (market, differing) == (lie.ticker, 1)
    gaps = [(row["event"], row["cause"], row["markets"], row["gap_frame"]) for row in audited.rows["gaps"]]
    assert gaps == [(event, "audit", [lie.ticker], frame) for event in ("opened", "healed")]
    asked = [heard.text for heard in audited.exchange.exchange.commands if "get_snapshot" in heard.text]
    assert len(asked) == 1
    assert lie.ticker in asked[0]
    assert audited.builder.state.markets[lie.ticker].valid
    later = [v for m, v, f in audited.found("market", "verdict", "frame") if m == lie.ticker and f > frame]
    assert len(later) > 5
    assert set(later) <= {"exact", "consistent"}
    nursery.cancel_scope.cancel(reason="tested")


async def test_a_cut_connection_leaves_audits_undecided_and_they_go_on(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    audited = Audited(nursery, 180, faults=Faults({500: "cut"}))
    audited.desk.delay = 0.5
    await trio.sleep(20)

    found = Counter(audited.found("verdict", "reason"))
    assert audited.feed.stats.reconnects == 1
    assert found["undecidable", "disconnected"] >= 1
    assert not [pair for pair in found if pair[0] == "inconsistent"]
    assert audited.found("verdict")[-1] in {"exact", "consistent"}
    nursery.cancel_scope.cancel(reason="tested")


async def test_a_busy_exchange_is_left_in_peace_for_a_while(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    audited = Audited(nursery, 60)
    audited.desk.failures = [refused(429, "too_many_requests")] * 4
    await trio.sleep(40)

    found = audited.found("verdict", "reason", "status")
    assert found[:4] == [("undecidable", "refused", 429)] * 4
    assert {verdict for verdict, _, _ in found[4:]} <= {"exact", "consistent"}
    assert 20 < len(found) < 36
    nursery.cancel_scope.cancel(reason="tested")


async def test_a_replay_finds_the_same_from_any_checkpoint(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    audited = Audited(nursery, 600, rate=30, lag=0.2)
    audited.desk.lies = Lies(9)
    await trio.sleep(15)
    nursery.cancel_scope.cancel(reason="recorded")
    records = [one for one in audited.journal.records if one.last <= audited.builder.state.frame]
    assert len(set(audited.found("verdict"))) == 4

    for cut in (0, *range(1, len(records), len(records) // 15)):
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in ROW_SCHEMAS}
        builder = Builder("s")
        for number, one in enumerate(records):
            if number == cut:
                take(builder, rows)
                builder = Builder("s", builder.dump())
            builder.feed(one)
        take(builder, rows)

        assert rows == audited.rows
        assert builder.dump() == audited.builder.dump()
