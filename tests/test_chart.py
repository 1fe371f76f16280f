"""What a chart draws: its numbers against plain loops over the records, and that it becomes a picture."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from fed import A, B, delta, frame, snapshot
from hypothesis import given
from hypothesis import strategies as st
from recordings import Session
from test_checkpoints import eventful
from written import write

from kalshi_trio.errors import FolderNotWritable, UsageError
from kalshi_trio.history.book.books import SessionBooks
from kalshi_trio.history.charts.bins import Columns, Line, Resting
from kalshi_trio.history.charts.chart_data import Chart, ChartData, Trades
from kalshi_trio.history.charts.chart_picture import draw_chart
from kalshi_trio.history.charts.chart_view import MARKS, marked, view
from kalshi_trio.protocol.builder import Builder
from kalshi_trio.protocol.records import Records

PNG = b"\x89PNG\r\n\x1a\n"
SECOND = 10**9
START = 1_800_000_000 * SECOND


def timed(*reads: tuple[float, list[bytes]]) -> list[Records]:
    """A session with reads at these seconds after START."""
    session = Session(START)
    session.start(A, B)
    session.own("connection", 1, event="open")
    for second, frames in reads:
        session.ts_recv = START + int(second * SECOND) - 1_000_000
        session.add("frame", 1, frames)
    return session.records


def trade(seq: int, price: str, count: str, taker: str, market: str = A) -> bytes:
    no = f"{1 - float(price):.4f}"
    msg = {"market_ticker": market, "trade_id": "t", "yes_price_dollars": price, "no_price_dollars": no}
    return frame("trade", 2, seq, msg=msg | {"count_fp": count, "taker_outcome_side": taker})


def chart(
    folder: Path, span: tuple[int, int] | None = None, columns: int = 10, seconds: tuple[int, int] = (0, 10)
) -> ChartData:
    books = SessionBooks(folder)
    times = (START + seconds[0] * SECOND, START + seconds[1] * SECOND)
    made = Chart(books, A, span or (1, books.last), times, columns)
    for _ in made.steps():
        pass
    return made.data()


def shown(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), 6) for value in values]


def test_a_level_counts_in_each_column_by_the_time_that_it_rested(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        timed(
            (1.0, [snapshot(1, A, yes=[["0.4000", "10.00"]], no=[["0.5000", "8.00"]])]),
            (2.5, [delta(2, "0.4000", "30.00")]),
            (4.0, [delta(3, "0.5000", "-8.00", "no")]),
            (4.25, [delta(4, "0.4000", "-40.00")]),
            (10.0, [delta(5, "0.3000", "1.00", market=B)]),
        ),
    )
    data = chart(folder)

    assert shown(data.valid) == [0, *[1] * 9]
    assert {price: shown(means) for price, means in data.heat.items()} == {
        4_000: [0, 10, 25, 40, 10, 0, 0, 0, 0, 0],
        5_000: [0, 8, 8, 8, 0, 0, 0, 0, 0, 0],
    }
    assert data.holes == [(0, 1)]


def test_best_prices_hold_until_the_next_and_a_column_knows_lowest_highest_and_last(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        timed(
            (1.0, [snapshot(1, A, yes=[["0.4000", "10.00"]], no=[["0.5000", "8.00"]])]),
            (1.1, [delta(2, "0.1000", "1.00", at=".1")]),
            (3.2, [delta(3, "0.4500", "2.00", at=".2")]),
            (3.4, [delta(4, "0.4500", "-2.00", at=".3")]),
            (3.6, [delta(5, "0.4000", "-10.00", at=".4")]),
            (6.0, [delta(6, "0.1000", "-1.00", at=".5")]),
            (8.0, [delta(7, "0.1000", "1.00", market=B, at=".6")]),
        ),
    )
    data = chart(folder)

    assert shown(data.bid.last) == [None, 4_000, 4_000, 1_000, 1_000, 1_000, None, None, None, None]
    assert shown(data.bid.low) == [None, 4_000, 4_000, 1_000, 1_000, 1_000, 1_000, None, None, None]
    assert shown(data.bid.high) == [None, 4_000, 4_000, 4_500, 1_000, 1_000, 1_000, None, None, None]
    assert shown(data.ask.last) == [None, *[5_000] * 9]


def test_trades_are_summed_by_column_price_and_taker(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        timed(
            (1.2, [trade(1, "0.4000", "3.00", "yes"), trade(2, "0.4000", "4.50", "yes")]),
            (
                1.9,
                [trade(3, "0.4000", "2.00", "no"), trade(4, "0.4100", "1.00", "yes"), trade(5, "0.4", "9.00", "no", B)],
            ),
            (9.5, [trade(6, "0.4000", "1.00", "yes")]),
        ),
    )

    assert chart(folder).trades == {
        Trades(1, 4_000, "yes"): 750,
        Trades(1, 4_000, "no"): 200,
        Trades(1, 4_100, "yes"): 100,
        Trades(9, 4_000, "yes"): 100,
    }


def test_a_hole_ends_all_levels_and_is_named(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        timed(
            (0.0, [snapshot(1, A, yes=[["0.4000", "10.00"]])]),
            (3.5, [delta(9, "0.4000", "1.00"), delta(10, "0.4000", "1.00")]),
            (5.0, [snapshot(11, A, yes=[["0.3000", "6.00"]])]),
            (10.0, [delta(12, "0.3000", "1.00", market=B)]),
        ),
    )
    data = chart(folder)

    assert shown(data.valid) == [1, 1, 1, 0.5, 0, 1, 1, 1, 1, 1]
    assert shown(data.heat[4_000]) == [10, 10, 10, 10, 0, 0, 0, 0, 0, 0]
    assert shown(data.heat[3_000]) == [0, 0, 0, 0, 0, 6, 6, 6, 6, 6]
    assert data.holes == [(3, 5)]
    assert data.causes == {"sequence": 1}


def test_a_part_of_a_session_begins_with_the_book_as_it_stood(tmp_path: Path) -> None:
    reads = [(float(second), [delta(second + 1, "0.4000", "1.00", at=f".{second}")]) for second in range(1, 10)]
    folder = write(tmp_path, timed((0.5, [snapshot(1, A, yes=[["0.4000", "10.00"]])]), *reads), every=2)
    data = chart(folder, (7, 9), 3, (4, 7))

    assert shown(data.heat[4_000]) == [14, 15, 16]
    assert shown(data.bid.last) == [4_000, 4_000, 4_000]
    assert shown(data.valid) == [1, 1, 1]


def plain_means(records: list[Records], columns: Columns) -> tuple[dict[int, list[float]], list[float]]:
    """The same by a loop over all reads, with the builder's own book after each, column by column."""
    builder = Builder("s")
    sums: dict[int, Counter[int]] = defaultdict(Counter)
    valid: Counter[int] = Counter()
    for run, later in zip(records, [*records[1:], None], strict=True):
        builder.feed(run)
        market = builder.state.markets.get(A)
        if market is None or not market.valid:
            continue
        until = later.ts_recv if later else columns.end_ns
        for column in range(columns.count):
            left = columns.start_ns + column * columns.width_ns
            ns = max(0, min(until, left + columns.width_ns) - max(run.ts_recv, left))
            valid[column] += ns
            for side, ladder in (("yes", market.book.yes), ("no", market.book.no)):
                for price, size in ladder.levels.items():
                    sums[price if side == "yes" else 10_000 - price][column] += ns * size
    means = {
        price: [by[column] / 100 / max(valid[column], 1) for column in range(columns.count)]
        for price, by in sums.items()
    }
    return means, [valid[column] / columns.width_ns for column in range(columns.count)]


