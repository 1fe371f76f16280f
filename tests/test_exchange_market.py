"""Generated markets behave like books of the real exchange, and the seed decides all of it."""

from __future__ import annotations

import statistics
from collections import Counter
from itertools import pairwise

import pytest

from kalshi_trio.exchange.floor import GeneratedFloor
from kalshi_trio.exchange.market import ONE_DOLLAR_E4, SIDES, Book, Change, Event, Execution, Quote, Told, Whole

MARKETS = ("A", "B", "C", "D")
START_US = 1_795_543_200_000_000
STEP_US = 5_000


def lived(seconds: float, seed: int = 1, rate: float = 70.0, step_us: int = STEP_US, **more: float) -> list[Event]:
    floor = GeneratedFloor(MARKETS, seed, rate, **more)  # type: ignore[arg-type]  # close_after only
    steps = int(seconds * 1e6) // step_us
    return [event for step in range(1, steps + 1) for event in floor.advance(step_us, START_US + step * step_us)]


def stamped(events: list[Event]) -> list[Change | Execution | Quote]:
    return [event for event in events if isinstance(event, Change | Execution | Quote)]


def test_the_same_seed_makes_the_same_events() -> None:
    assert lived(20) == lived(20)
    assert lived(20) != lived(20, seed=2)


def test_how_finely_time_is_cut_changes_nothing() -> None:
    assert lived(20, step_us=5_000) == lived(20, step_us=100_000)


def test_the_exchanges_time_never_goes_backwards() -> None:
    stamps = [event.ts_us for event in stamped(lived(60))]

    assert sorted(stamps) == stamps
    assert START_US < stamps[0] <= stamps[-1] <= START_US + 60_000_000


def test_stamps_stay_inside_the_time_that_passed_however_much_happened() -> None:
    floor = GeneratedFloor(MARKETS, 1)
    first = floor.advance(1_000_000, START_US)
    second = floor.advance(10_000_000, START_US + 1000)

    assert {START_US <= event.ts_us <= START_US + 1000 for event in stamped(second)} == {True}
    assert max(event.ts_us for event in stamped(first)) <= START_US


def test_levels_are_never_negative_and_no_book_is_crossed_when_an_instant_is_over() -> None:
    floor = GeneratedFloor(MARKETS, 3, rate=500)
    books = {ticker: copy(market.book) for ticker, market in floor.markets.items()}
    last: Change | None = None
    crossed_inside = 0
    for step in range(1, 4001):
        for event in floor.advance(STEP_US, START_US + step * STEP_US):
            if not isinstance(event, Change):
                continue
            if last is not None and event[0::4] != last[0::4]:
                assert not books[last.ticker].crossed()
            book = books[event.ticker]
            book.apply(event.side, event.price_e4, event.delta_e2)
            assert book.sides[event.side].get(event.price_e4, 1) > 0
            crossed_inside += book.crossed()
            last = event

    assert crossed_inside > 10
    assert {ticker: book.sides for ticker, book in books.items()} == {
        ticker: market.book.sides for ticker, market in floor.markets.items()
    }


def copy(book: Book) -> Book:
    new = Book()
    new.sides = {side: dict(levels) for side, levels in book.sides.items()}
    return new


def test_each_trade_has_its_change_at_the_same_instant() -> None:
    events = stamped(lived(120))
    changes = Counter((e.ticker, e.ts_us, e.side, e.price_e4, e.delta_e2) for e in events if isinstance(e, Change))
    trades = [event for event in events if isinstance(event, Execution)]

    assert len(trades) > 100
    for trade in trades:
        side, price = ("yes", trade.yes_price_e4) if trade.taker_side == "no" else ("no", 10_000 - trade.yes_price_e4)
        assert changes[trade.ticker, trade.ts_us, side, price, -trade.count_e2] > 0
    assert len({trade.trade_id for trade in trades}) == len(trades)


def test_some_trades_are_told_before_their_change() -> None:
    events = stamped(lived(200, step_us=100_000))
    first = [isinstance(a, Execution) and isinstance(b, Change) and a.ts_us == b.ts_us for a, b in pairwise(events)]

    assert sum(first) > 5


