"""One market's ladders, against a plain dict."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kalshi_trio.protocol.book import Book, Ladder, Top
from kalshi_trio.protocol.numbers import COUNT_LIMIT_E2, NULL

_CHANGES = st.lists(st.tuples(st.integers(1, 12), st.integers(-3, 3)), max_size=60)


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 3))), _CHANGES)
def test_a_ladder_is_what_its_snapshot_and_deltas_add_up_to(
    levels: list[tuple[int, int]], changes: list[tuple[int, int]]
) -> None:
    ladder, plain = Ladder(), {price: size for price, size in dict(levels).items() if size}
    ladder.replace(levels)
    for price, change in changes:
        after = plain.get(price, 0) + change
        assert ladder.apply(price, change) == (after if after >= 0 else NULL)
        if after >= 0:
            plain[price] = after
        plain = {price: size for price, size in plain.items() if size}
        assert ladder.levels == plain
        assert ladder.best == max(plain, default=0)


def test_a_level_below_zero_leaves_the_ladder_as_it_was() -> None:
    ladder = Ladder({9800: 500}, 9800)

    assert ladder.apply(9800, -501) == NULL
    assert ladder.apply(9700, -1) == NULL
    assert ladder == Ladder({9800: 500}, 9800)


def test_a_level_that_no_table_holds_is_impossible() -> None:
    ladder = Ladder({9800: COUNT_LIMIT_E2 - 1}, 9800)

    assert ladder.apply(9800, 1) == NULL
    assert ladder.levels == {9800: COUNT_LIMIT_E2 - 1}


def test_the_ask_is_the_best_no_bid_seen_from_the_other_side() -> None:
    book = Book()
    book.yes.replace([(1000, 300), (9700, 250)])
    book.no.replace([(100, 7), (250, 40)])

    assert book.top() == Top(9700, 250, 9750, 40)
    assert book.best() == (9700, 250, 250, 40)


def test_an_empty_side_has_no_price() -> None:
    book = Book()
    assert book.top() == Top(None, None, None, None)

    book.no.apply(9900, 5)
    assert book.top() == Top(None, None, 100, 5)