@pytest.mark.parametrize("seed", range(2))
def test_an_eventful_session_has_the_means_of_a_plain_loop(seed: int, tmp_path: Path) -> None:
    records = eventful(seed, 120)
    folder = write(tmp_path, records, segment=700, every=200)
    books = SessionBooks(folder)
    made = Chart(books, A, (1, books.last), columns=17)
    for _ in made.steps():
        pass
    data = made.data()
    means, valid = plain_means(records, data.columns)

    assert sum(valid) > 1
    np.testing.assert_allclose(data.valid, valid, atol=1e-12)
    assert data.heat.keys() == {price for price, values in means.items() if any(values)}
    for price, values in data.heat.items():
        np.testing.assert_allclose(values, means[price], rtol=1e-9, atol=1e-9)


@given(st.integers(1, 10**13), st.integers(1, 1_000))
def test_columns_cover_the_span_and_are_no_more_than_asked_for(span: int, most: int) -> None:
    columns = Columns(7, 7 + span, most)

    assert columns.count <= most
    assert columns.end_ns - columns.width_ns < 7 + span <= columns.end_ns


@given(st.lists(st.tuples(st.integers(-50, 150), st.integers(-50, 150)), max_size=8))
def test_what_is_spread_over_columns_is_neither_lost_nor_doubled(pieces: list[tuple[int, int]]) -> None:
    columns = Columns(0, 100, 7)
    sums = np.zeros(columns.count)
    for start, end in pieces:
        columns.spread(sums, 2, start, end)

    expected = [
        sum(
            2 * sum(start <= ns < end for start, end in pieces)
            for ns in range(at * columns.width_ns, (at + 1) * columns.width_ns)
        )
        for at in range(columns.count)
    ]
    assert sums.tolist() == expected


