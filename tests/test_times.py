"""Points of a session: what a command's times and record numbers mean."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from fed import delta, frame, snapshot

from kalshi_trio.errors import UsageError
from kalshi_trio.history.times import Instant, Record, at, parse, span
from kalshi_trio.journal.disk import Disk, rewrite
from kalshi_trio.protocol.records import Records

START = 1_795_496_462_000_000_000
"""2026-11-24T05:01:02Z"""


def journal(folder: Path, stamps: list[int], data: list[bytes] | None = None) -> Path:
    """A record a stamp (milliseconds after START), two segments."""
    disk = Disk(folder, {"format": "1", "session": "s", "software": "0"})
    disk.open()
    half = len(stamps) // 2
    for number, ms in enumerate(stamps, 1):
        text = data[number - 1] if data else b"{}"
        disk.write([(1 + (number > half), Records(number, "frame", 1, START + ms * 1_000_000, number, [text]))])
    disk.end()
    return folder


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2026-11-24T05:01:02Z", START),
        ("2026-11-24T05:01:02", START),
        ("2026-11-24 05:01:02", START),
        ("2026-11-24T06:01:02+01:00", START),
        ("2026-11-24T06:01:02.5+01:00", START + 500_000_000),
        ("2026-11-24T05:01:02.123456789Z", START + 123_456_789),
        ("2026-11-24T05:01:02.123456789", START + 123_456_789),
        ("2026-11-24T05:01", START - 2 * 10**9),
        ("2026-11-24", START - (5 * 3600 + 62) * 10**9),
        ("20261124T050102Z", START),
        ("20261124T050102.123456789Z", START + 123_456_789),
        ("2026-11-24T050102,5+0000", START + 500_000_000),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1969-12-31T23:59:59.9Z", -100_000_000),
    ],
)
def test_a_time_is_exact_to_the_nanosecond_and_utc_unless_it_says_otherwise(text: str, ns: int) -> None:
    assert parse(text) == Instant(ns)


def test_a_number_sign_names_a_record() -> None:
    assert [parse("#1"), parse("#1234567"), parse("#1,234")] == [Record(1), Record(1_234_567), Record(1_234)]


@pytest.mark.parametrize("text", ["", "noon", "#", "#0", "#-1", "#x", "2026-13-01", "2026-11-24T05:01:02.1234567891Z"])
def test_what_is_no_point_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match=r"is no (time|record)"):
        parse(text)


@pytest.mark.parametrize("text", ["2026-11-24T05:01.5", "20261124T0501.5Z", "2026-11-24T05:01:02+01:00:00.5"])
def test_only_a_second_has_a_fraction(text: str) -> None:
    with pytest.raises(UsageError, match="is no time"):
        parse(text)


def test_an_option_takes_a_point() -> None:
    @click.command()
    @click.option("--at", "point", type=parse, metavar="TIME")
    def command(point: object) -> object:
        return point

    assert command.main(["--at", "#7"], standalone_mode=False) == Record(7)
    with pytest.raises(UsageError, match="'noon' is no time"):
        command.main(["--at", "noon"], standalone_mode=False)


def test_at_a_time_is_the_record_before_the_first_later_one(tmp_path: Path) -> None:
    folder = journal(tmp_path, [0, 10, 10, 20, 30, 40])
    times = [Instant(START + ms * 1_000_000) for ms in (-1, 0, 9, 10, 25, 40, 99)]

    assert [at(folder, 6, point) for point in times] == [0, 1, 1, 3, 4, 6, 6]
    assert at(folder, 6, Record(5)) == 5
    with pytest.raises(UsageError, match="ends with record #6"):
        at(folder, 6, Record(7))


def test_a_span_has_its_start_and_not_its_end(tmp_path: Path) -> None:
    folder = journal(tmp_path, [0, 10, 10, 20, 30, 40])
    ten, thirty = (Instant(START + ms * 1_000_000) for ms in (10, 30))

    assert span(folder, 6, ten, thirty) == (2, 4)
    assert span(folder, 6, None, ten) == (1, 1)
    assert span(folder, 6, thirty, None) == (5, 6)
    assert span(folder, 6, None, None) == (1, 6)
    assert span(folder, 6, Record(2), Record(4)) == (2, 3)
    assert span(folder, 6, Record(2), Record(99)) == (2, 6)
    for start, end in ((thirty, ten), (ten, ten), (Instant(START + 10**9), None), (Record(7), None)):
        with pytest.raises(UsageError, match="no record between"):
            span(folder, 6, start, end)


def test_where_a_clock_was_set_back_the_first_later_record_still_decides(tmp_path: Path) -> None:
    folder = journal(tmp_path, [0, 50, 10, 20, 60, 70])

    assert at(folder, 6, Instant(START + 15_000_000)) == 1
    assert at(folder, 6, Instant(START + 55_000_000)) == 4


def test_records_behind_the_last_do_not_count(tmp_path: Path) -> None:
    folder = journal(tmp_path, [0, 10, 20, 30])

    assert at(folder, 2, Instant(START + 25_000_000)) == 2
    assert span(folder, 2, None, None) == (1, 2)


def test_by_the_exchanges_clock_frames_without_its_time_are_passed_over(tmp_path: Path) -> None:
    frames = [
        snapshot(1, yes=[["0.5000", "10.00"]]),
        delta(2, "0.5000", "1.00", at=".1"),
        frame("ticker", 2, msg={"market_ticker": "A", "ts": 1, "ts_ms": START // 1_000_000 + 150}),
        b"no frame at all",
        delta(3, "0.5000", "1.00", at=".200001"),
        delta(4, "0.5000", "1.00", at=""),
    ]
    folder = journal(tmp_path, [1_000 + n for n in range(6)], frames)
    times = [Instant(START + us * 1_000) for us in (0, 100_000, 149_999, 150_000, 200_000, 200_001)]

    assert [at(folder, 6, point, "exchange") for point in times] == [1, 2, 2, 4, 4, 6]
    assert span(folder, 6, times[1], Instant(START + 200_001_000), "exchange") == (2, 4)


def test_a_damaged_batch_is_passed_over(tmp_path: Path) -> None:
    folder = journal(tmp_path, list(range(0, 80, 10)))
    for path in sorted(folder.glob("*.arrows")):
        rewrite(path, {"format": "1", "session": "s", "software": "0"})
    first = folder / "000001.arrows"
    data = bytearray(first.read_bytes())
    data[-100] ^= 1
    first.write_bytes(data)

    assert at(folder, 8, Instant(START + 45_000_000)) == 5
