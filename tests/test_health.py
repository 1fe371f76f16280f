"""`health` is well when events flow, and names what is wrong when they do not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from kalshi_trio.journal.folder import DataLock
from kalshi_trio.observe.health import Bounds, examine, judge, manner, publish_status, status_of
from kalshi_trio.observe.stats import SinkStats, Stats
from kalshi_trio.own_hash import json_with_hash

SECOND = 1_000_000_000
NOW = 1_000 * SECOND


def well() -> Stats:
    stats = Stats(session="s", started_mono_ns=NOW - 500 * SECOND)
    stats.feed.state = "connected"
    stats.feed.last_frame_mono_ns = stats.feed.last_pong_mono_ns = NOW - SECOND
    stats.journal.last_frame = stats.journal.durable_frame = 100
    stats.journal.last_fsync_mono_ns = NOW - SECOND
    stats.sinks["Parquet"] = SinkStats("Parquet", "ok", through=100, last_stored_mono_ns=NOW - 10 * SECOND)
    return stats


def wrong(stats: Stats, later: int = 0) -> list[str]:
    return judge(status_of(stats, NOW, NOW), NOW + later * SECOND, Bounds())


def test_a_recorder_through_which_events_flow_is_well() -> None:
    assert wrong(well()) == []


def test_a_quiet_market_with_pongs_is_well() -> None:
    stats = well()
    stats.feed.last_frame_mono_ns = NOW - 400 * SECOND

    assert wrong(stats) == []


def test_each_trouble_is_named() -> None:
    silent, lost, full, behind, dead, refused = (well() for _ in range(6))
    silent.feed.last_frame_mono_ns = silent.feed.last_pong_mono_ns = NOW - 60 * SECOND
    lost.feed.state, lost.feed.last_error = "waiting", "closed with 1001"
    full.journal.error = "no space"
    behind.journal.last_frame, behind.journal.last_fsync_mono_ns = 200, NOW - 9 * SECOND
    dead.sinks["Parquet"].state, dead.sinks["Parquet"].last_error = "retrying", "no answer"
    refused.journal.last_frame = refused.journal.durable_frame = 5_000
    refused.sinks["Parquet"].last_stored_mono_ns = NOW - 400 * SECOND

    assert wrong(silent) == ["no frame and no pong for 60s"]
    assert wrong(lost) == ["not connected (waiting): closed with 1001"]
    assert wrong(full) == ["the journal cannot be written: no space"]
    assert wrong(behind) == ["the journal is behind: 100 records wait, last fsync 9.0s ago"]
    assert wrong(dead) == ["Parquet is retrying: no answer"]
    assert wrong(refused) == ["Parquet is behind: frame 100 of 5000, nothing stored for 400s"]


def test_wanted_markets_without_a_whole_book_are_named_once_they_are_overdue() -> None:
    stats = well()
    stats.builder.wanted = 3
    stats.builder.not_whole = {"KXLATE": NOW - 20 * SECOND, "KXJUST": NOW - 2 * SECOND}

    assert wrong(stats) == ["1 of 3 books: none, or no whole one, of KXLATE"]

    stats.builder.not_whole = {"KXJUST": NOW - 2 * SECOND}
    assert wrong(stats) == []

    stats.builder.wanted, stats.builder.closed = 40, 10
    stats.builder.not_whole = {f"KX{number:02}": NOW - 20 * SECOND for number in range(30)}
    assert wrong(stats) == ["0 of 30 books: none, or no whole one, of KX00, KX01, KX02, KX03, KX04 and 25 more"]


def test_what_is_well_says_whether_anything_comes() -> None:
    stats = well()
    stats.feed.received, stats.builder.wanted = 7, 2
    assert manner(status_of(stats, NOW, NOW)) == "session s, 7 frames received"

    stats.feed.last_frame_mono_ns = NOW - 216 * SECOND
    assert manner(status_of(stats, NOW, NOW)) == "session s, 7 frames received, nothing but pongs for 216s"

    stats.feed.last_frame_mono_ns, stats.feed.received = 0, 0
    assert manner(status_of(stats, NOW, NOW)) == "session s, 0 frames received, nothing but pongs for 500s"

    stats.builder.closed = 2
    assert manner(status_of(stats, NOW, NOW)) == "session s, 0 frames received, no market is open"


def test_a_recorder_that_was_killed_is_not_well_as_soon_as_its_lock_is_gone(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_bytes(json_with_hash(status_of(well(), NOW, NOW)))
    with DataLock(tmp_path):
        assert examine(tmp_path, NOW)[1] == []

    assert examine(tmp_path, NOW)[1] == [f"no recorder runs in {tmp_path}: the last one was killed, at most 0s ago"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"at_ns": "x"}', '{"at_ns": 1000000000000, "feed": null}', "\x00\xff"]
)
def test_a_status_that_is_none_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "status.json").write_text(text)
    with DataLock(tmp_path):
        status, (line,) = examine(tmp_path, NOW)

    assert status is None
    assert line.startswith(f"{tmp_path / 'status.json'} cannot be read, or is another version's: ")


def test_a_key_that_is_refused_is_said_with_since_when() -> None:
    stats = well()
    stats.feed.state, stats.feed.last_error = "waiting", "The exchange refused the API key (401)"
    stats.feed.key_refused_ns = 1_795_543_200 * SECOND
    status = status_of(stats, NOW, NOW)

    assert status["feed"]["key_refused_since"] == "2026-11-24T18:00:00Z"
    assert judge(status, NOW, Bounds()) == [
        "the exchange refuses the key since 2026-11-24T18:00:00Z, not connected: The exchange refused the API key (401)"
    ]
    assert status_of(well(), NOW, NOW)["feed"]["key_refused_since"] is None


def test_a_recorder_that_says_nothing_any_more_hangs_or_is_dead() -> None:
    assert wrong(well(), later=30) == ["the recorder has not said how it is for 30s: it hangs, or was killed"]


def test_it_may_connect_in_peace_at_its_start() -> None:
    stats = well()
    stats.feed.state, stats.started_mono_ns = "connecting", NOW - 5 * SECOND

    assert wrong(stats) == []


def test_no_recorder_is_not_well(tmp_path: Path) -> None:
    assert examine(tmp_path, NOW) == (None, [f"no recorder runs in {tmp_path}"])
    (tmp_path / "status.json").write_text("half a fi")
    assert "cannot be read" in examine(tmp_path, NOW)[1][0]


async def test_the_status_is_there_at_once_renewed_each_second_and_gone_in_the_end(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    path, wall = tmp_path / "status.json", iter(range(NOW, NOW + 100))
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda **more: publish_status(well(), path, lambda: next(wall), lambda: NOW, **more))
        await trio.testing.wait_all_tasks_blocked()
        first = json.loads(path.read_text())["at_ns"]
        await trio.sleep(3.5)
        assert json.loads(path.read_text())["at_ns"] == first + 3
        nursery.cancel_scope.cancel(reason="test")

    assert not path.exists()


@pytest.mark.parametrize("name", ["status.json"])
async def test_a_disk_that_refuses_is_no_matter(name: str, tmp_path: Path, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda **more: publish_status(well(), tmp_path / "nowhere" / name, **more))
        await trio.sleep(5)
        nursery.cancel_scope.cancel(reason="test")


async def test_a_disk_that_lets_nothing_be_removed_is_no_matter_either(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    path = tmp_path / "status.json"
    path.with_suffix(".json.tmp").mkdir()  # like a read-only disk: it refuses both to write and to remove
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda **more: publish_status(well(), path, **more))
        await trio.sleep(2.5)
        path.mkdir()
        nursery.cancel_scope.cancel(reason="seen")

    assert path.is_dir()
