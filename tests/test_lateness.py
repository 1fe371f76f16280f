"""How late things were, and that watching changes no row."""

from __future__ import annotations

import logging

import numpy as np
import pyarrow as pa
import pytest
from sink_rows import START_NS, any_rows, batch, delta_batch

from kalshi_trio.observe.lateness import OTHER_CLOCK, SAY_EVERY, SECOND, Lateness
from kalshi_trio.protocol.schema import RowBatch

MS = 1_000_000
NOW = START_NS // 1000 * 1000
"""A whole microsecond, as the exchange's stamps are."""


def aged(*ages_ns: int, received: int = NOW, table: str = "deltas") -> RowBatch:
    """A batch of frames of these ages, all received at once."""
    rows = any_rows(table, list(range(1, len(ages_ns) + 1)), seed=3).slice(0, len(ages_ns))
    stamps = pa.array([received] * len(ages_ns), rows.schema.field("ts_recv").type)
    events = pa.array([(received - age) // 1000 for age in ages_ns], rows.schema.field("ts_event").type)
    rows = rows.set_column(rows.schema.get_field_index("ts_recv"), rows.schema.field("ts_recv"), stamps)
    rows = rows.set_column(rows.schema.get_field_index("ts_event"), rows.schema.field("ts_event"), events)
    whole = delta_batch(1, len(ages_ns))
    return whole._replace(tables={table: rows}, ts_first=received, ts_last=received)


def test_percentiles_of_the_exchanges_time_are_right_to_two_percent() -> None:
    ages = np.random.default_rng(7).lognormal(16, 1, 4_000).astype(np.int64) // 1000 * 1000
    lateness = Lateness()
    for part in np.split(ages, 4):
        lateness.rows(aged(*part.tolist(), received=NOW))

    figures = lateness.summary()["exchange_to_receive"]

    assert figures["p50"] == pytest.approx(float(np.percentile(ages, 50)) / MS, rel=0.02)
    assert figures["p99"] == pytest.approx(float(np.percentile(ages, 99)) / MS, rel=0.02)
    assert figures["max"] == pytest.approx(ages.max() / MS, abs=0.001)


@pytest.mark.parametrize("table", ["trades", "tickers"])
def test_trades_and_tickers_count_too(table: str) -> None:
    lateness = Lateness()

    lateness.rows(aged(2 * MS, 2 * MS, table=table))

    assert lateness.summary()["exchange_to_receive"]["max"] == pytest.approx(2, abs=0.001)


def test_rows_without_the_exchanges_time_are_left_out() -> None:
    trades = any_rows("trades", list(range(1, 50)), seed=1)
    whole = delta_batch(1, 50)._replace(tables={"trades": trades})
    assert trades["ts_event"].null_count

    lateness = Lateness()
    lateness.rows(whole)
    lateness.rows(whole._replace(tables={"trades": trades.filter(trades["ts_event"].is_null())}))

    assert lateness.summary()["exchange_to_receive"]["max"] < 1000


def test_an_exchange_ahead_of_our_clock_gives_negative_times_and_the_skew() -> None:
    lateness = Lateness()

    lateness.rows(aged(-30 * MS, -20 * MS, 5 * MS))

    summary = lateness.summary()
    assert summary["exchange_to_receive"]["p50"] == pytest.approx(-20, rel=0.02)
    assert summary["exchange_to_receive"]["max"] == pytest.approx(5, abs=0.001)
    assert summary["clock_skew"] == {"estimate": pytest.approx(-30, abs=0.001)}


def test_the_skew_is_the_least_of_the_last_minute() -> None:
    lateness = Lateness()
    for second, age in enumerate([3, 9, 8, *[20] * 57]):
        lateness.rows(aged(age * MS, received=NOW + second * SECOND))
    assert lateness.summary()["clock_skew"]["estimate"] == pytest.approx(3, abs=0.001)

    lateness.rows(aged(20 * MS, received=NOW + 60 * SECOND))

    assert lateness.summary()["clock_skew"]["estimate"] == pytest.approx(8, abs=0.001)


def test_frames_more_than_a_second_old_are_warned_of_once_in_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    lateness = Lateness()
    lateness.rows(aged(MS, SECOND))
    assert not caplog.messages

    lateness.rows(aged(MS, 1500 * MS))
    for second in range(1, 10):
        lateness.rows(aged(MS, 1200 * MS, 2500 * MS, received=NOW + second * SECOND))
    lateness.rows(aged(MS, received=NOW + SAY_EVERY))

    first, second_ = caplog.messages
    assert first.startswith("Frames more than a second old when they came: 1 (the worst 1.5s")
    assert second_.startswith("Frames more than a second old when they came: 18 (the worst 2.5s")
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_frames_that_go_on_being_old_are_said_more_and_more_seldom(caplog: pytest.LogCaptureFixture) -> None:
    lateness = Lateness()
    for second in range(0, 3 * 3600, 5):
        lateness.rows(aged(1800 * SECOND, received=NOW + second * SECOND))

    assert len(caplog.messages) == pytest.approx(3 * 3600 / 640 + 5, abs=2)

    caplog.clear()
    for second in range(3 * 3600, 3 * 3600 + 1400, 5):
        lateness.rows(aged(MS, received=NOW + second * SECOND))
    for second in range(3 * 3600 + 1400, 3 * 3600 + 1411):
        lateness.rows(aged(MS, 2 * SECOND, received=NOW + second * SECOND))

    assert [message.partition(" (")[0].rpartition(" ")[2] for message in caplog.messages[1:]] == ["1", "10"]


def test_a_clock_that_is_set_back_starts_the_minute_anew_and_silences_nobody(caplog: pytest.LogCaptureFixture) -> None:
    lateness = Lateness()
    lateness.rows(aged(MS, 2 * SECOND))
    lateness.rows(aged(3 * MS, 2 * SECOND, received=NOW - OTHER_CLOCK))

    assert len(caplog.messages) == 2
    assert lateness.summary()["clock_skew"]["estimate"] == pytest.approx(3, abs=0.001)


def test_clocks_that_are_hours_apart_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    lateness = Lateness()

    for second in range(100):
        lateness.rows(aged(3 * OTHER_CLOCK, received=NOW + second * SECOND))

    (said,) = caplog.messages
    assert said == "The exchange's stamps are 3.0 hours behind our clock: a recording is played, or a clock is wrong"


def test_a_sinks_lateness_is_that_of_each_row() -> None:
    whole = batch(1, 500)
    received = np.concatenate([table["ts_recv"].cast(pa.int64()).to_numpy() for table in whole.tables.values()])
    lateness = Lateness()

    lateness.stored("Parquet", whole, START_NS + 2 * SECOND)

    figures = lateness.summary()["receive_to_parquet"]
    assert figures["max"] == pytest.approx((START_NS + 2 * SECOND - received.min()) / MS, abs=0.001)
    assert figures["p50"] == pytest.approx(float(np.median(START_NS + 2 * SECOND - received)) / MS, rel=0.02)


def test_a_stage_weighs_its_frames() -> None:
    lateness = Lateness()

    lateness.add("receive_to_fsync", 0.010, 99)
    lateness.add("receive_to_fsync", 0.250)

    figures = lateness.summary()["receive_to_fsync"]
    assert figures == {"p50": pytest.approx(10, rel=0.02), "p99": pytest.approx(10, rel=0.02), "max": 250}


def test_nothing_seen_is_nothing_said() -> None:
    lateness = Lateness()

    lateness.rows(delta_batch(1, 5)._replace(tables={}))

    assert lateness.summary() == {}


def test_any_stamp_an_exchange_may_send_is_survived() -> None:
    lateness = Lateness()
    events = pa.array([-(2**63), 2**63 - 1, 0, 1], pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    rows = delta_batch(1, 4).tables["deltas"]
    rows = rows.set_column(rows.schema.get_field_index("ts_event"), rows.schema.field("ts_event"), events)

    lateness.rows(delta_batch(1, 4)._replace(tables={"deltas": rows}))

    assert "exchange_to_receive" in lateness.summary()


def test_watching_changes_no_row() -> None:
    whole, same = batch(1, 300), batch(1, 300)
    lateness = Lateness()

    lateness.rows(whole)
    lateness.stored("Parquet", whole, START_NS)

    assert all(whole.tables[name].equals(same.tables[name]) for name in same.tables)
