"""Books of an exchange that has nothing but frames: as the frames sent so far show them."""

from __future__ import annotations

import pytest
import recordings
from fed import A, B, delta, frame, snapshot
from recordings import Session

from kalshi_trio.exchange.shown import ShownBooks
from kalshi_trio.protocol.builder import Builder
from kalshi_trio.protocol.watch import flat, levels_of


def levels(shown: ShownBooks, ticker: str) -> dict[int, int] | None:
    book = shown.book(ticker)
    return None if book is None else flat(book.sides["yes"], book.sides["no"])


def test_a_market_has_a_book_from_its_first_snapshot_on() -> None:
    shown = ShownBooks()
    shown.sent([delta(1, "0.5000", "1.00"), snapshot(2, B)])
    assert (levels(shown, A), levels(shown, B)) == (None, {})

    shown.sent([snapshot(3, A, yes=[["0.5000", "10.00"]], no=[["0.4", "3"]]), delta(4, "0.5000", "-1.50")])
    shown.sent([delta(5, "0.4000", "-3.00", "no"), delta(6, "0.0010", "7.00", "no")])
    assert levels(shown, A) == {10_000: 850, 21: 700}


def test_a_new_connection_begins_with_none() -> None:
    shown = ShownBooks()
    shown.sent([snapshot(1, A)])
    shown.begin()

    assert shown.book(A) is None


@pytest.mark.parametrize(
    "bad",
    [b"", b'{"type":"orderbook_delta"}', b'{"type":"orderbook_delta","msg":[]}', frame("orderbook_delta", msg={})],
)
def test_frames_that_cannot_be_read_are_passed_over(bad: bytes) -> None:
    shown = ShownBooks()
    shown.sent([snapshot(1, A), bad, frame("trade", msg={"market_ticker": A}), delta(2, "0.5000", "1.00")])

    assert levels(shown, A) == {10_000: 100}


@recordings.needed
@pytest.mark.parametrize("name", recordings.NAMES)
def test_in_every_era_they_are_the_recorders(name: str) -> None:
    session, shown, builder = Session(), ShownBooks(), Builder("s")
    builder.feed(session.start())
    compared = 0
    for number, line in enumerate(recordings.lines(name, 5000)):
        if line.frame:
            builder.feed(session.add("frame", line.connection, [line.frame]))
            shown.sent([line.frame])
        else:
            builder.feed(session.own("connection", line.connection, event="open"))
        if number % 50 == 49:
            ours = {m.ticker: levels_of(m.book) for m in builder.state.markets.values() if m.valid}
            compared += sum(map(len, ours.values()))
            assert {ticker: levels(shown, ticker) for ticker in ours} == ours

    assert compared > 100
