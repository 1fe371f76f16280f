"""Numbers as people read them."""

from __future__ import annotations

import pytest

from kalshi_trio.observe import figures


def test_prices_are_exact() -> None:
    assert [figures.price(e4) for e4 in (0, 1, 4_500, 9_985, 10_000)] == [
        "0.0000",
        "0.0001",
        "0.4500",
        "0.9985",
        "1.0000",
    ]


def test_prices_in_whole_cents_can_do_without_the_rest() -> None:
    assert figures.price(4_500, 2) == "0.45"


def test_counts_have_no_needless_decimals() -> None:
    assert [figures.count(e2) for e2 in (0, 500, 1_163, 1_150, 123_456_700)] == ["0", "5", "11.63", "11.5", "1,234,567"]


def test_an_empty_side_is_a_dash() -> None:
    assert (figures.price(None), figures.count(None)) == ("-", "-")


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (301_000, "301 kB"),
        (999_600, "1.0 MB"),
        (26e6, "26 MB"),
        (5e15, "5,000 TB"),
    ],
)
def test_sizes_have_three_digits_at_most(nbytes: float, text: str) -> None:
    assert figures.size(nbytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0s"), (9.94, "9.9s"), (9.96, "10s"), (59.7, "1m 00s"), (63, "1m 03s"), (7_625, "2h 07m")],
)
def test_spans_are_short(seconds: float, text: str) -> None:
    assert figures.span(seconds) == text


def test_clocks_run_past_a_day() -> None:
    assert figures.clock(90_061.9) == "25:01:01"


def test_one_is_singular() -> None:
    assert [figures.plural(n, "gap") for n in (0, 1, 1_000)] == ["0 gaps", "1 gap", "1,000 gaps"]


def test_verdicts_are_told_in_one_order_and_only_those_that_there_are() -> None:
    assert figures.verdicts({"undecidable": 1, "exact": 1200, "consistent": 0, "inconsistent": 2}) == (
        "1,200 exact, 2 inconsistent, 1 undecidable"
    )
    assert figures.verdicts({}) == ""