def test_a_clock_that_was_set_back_stands_still() -> None:
    columns = Columns(0, 100, 10)
    resting, line = Resting(columns), Line(columns, None)
    resting.replace({5_000: 100}, {}, 50)
    resting.level("yes", 5_000, 0, 20)
    resting.level("yes", 5_000, 300, 70)
    resting.end()
    line.set(1, 50)
    line.set(2, 20)
    line.end()

    assert shown(resting.means()[5_000]) == [0, 0, 0, 0, 0, 0, 0, 3, 3, 3]
    assert shown(line.last) == [None] * 5 + [2] * 5


def test_the_view_has_room_for_every_best_price_and_trade_and_colours_for_most_sizes(tmp_path: Path) -> None:
    levels = [[f"0.{price:02}00", f"{price}.00"] for price in range(20, 41)]
    folder = write(
        tmp_path,
        timed(
            (0.0, [snapshot(1, A, yes=[*levels, ["0.0100", "999999.00"]], no=[["0.5500", "8.00"]])]),
            (2.0, [trade(1, "0.6000", "3.00", "yes"), delta(2, "0.3000", "1.00", at=".2")]),
            (9.0, [delta(3, "0.3000", "1.00", at=".3")]),
        ),
    )
    seen = view(chart(folder))

    assert seen.low <= 4_000 - 500
    assert seen.high >= 6_000 + 500
    assert seen.step == 100
    assert shown(seen.heat[(4_000 - seen.low) // 100]) == [40] * 10
    assert shown(seen.heat[(4_500 - seen.low) // 100]) == [8] * 10
    assert seen.scale is not None
    assert 8 <= seen.scale[0] < seen.scale[1] <= 80


@pytest.mark.parametrize(
    ("prices", "step"),
    [
        (range(100, 700, 10), 10),
        (range(1_000, 9_000, 100), 100),
        ([*range(10, 1_000, 10), *range(1_000, 9_900, 100)], 100),
    ],
)
def test_rows_of_the_heat_map_are_as_fine_as_most_ticks(prices: range | list[int], step: int, tmp_path: Path) -> None:
    levels = [[f"{price / 10_000:.4f}", "5.00"] for price in prices]
    first, last = levels[0][0], levels[-1][0]
    reads = [(0.0, [snapshot(1, A, yes=levels), trade(1, first, "1.00", "no"), trade(2, last, "1.00", "yes")])]
    folder = write(tmp_path, timed(*reads, (9.0, [delta(2, "0.1000", "1.00")])))

    assert view(chart(folder)).step == step


def test_of_many_trades_the_largest_are_marked() -> None:
    trades = Counter({Trades(number, 5_000, "yes"): number for number in range(1, MARKS + 11)})
    some, left_out = marked(trades)

    assert (sorted(some.values()), left_out) == ([*range(11, MARKS + 11)], True)
    assert marked(some) == (some, False)


def test_it_becomes_a_picture_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = write(tmp_path, eventful(1, 100))
    data = chart(folder, seconds=(-4_503_538, -4_503_530))
    draw_chart(data, tmp_path / "a.png")
    draw_chart(data, tmp_path / "a.svg")

    assert (tmp_path / "a.png").read_bytes().startswith(PNG)
    assert b"<svg" in (tmp_path / "a.svg").read_bytes()
    with pytest.raises(UsageError, match=r"drawn as \.png or \.svg"):
        draw_chart(data, tmp_path / "a.jpeg")
    with pytest.raises(FolderNotWritable, match="no such folder"):
        draw_chart(data, tmp_path / "none" / "a.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "a.svg", "sessions"]


@pytest.mark.parametrize("reads", [[], [(1.0, [snapshot(1, A)])], [(1.0, [snapshot(1, A, yes=[["0.5000", "1.00"]])])]])
def test_a_market_in_which_nothing_happened_becomes_one_too(
    reads: list[tuple[float, list[bytes]]], tmp_path: Path
) -> None:
    folder = write(tmp_path, timed(*reads, (9.0, [delta(2, "0.5000", "1.00", market=B)])))
    draw_chart(chart(folder), tmp_path / "a.png")

    assert (tmp_path / "a.png").read_bytes().startswith(PNG)


def test_memory_is_for_columns_and_prices_not_for_events(tmp_path: Path) -> None:
    random_ = random.Random(3)  # noqa: S311  test data
    frames = [delta(seq, f"0.{random_.randrange(10, 60)}00", "1.00", at=f".{seq:06}") for seq in range(2, 3_000)]
    folder = write(tmp_path, timed((0.0, [snapshot(1, A)]), (1.0, frames)))
    data = chart(folder, columns=5)

    assert len(data.heat) <= 50
    assert {len(values) for values in (*data.heat.values(), data.valid, data.bid.last)} == {5}
