"""The open segment, as a crash leaves it: damage costs the batch that it hit, is named, and the file is kept as found."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pyarrow as pa
import pytest
from verify_help import checked, manifest_of, recorded, records

from kalshi_trio.errors import JournalDamaged
from kalshi_trio.journal import manifest
from kalshi_trio.journal.batches import scan_file
from kalshi_trio.journal.disk import Disk
from kalshi_trio.journal.index import read_index
from kalshi_trio.journal.manifest import Manifest, TallyReport
from kalshi_trio.journal.reading import Hole, newest_frame, read_around, read_session
from kalshi_trio.journal.recovery import Recovered, recover
from kalshi_trio.journal.segment import SCHEMA, encode
from kalshi_trio.journal.tags import FORMAT, MAGIC, salt_of
from kalshi_trio.protocol.records import Records
from kalshi_trio.settings import Settings
from kalshi_trio.startup import left_behind, make_sinks, source_of
from kalshi_trio.tasks.writer import run_writer

NAME = "SESSION_20261124_050102"
SESSION = "20261124_050102-0011aabb"
EACH = 10


def run_of(first: int, data: bytes = b"") -> Records:
    frames = [data or b'{"n":%d}' % n for n in range(first, first + EACH)]
    return Records(first, "frame", 1, 1_795_496_462_000_000_000 + first, first, frames)


def killed(data: Path, batches: int = 6, session: str = SESSION) -> Path:
    """The open segment of a session that was killed after so many batches of ten."""
    folder = data / "sessions" / NAME
    folder.mkdir(parents=True)
    manifest.write(folder / "manifest.json", Manifest(session, NAME, "live", "0", "2026-11-24T05:01:02Z"))
    disk = Disk(folder, {"session": session, "software": "0"})
    for number in range(batches):
        disk.write([(1, run_of(number * EACH + 1))])
    return folder / "000001.arrows"


def units(path: Path) -> list[tuple[int, int]]:
    return [(entry.offset, entry.offset + entry.length) for entry in scan_file(path).entries]


def hit(path: Path, *batches: int, place: float = 0.9) -> None:
    """One bit of each of these."""
    data, where = bytearray(path.read_bytes()), units(path)
    for number in batches:
        start, end = where[number]
        data[start + int((end - start) * place)] ^= 4
    path.write_bytes(data)


def read(folder: Path, last: int | None = None) -> tuple[list[int], list[tuple[int, int]]]:
    """Records that can be read, and what is lost."""
    numbers, lost = [], []
    for found in read_around(folder, 0, last or newest_frame(folder)):
        if isinstance(found, Hole):
            lost.append((found.first, found.last))
        else:
            numbers += [n for run in found.records for n in range(run.first, run.last + 1)]
    return numbers, lost


@pytest.mark.parametrize(
    ("batches", "lost"),
    [((2,), [(21, 30)]), ((0,), [(1, 10)]), ((1, 2), [(11, 30)]), ((0, 5), [(1, 10), (51, 60)]), ((5,), [(51, 60)])],
)
def test_damage_costs_its_batch_and_keeps_its_numbers(
    batches: tuple[int, ...], lost: list[tuple[int, int]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = killed(tmp_path)
    hit(path, *batches)
    found_as, kept = path.read_bytes(), [n for n in range(1, 61) if not any(a <= n <= b for a, b in lost)]
    assert read(path.parent) == (kept, lost)
    with pytest.raises(JournalDamaged, match="records"):
        list(read_session(path.parent))

    (one,) = recover(tmp_path)

    assert one.last == 61
    assert read(path.parent) == ([*kept, 61], lost)
    assert path.with_name("000001.arrows.damaged").read_bytes() == found_as
    index = read_index(path.with_suffix(".index"))
    assert index is not None
    assert [gap[:2] for gap in index.missing] == lost
    for first, last in lost:
        assert f"records {first}-{last} are lost: checksum differs" in caplog.text
    path.with_suffix(".index").unlink()
    assert read(path.parent) == ([*kept, 61], lost)  # the file itself says it, too


def test_all_batches_gone_are_still_known_by_their_numbers(tmp_path: Path) -> None:
    path = killed(tmp_path, batches=1)
    hit(path, 0)

    assert [one.last for one in recover(tmp_path)] == [11]
    assert read(path.parent) == ([11], [(1, 10)])


def test_a_torn_end_is_no_damage(tmp_path: Path) -> None:
    path = killed(tmp_path)
    path.write_bytes(path.read_bytes()[:-40])

    assert [one.last for one in recover(tmp_path)] == [51]
    assert read(path.parent) == (list(range(1, 52)), [])
    assert not path.with_name("000001.arrows.damaged").exists()


def test_bytes_behind_the_last_batch_that_nobody_can_tell_are_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = killed(tmp_path)
    data = bytearray(path.read_bytes())
    data[data.rindex(MAGIC)] ^= 1
    path.write_bytes(data)

    assert [one.last for one in recover(tmp_path)] == [51]
    assert path.with_name("000001.arrows.damaged").read_bytes() == data
    assert "000001.arrows.damaged: not all of its bytes are what was written" in caplog.text


def test_batches_that_stand_elsewhere_are_read_in_their_order(tmp_path: Path) -> None:
    path = killed(tmp_path)
    data, where = path.read_bytes(), units(path)
    pieces = [data[: where[0][0]], *(data[start:end] for start, end in where)]
    pieces[2], pieces[5] = pieces[5], pieces[2]
    path.write_bytes(b"".join(pieces))
    assert read(path.parent) == (list(range(1, 61)), [])

    recover(tmp_path)

    assert read(path.parent) == (list(range(1, 62)), [])
    assert path.with_name("000001.arrows.damaged").exists()


def test_what_looks_like_a_batch_inside_a_frame_is_a_frame(tmp_path: Path) -> None:
    path = killed(tmp_path)
    whole = path.read_bytes()
    disk = Disk(path.parent, {"session": SESSION, "software": "0"})
    disk.write([(1, run_of(1, os.urandom(3_000) + whole))])
    disk.write([(1, run_of(11, MAGIC * 50))])
    hit(path, 0, place=0.3)

    assert read(path.parent) == (list(range(11, 21)), [(1, 10)])


def test_batches_of_another_session_are_not_believed(tmp_path: Path) -> None:
    path, other = killed(tmp_path / "a"), killed(tmp_path / "b", session="20261124_050102-ffffffff")
    path.write_bytes(other.read_bytes())

    assert read(path.parent, 5) == ([], [(1, 5)])
    assert [one.last for one in recover(tmp_path / "a")] == [0]
    assert path.with_name("000001.arrows.damaged").read_bytes() == other.read_bytes()


@pytest.mark.parametrize("left", [None, b"", b"{", b'{"format": 2, "session": "x"}'])
def test_without_its_manifest_the_batches_agree_on_their_session(left: bytes | None, tmp_path: Path) -> None:
    path = killed(tmp_path)
    hit(path, 3)
    about = path.with_name("manifest.json")
    about.unlink() if left is None else about.write_bytes(left)

    (one,) = recover(tmp_path)

    assert (one.session, one.last) == (SESSION, 61)
    assert read(path.parent)[1] == [(31, 40)]
    assert path.with_name("manifest.json.damaged").exists() == (left is not None)


def test_a_changed_manifest_is_none(tmp_path: Path) -> None:
    folder = killed(tmp_path).parent
    path = folder / "manifest.json"
    data = path.read_bytes()
    for at in range(0, len(data), 7):
        for bit in range(8):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
            assert manifest.read(folder) is None
    path.write_bytes(data)
    assert manifest.read(folder) is not None


def plain_segment(path: Path, batches: int = 4) -> None:
    """As an older version wrote it: no tags."""
    with path.open("wb") as file, pa.ipc.new_stream(file, SCHEMA.with_metadata({"session": SESSION})) as writer:
        for number in range(batches):
            writer.write_batch(encode([run_of(number * EACH + 1)]))


def test_the_open_end_of_an_older_version_is_read_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = killed(tmp_path)
    plain_segment(path)
    about = manifest.read(path.parent)
    assert about is not None
    assert about.format == FORMAT
    about.format = 1
    manifest.write(path.with_name("manifest.json"), about)

    assert read(path.parent) == (list(range(1, 41)), [])
    assert [one.last for one in recover(tmp_path)] == [41]
    assert read(path.parent) == (list(range(1, 42)), [])
    assert "an older version recorded it" in caplog.text


def test_batches_without_tags_in_a_session_that_has_them_are_not_decoded(tmp_path: Path) -> None:
    path = killed(tmp_path)
    plain_segment(path)

    with mock.patch("pyarrow.ipc.open_stream", side_effect=AssertionError("decoded")):
        assert read(path.parent, 5) == ([], [(1, 5)])
        recover(tmp_path)
    assert path.with_name("000001.arrows.damaged").exists()


def test_standard_readers_open_it(tmp_path: Path) -> None:
    path = killed(tmp_path)

    with pa.ipc.open_stream(path.read_bytes()) as reader:
        assert reader.schema.metadata == {b"session": SESSION.encode(), b"software": b"0", b"format": b"2"}
        assert [len(batch) for batch in reader] == [0, *[EACH] * 6]


def test_a_salt_is_the_sessions_own() -> None:
    assert salt_of(SESSION) != salt_of("20261124_050102-0011aabc")


class Killed(BaseException):
    """As `kill -9` does it: nothing is caught."""


class Ended(NamedTuple):
    """What a recovery came to."""

    found: list[Recovered]
    records: tuple[list[int], list[tuple[int, int]]]
    files: set[str]
    said: set[str]


STEPS: list[tuple[Any, str]] = [
    *((Path, name) for name in ("replace", "hardlink_to", "unlink")),
    *((os, name) for name in ("fsync", "fdatasync", "write")),
]


def dying(left: Iterator[int], real: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **named: Any) -> Any:
        if next(left) == 0:
            raise Killed
        return real(*args, **named)

    return call


def mended(data: Path, caplog: pytest.LogCaptureFixture, die_at: int | None = None) -> Ended | None:
    """None: it was killed."""
    caplog.clear()
    left = iter(range(die_at if die_at is not None else -1, -1_000_000, -1))
    with ExitStack() as stack:
        for place, name in STEPS:
            stack.enter_context(mock.patch.object(place, name, dying(left, getattr(place, name))))
        try:
            found = recover(data)
        except Killed:
            return None
    folder = data / "sessions" / NAME
    said = {record.getMessage().replace(str(data), "") for record in caplog.records if record.levelname == "ERROR"}
    found = [one._replace(folder=Path(one.folder.name)) for one in found]
    return Ended(found, read(folder), {path.name for path in folder.iterdir()}, said)


@pytest.mark.parametrize("case", ["damage", "parts"])
def test_a_recovery_that_is_killed_at_any_step_comes_to_the_same(
    case: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def made(data: Path) -> Path:
        path = killed(data)
        if case == "parts":
            disk = Disk(path.parent, {"session": SESSION, "software": "0"})
            disk._segment, disk._parts = 1, [path]
            for first in (51, 61, 71):
                disk.write([(1, run_of(first))])
            hit(path.with_name("000001_002.arrows"), 1)
        hit(path, 2)
        return data

    wanted = mended(made(tmp_path / "whole"), caplog)
    assert wanted is not None
    assert wanted.records[1] == ([(21, 30)] if case == "damage" else [(21, 30), (61, 70)])
    assert wanted.said

    step = 0
    while True:
        data = made(tmp_path / str(step))
        if mended(data, caplog, step) is not None:
            break
        assert mended(data, caplog) == wanted, step
        assert mended(data, caplog) == wanted, step
        step += 1
    assert step > 8


async def test_an_end_that_is_missing_is_named_by_a_sink_that_holds_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = recorded(tmp_path, records(1_500))
    about = manifest_of(folder)
    last = about.segments[-1]
    for path in (folder / last.file, (folder / last.file).with_suffix(".index")):
        path.unlink()  # exactly at a unit's end: no byte that is left can tell
    about.verdict, about.ended, about.segments, about.tally = "open", None, [], TallyReport()
    manifest.write(folder / "manifest.json", about)
    (folder / "README.md").unlink()
    ends = last.frames[0] - 1

    said = [finding.what for one in checked(tmp_path).sessions for finding in one.findings]
    (older,) = left_behind(tmp_path, ["parquet"])
    (sink,) = make_sinks(Settings(data_dir=tmp_path, clickhouse=False))
    await run_writer(sink, source_of(older))

    assert any(
        f"the journal ends at record {ends}: an end that they were made of is missing there" in one for one in said
    )
    what = f"its journal ends at record {ends + 1}: an end of the journal is missing"
    assert f"Parquet holds session {about.session} up to frame {last.frames[1]}, {what}" in caplog.text
