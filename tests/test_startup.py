"""What an earlier process left behind never keeps a recording from beginning, or from going on."""

from __future__ import annotations

from pathlib import Path

import pytest
from recordings import Session

from kalshi_trio.journal import manifest
from kalshi_trio.journal.disk import Disk
from kalshi_trio.journal.manifest import Manifest, Segment, Verdict
from kalshi_trio.startup import Older, deaths, left_behind, seal_dead
from kalshi_trio.thread import Door

STARTED = "2026-11-24T05:01:02.000000000Z"


def unreadable(data: Path, verdict: Verdict) -> Path:
    """A session whose disk gives EIO, as this file of the kernel does at its first byte."""
    folder = data / "sessions" / "SESSION_20261124_050102"
    folder.mkdir(parents=True)
    (folder / "000001.arrows").symlink_to("/proc/self/mem")
    manifest.write(folder / "manifest.json", Manifest("s", folder.name, "live", "0", "", verdict=verdict))
    return folder


async def test_a_dead_session_that_cannot_be_read_is_sealed_another_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = unreadable(tmp_path, "open")

    await seal_dead(Older(folder, "s", 5, unsealed=True, died=True), Door())

    about = manifest.read(folder)
    assert about is not None
    assert about.verdict == "open"
    assert "Session s cannot be sealed: [Errno 5] Input/output error" in caplog.text


@pytest.mark.parametrize(("verdict", "died"), [("complete", []), ("open", ["s"])])
def test_a_session_that_cannot_be_read_waits_for_the_next_start(
    verdict: Verdict, died: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = unreadable(tmp_path, verdict)

    found = left_behind(tmp_path, ["parquet"])

    assert [(one.session, one.last, one.unsealed) for one in found if one.died] == [(name, 0, False) for name in died]
    assert len(found) == len(died)
    assert f"{folder.name} cannot be" in caplog.text


def session(data: Path, number: int, verdict: Verdict = "open", source: str = "live", *, lived: bool = True) -> int:
    """The session of that number, with two records if it `lived`; when the last of them came."""
    folder = data / "sessions" / f"SESSION_20261124_0501{number:02}"
    folder.mkdir(parents=True)
    about = Manifest(f"s{number}", folder.name, source, "0", STARTED, verdict=verdict, markets=[f"M{number}"])
    written = Session(1_795_496_462_000_000_000 + number * 10**9)
    written.start(f"M{number}")
    written.own("connection", 1, event="open")
    if lived:
        disk = Disk(folder, {"format": "1", "session": f"s{number}", "software": "0"})
        disk.write([(1, records) for records in written.records])
        disk.end()
        if verdict != "open":
            about.segments = [Segment("000001.arrows", (1, 2))]
    if verdict != "open":
        about.ended = f"2026-11-24T05:01:{number:02}.000000000Z"
    manifest.write(folder / "manifest.json", about)
    return written.ts_recv


def died(data: Path) -> list[dict[str, object]]:
    return deaths(data, left_behind(data, []))


def test_every_session_that_died_since_one_ended_is_named_with_its_markets_and_its_last_moment(tmp_path: Path) -> None:
    session(tmp_path, 1)
    session(tmp_path, 2, "complete")
    three, four = session(tmp_path, 3), session(tmp_path, 4)
    session(tmp_path, 5, "complete", "import")

    expected: list[dict[str, object]] = [
        {"session": "s3", "last_record": 2, "at_ns": three, "markets": ["M3"]},
        {"session": "s4", "last_record": 2, "at_ns": four, "markets": ["M4"]},
    ]
    assert died(tmp_path) == expected
    assert died(tmp_path) == expected  # whoever died before it could say so left that to the next


def test_a_session_of_which_nothing_is_durable_has_told_of_nobody(tmp_path: Path) -> None:
    session(tmp_path, 1, "complete")
    session(tmp_path, 2, "cut short")
    session(tmp_path, 3, lived=False)

    assert died(tmp_path) == [
        {"session": "s2", "last_record": 0, "at_ns": 1_795_496_462_000_000_000, "markets": ["M2"]},
        {"session": "s3", "last_record": 0, "at_ns": 1_795_496_462_000_000_000, "markets": ["M3"]},
    ]


def test_one_that_is_sealed_and_was_told_of_is_not_told_of_again(tmp_path: Path) -> None:
    session(tmp_path, 1, "cut short")
    three = session(tmp_path, 3)

    assert died(tmp_path) == [{"session": "s3", "last_record": 2, "at_ns": three, "markets": ["M3"]}]


def test_what_a_session_without_a_manifest_wanted_is_in_its_first_record(tmp_path: Path) -> None:
    at = session(tmp_path, 1)
    (tmp_path / "sessions" / "SESSION_20261124_050101" / "manifest.json").unlink()

    assert died(tmp_path) == [{"session": "s1", "last_record": 2, "at_ns": at, "markets": ["M1"]}]


def test_nothing_that_died_is_nothing_to_tell(tmp_path: Path) -> None:
    session(tmp_path, 1)
    session(tmp_path, 2, "known gaps")

    assert died(tmp_path) == []
