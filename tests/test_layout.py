"""The live view on terminals of all sizes."""

from __future__ import annotations

import dataclasses

import pytest
from rich.cells import cell_len
from view_help import shown, some_picture, some_stats

from kalshi_trio.observe.layout import LOG_LINES
from kalshi_trio.observe.picture import Progress

SIZES = [(80, 24), (120, 40), (200, 60), (60, 24), (60, 12), (40, 20), (80, 8), (20, 5), (10, 3)]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_view_fits_and_leaves_the_log_its_lines(width: int, height: int) -> None:
    lines = shown(some_picture(progress=Progress(0.4, 18)), width, height)

    assert max(cell_len(line) for line in lines) <= width
    assert len(lines) <= max(height - LOG_LINES, 3)


def test_on_80_by_24_all_parts_are_there() -> None:
    text = "\n".join(shown(some_picture(progress=Progress(0.42, 18.0))))

    for part in (
        "kalshi_trio 20261124_050102-9f3a1c70",
        "● connected  external-api-ws.kalshi.com",
        "connection 2, 1 reconnect  0:12:34",
        "1,234 msg/s  mean 1,100  301 kB/s  late 3.5 ms, p99 12.4",
        "42%  18s left",
        "received 100,271   decoded 100,257   control 7   unknown 0   refused 0",
        "gaps 1 opened, 1 healed   books 4 of 5 whole   warnings 2   errors 0",
        "ClickHouse: connection refused",
        "new here: field orderbook_delta.msg.venue, type market_mood",
        "● retrying                60,391     40,000     40,290   1m 03s",
        "0.4500          120  0.4600        300.5",
    ):
        assert part in text


def test_audits_are_counted_where_there_are_any() -> None:
    stats = some_stats()
    assert "audits" not in "\n".join(shown(some_picture(stats)))

    stats.builder.audits = {"exact": 41, "inconsistent": 1}
    assert "audits 41 exact, 1 inconsistent" in "\n".join(shown(some_picture(stats)))


def test_without_much_room_what_matters_most_stays() -> None:
    lines = shown(some_picture(), 80, 8)

    assert len(lines) == 3
    assert "connected" in lines[0]
    assert "msg/s" in lines[1]
    assert "ClickHouse: connection refused" in lines[2]


def test_with_room_an_empty_line_parts_the_groups() -> None:
    assert sum(not line.strip("│ ") for line in shown(some_picture(), 120, 40)) == 3


def test_hostile_names_are_text_on_one_line() -> None:
    stats = some_stats()
    name = "[red]KX[/red]\n\x1b[31m" + "\u202e" + "X" * 10_000
    stats.builder.busy, stats.builder.tops = {name: 1}, {name: next(iter(stats.builder.tops.values()))}
    stats.builder.drift = [f"field {name}"]
    stats.sinks["clickhouse"].last_error = name
    stats.feed.url = "wss://[red]\x1b\n/"

    lines = shown(some_picture(stats), 120, 40)
    text = "\n".join(lines)

    assert max(cell_len(line) for line in lines) <= 120
    assert "[red]KX[/red]\\n\\x1b[31m" in text
    assert "\u202e" not in text
    assert len(lines) < 40 - LOG_LINES


def test_a_password_in_the_address_is_not_shown() -> None:
    assert "secret" not in "\n".join(shown(some_picture()))


def test_a_terminal_that_knows_ascii_only_gets_ascii_only() -> None:
    lines = shown(some_picture(progress=Progress(0.4, 18)), encoding="ascii")

    assert any("connected  external" in line for line in lines)
    assert all(line.isascii() for line in lines)


def test_where_clocks_are_hours_apart_no_lateness_is_shown() -> None:
    stats = some_stats()
    stats.lateness_ms["exchange_to_receive"]["p50"] = 5e9

    assert "late" not in "\n".join(shown(some_picture(stats)))


def test_a_lost_book_shows_no_prices() -> None:
    (line,) = [line for line in shown(some_picture(), 120, 40) if "T100749" in line]

    assert "no book" in line
    assert "0.4" not in line


def test_whole_cents_are_shown_as_such() -> None:
    stats = some_stats()
    stats.builder.tops = {name: top._replace(ask_e4=4600) for name, top in stats.builder.tops.items()}

    assert any(" 0.45          120    0.46        300.5" in line for line in shown(some_picture(stats)))


def test_stopping_and_silence_are_said() -> None:
    stopping = shown(some_picture()._replace(stopping=True))[1]
    quiet = shown(some_picture()._replace(quiet=12))[1]

    assert "stopping, storing what is left" in stopping
    assert "connected, quiet for 12s" in quiet


def test_a_lost_connection_says_why() -> None:
    stats = some_stats()
    stats.feed = dataclasses.replace(stats.feed, state="waiting", last_error="1001 going away")

    text = "\n".join(shown(some_picture(stats)))

    assert "● waiting to reconnect" in text
    assert "feed: 1001 going away" in text


def test_before_the_first_book_there_is_no_table_of_markets() -> None:
    stats = some_stats()
    stats.builder.busy, stats.builder.tops = {}, {}

    assert not any("market" in line and "bid" in line for line in shown(some_picture(stats)))