def test_prices_lie_on_the_grid_and_only_fine_markets_have_the_fine_one() -> None:
    fine = {"A": set[int](), "B": set[int]()}
    parts = {"A": False, "B": False}
    for event in stamped(lived(300, step_us=100_000)):
        if isinstance(event, Change) and event.ticker in fine:
            fine[event.ticker].add(event.price_e4)
            parts[event.ticker] |= event.delta_e2 % 100 != 0

    assert all(0 < price < ONE_DOLLAR_E4 for prices in fine.values() for price in prices)
    assert all(price % 100 == 0 or (price % 10 == 0 and not 1000 < price < 9000) for price in fine["A"])
    assert all(price % 100 == 0 for price in fine["B"])
    assert (parts["A"], parts["B"]) == (True, False)


def test_a_coarse_floor_has_whole_cents_and_whole_contracts() -> None:
    floor = GeneratedFloor(MARKETS, 1, fine=False)
    changes = [e for e in floor.advance(300_000_000, START_US) if isinstance(e, Change)]

    assert len(changes) > 5000
    assert {(change.price_e4 % 100, change.delta_e2 % 100) for change in changes} == {(0, 0)}


def test_the_rate_bursts_and_silences_are_those_of_the_measured_profile() -> None:
    stamps = [event.ts_us for event in stamped(lived(1800, step_us=100_000))]
    gaps = sorted(b - a for a, b in pairwise(stamps))
    seconds = Counter(stamp // 1_000_000 for stamp in stamps)
    tenths = Counter(stamp // 100_000 for stamp in stamps)

    assert 50 < len(stamps) / 1800 < 110
    assert 500 < max(seconds.values()) < 3000
    assert 130 < max(tenths.values()) < 1600
    assert gaps[len(gaps) // 2] < 2_000
    assert 80_000 < gaps[len(gaps) * 99 // 100] < 400_000
    assert max(gaps) > 2_000_000


def test_most_instants_bring_one_change_and_a_few_dozens() -> None:
    sizes = Counter(
        Counter((e.ticker, e.ts_us) for e in stamped(lived(900, step_us=100_000)) if isinstance(e, Change)).values()
    )
    total = sizes.total()

    assert 0.6 < sizes[1] / total < 0.93
    assert 20 < max(sizes) <= 60


def test_a_busy_market_has_a_ticker_about_once_a_second() -> None:
    times = [
        event.ts_us
        for event in lived(300, rate=300, step_us=100_000)
        if isinstance(event, Quote) and event.ticker == "A"
    ]
    gaps = sorted(b - a for a, b in pairwise(times))

    assert 900_000 < statistics.median(gaps) < 1_200_000
    assert 400_000 < gaps[len(gaps) // 20] < 800_000


def test_a_ticker_tells_the_book_as_it_is() -> None:
    floor = GeneratedFloor(("A",), 5)
    market = floor.markets["A"]
    quote = market.quote(START_US)

    assert (market.book.best("yes"), market.book.best("no")) == (quote.bid_e4, quote.no_bid_e4)
    assert market.book.sides["yes"][quote.bid_e4] == quote.bid_e2


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5, 6])
def test_a_close_empties_the_book_once_or_twice_and_is_determined_and_settled(seed: int) -> None:
    events = lived(60, seed=seed, close_after=5.0)
    closed = [event for event in events if event[0] == "A" and not isinstance(event, Change | Execution | Quote)]
    stamps = [event.ts_us for event in stamped(events) if event.ticker == "A"]

    assert len(closed) in (1, 2)
    assert {type(event) for event in closed} == {Whole}
    assert max(stamps) <= START_US + 5_000_000
    told = [event for event in events if isinstance(event, Told) and event.subject == "A"]
    steps = [event.members.split(",")[0] for event in told]
    assert steps == ['"event_type":"determined"', '"event_type":"settled"']


def test_closes_come_once_and_twice() -> None:
    counts = {sum(isinstance(e, Whole) for e in lived(20, seed=seed, close_after=5.0)) for seed in range(8)}

    assert {1, 2} == counts


def test_other_peoples_markets_are_created_meanwhile() -> None:
    told = [event.kind for event in lived(60) if isinstance(event, Told)]

    assert 3 <= told.count("event_lifecycle") == told.count("market_lifecycle_v2") <= 4


def test_markets_have_both_sides_from_the_start() -> None:
    for market in GeneratedFloor(tuple(map(str, range(200))), 1).markets.values():
        assert any(market.book.sides[side] for side in SIDES)
        assert not market.book.crossed()
