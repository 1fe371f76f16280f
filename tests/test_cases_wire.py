"""Cases from the field that concern frames: each has its right value, imported as `import` does it, or live in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import recordings
import trio
from fed import plain
from imports import Imported, imported
from test_asking_again import MARKETS, Circle, Desk
from trio.testing import MockClock
from verify_help import checked, only

from kalshi_trio.history.verify.findings import SessionReport

CASES = recordings.FOLDER.parent / "cases"
A = "KXA-26DEC31-T1"
needed = pytest.mark.skipif(not CASES.is_dir(), reason=f"no cases in {CASES}")


class Case:
    """A case as a session."""

    def __init__(self, folder: Path, name: str) -> None:
        self.session: Imported = imported(folder, CASES / f"{name}.jsonl")
        self._tables = {table: plain(rows) for table, rows in self.session.rows().items()}
        self.folder = folder

    def rows(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        return [tuple(row[name] for name in columns) for row in self._tables.get(table, [])]

    @property
    def fields(self) -> dict[str, int]:
        return dict(self.session.manifest.fields)

    def verified(self) -> SessionReport:
        """What `verify` finds in it."""
        return only(checked(self.folder / "data"))


@pytest.fixture
def case(tmp_path: Path) -> Callable[[str], Case]:
    return lambda name: Case(tmp_path, name)


def gap_free(case: Case) -> bool:
    """Nothing was refused, nothing is missing; a market of which only trades were recorded has no book."""
    return not case.session.manifest.tally.refused and {*case.rows("gaps", "cause")} <= {("no_book",)}


@needed
def test_null_is_absent(case: Callable[[str], Case]) -> None:
    one = case("null_id_seq")

    assert one.rows("deltas", "size", "valid") == [("1.00", True), ("2.00", True), ("3.00", True)]
    assert one.rows("tickers", "yes_ask", "yes_bid", "price") == [("0.5000", "0.4600", None)]
    assert gap_free(one)
    assert [run.missing for run in one.verified().sequences] == [0]


@needed
def test_a_trade_says_both_prices_with_one(case: Callable[[str], Case]) -> None:
    one = case("trade_without_no_price")

    assert one.rows("trades", "yes_price", "no_price", "count", "taker_side") == [
        ("0.4100", "0.5900", "5.00", "no"),
        ("0.4200", "0.5800", "1.00", "yes"),
    ]
    assert gap_free(one)


@needed
def test_a_volume_with_a_fraction_and_lives_of_all_kinds(case: Callable[[str], Case]) -> None:
    one = case("ticker_float_volume")

    (ticker,) = one.rows(
        "tickers", "price", "yes_bid", "yes_ask", "volume", "open_interest", "dollar_volume", "dollar_open_interest"
    )
    assert ticker == ("0.4800", "0.4500", "0.5300", "33896.00", "20422.00", None, -3)
    assert one.rows("lifecycle", "kind", "market", "event_ticker") == [
        ("market_lifecycle_v2", A, None),
        ("multivariate_market_lifecycle", "KXMVE-A-B", None),
        ("event_lifecycle", None, "KXMVE-A"),
        ("event_lifecycle", None, "KXMVE-C"),
    ]
    assert one.rows("gaps", "event", "cause", "channel", "expected", "got") == [
        ("opened", "sequence", "multivariate_market_lifecycle", 3, 4),
        ("healed", "sequence", "multivariate_market_lifecycle", 3, 4),
    ]
    assert one.session.manifest.tally.refused == 0
    assert one.fields == {"form ticker.msg.dollar_volume as unreadable number": 1}


@needed
def test_sides_of_other_names_are_no_empty_book(case: Callable[[str], Case]) -> None:
    one = case("snapshot_renamed_sides")

    assert one.rows("snapshots", "market") == []
    assert one.rows("deltas", "size", "valid") == [(None, False), (None, False)]
    assert one.rows("gaps", "event", "cause", "markets") == [("opened", "unreadable", [A])]
    assert one.session.manifest.verdict == "known gaps"
    assert not one.rows("top_of_book", "valid")
    assert one.fields == {"field orderbook_snapshot.msg.yes_bids": 1, "field orderbook_snapshot.msg.yes_asks": 1}


@needed
def test_several_messages_in_one_frame_are_all_taken(case: Callable[[str], Case]) -> None:
    one = case("several_in_one_frame")

    assert one.rows("deltas", "frame", "row", "seq", "size", "valid") == [
        (4, row, 2 + row, f"{row + 1}.00", True) for row in range(3)
    ]
    assert one.session.frames[1].count(b"\n") == 3
    assert gap_free(one)
    tally = one.session.manifest.tally
    assert (tally.received, tally.decoded, tally.control, tally.unknown, tally.refused) == (3, 3, 0, 0, 0)
    assert tally.by_type == {"orderbook_delta": 3, "orderbook_snapshot": 1, "trade": 1}
    assert [run.ranges for run in one.verified().sequences] == [[[1, 4]], [[1, 1]]]


@needed
def test_the_time_of_sending_changes_nothing(case: Callable[[str], Case]) -> None:
    one = case("sending_ts_ms")

    assert [len(one.rows(table, "frame")) for table in ("deltas", "snapshots", "trades")] == [1, 2, 1]
    assert one.rows("deltas", "size", "valid") == [("10.00", True)]
    assert one.fields == {}
    assert gap_free(one)
    assert not [found for found in one.verified().findings if found.level in ("damage", "gap")]


@needed
def test_the_exchanges_own_delay_is_in_the_journal(case: Callable[[str], Case]) -> None:
    page = (Path(__file__).parents[1] / "docs" / "frames.md").read_text()
    names: dict[str, Any] = {}
    exec(page.partition("```python\n")[2].partition("```")[0], names)  # noqa: S102  our own page

    assert list(names["delays_ms"](case("sending_ts_ms").session.folder)) == [3, 3]


@needed
def test_an_end_that_nobody_asked_for_is_a_gap(case: Callable[[str], Case]) -> None:
    one = case("unsubscribed_unasked")

    assert one.rows("deltas", "valid") == [(True,)]
    assert one.rows("gaps", "event", "cause", "channel", "markets") == [
        ("opened", "channel_error", "orderbook_delta", [A])
    ]
    assert one.session.manifest.verdict == "known gaps"


FLIPPED = {"yes_dollars_fp": [["0.4500", "100.00"]], "no_dollars_fp": [["0.4700", "10.00"], ["0.9900", "5.00"]]}


async def trade_on(circle: Circle, seconds: float, market: str = "A") -> None:
    """A delta every 50 ms, each an instant later."""
    for _ in range(int(seconds / 0.05)):
        ts_ms = 1_795_543_200_000 + int(trio.current_time() * 1000)
        change = {"price_dollars": "0.4400", "delta_fp": "1.00", "side": "yes", "ts_ms": ts_ms}
        message = {
            "type": "orderbook_delta",
            "sid": 1,
            "seq": circle.desk.seq(),
            "msg": {"market_ticker": market} | change,
        }
        await circle.desk.say(message)
        await trio.sleep(0.05)


async def test_no_prices_that_are_yes_prices_are_said_once_and_asked_for_no_more(
    nursery: trio.Nursery, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    circle = Circle(nursery)

    async def flipped(desk: Desk, market: str, number: int = 0) -> None:
        head = {"type": "orderbook_snapshot", "sid": 1, "seq": desk.seq()} | ({"id": number} if number else {})
        await desk.say(head | {"msg": {"market_ticker": market} | FLIPPED})

    circle.desk.snapshot = flipped.__get__(circle.desk)  # type: ignore[method-assign]
    await trio.sleep(1)
    await trade_on(circle, 120)

    asked = circle.snapshots_asked()
    assert all(sum(market in command for command in asked) <= 3 for market in MARKETS)
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 1
    assert "use_yes_price" in errors[0]
    assert errors[0].endswith(str(list(MARKETS)))
    assert circle.valid == set()
    state = circle.builder.state
    assert sorted(market for gap in state.gaps for market in gap.markets) == list(MARKETS)
    assert state.gaps_opened == len(MARKETS)
    assert len([data for data in circle.scene.journal.of("frame") if b"orderbook_delta" in data]) >= 2400
    assert circle.scene.stats.connection == 1
    await circle.scene.finish()


@pytest.mark.parametrize("number", [{}, {"id": 7}])
async def test_an_end_that_nobody_asked_for_is_followed_by_a_new_subscription(
    number: dict[str, int], nursery: trio.Nursery, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    circle = Circle(nursery)
    await trio.sleep(1)
    await circle.desk.say({"type": "unsubscribed", "sid": 1, "seq": circle.desk.seq()} | number)
    await trio.sleep(0.1)
    assert circle.valid == set()
    await trio.sleep(3)

    assert circle.valid == set(MARKETS)
    assert [c["params"].get("channels") for c in circle.desk.asked[4:]] == [["orderbook_delta"]]
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "The subscription to orderbook_delta is dead (ended unasked): subscribing again" in said
    await circle.scene.finish()
