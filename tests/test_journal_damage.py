"""Damage in a sealed segment costs one batch at most, is named, and is never taken for truth."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from kalshi_trio.errors import JournalDamaged
from kalshi_trio.journal import manifest
from kalshi_trio.journal.batches import Damage
from kalshi_trio.journal.disk import Disk, rewrite
from kalshi_trio.journal.index import Index, read_index
from kalshi_trio.journal.manifest import Manifest, Segment
from kalshi_trio.journal.reading import read_session
from kalshi_trio.protocol.records import Records

BATCHES, EACH = 10, 100
ALL = list(range(1, BATCHES * EACH + 1))


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """A sealed segment of ten batches of a hundred records."""
    disk = Disk(tmp_path, {"format": "1", "session": "s", "software": "0"})
    for first in range(1, BATCHES * EACH, EACH):
        disk.write([(1, Records(first, "frame", 1, first, first, [b"%d" % n for n in range(first, first + EACH)]))])
    disk.end()
    about = Manifest("s", tmp_path.name, "live", "0", "")
    (closed,) = disk.closed
    about.segments = [Segment(closed.file, (closed.first, closed.last), closed.bytes, closed.sha256, state="sealed")]
    manifest.write(tmp_path / "manifest.json", about)
    return tmp_path / closed.file


def look(folder: Path) -> tuple[list[int], list[Damage]]:
    found: list[Damage] = []
    return [
        int(data) for frames in read_session(folder, damage=found.append) for run in frames.records for data in run.data
    ], found


def some(size: int) -> list[int]:
    return random.Random(5).sample(range(size), 60)  # noqa: S311 -- a seed, so that a failure can be seen again


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << (at % 8)
    path.write_bytes(data)


def index_of(path: Path) -> Index:
    index = read_index(path.with_suffix(".index"))
    assert index is not None
    return index


def test_a_flipped_bit_anywhere_costs_the_batch_that_it_is_in(sealed: Path) -> None:
    index, whole = index_of(sealed), sealed.read_bytes()
    for at in some(len(whole)):
        flip(sealed, at)
        numbers, found = look(sealed.parent)
        hit = [entry for entry in index.entries if entry.offset <= at < entry.offset + entry.length]

        assert [(one.first, one.last) for one in found] == [(entry.first_frame, entry.last_frame) for entry in hit]
        assert numbers == [n for n in ALL if not any(one.first <= n <= one.last for one in found)]
        sealed.write_bytes(whole)


def test_a_flipped_bit_anywhere_in_the_index_costs_nothing(sealed: Path) -> None:
    path = sealed.with_suffix(".index")
    whole = path.read_bytes()
    for at in some(len(whole)):
        flip(path, at)

        assert look(sealed.parent) == (ALL, [])
        path.write_bytes(whole)


def test_a_segment_cut_short_loses_what_was_cut_and_says_so(sealed: Path) -> None:
    entry = index_of(sealed).entries[6]
    sealed.write_bytes(sealed.read_bytes()[: entry.offset + 10])

    numbers, found = look(sealed.parent)

    assert numbers == ALL[: entry.first_frame - 1]
    assert [one.first for one in found] == list(range(entry.first_frame, ALL[-1], EACH))


def test_a_damaged_segment_without_an_index_loses_the_batch_that_was_hit(sealed: Path) -> None:
    entry = index_of(sealed).entries[4]
    sealed.with_suffix(".index").unlink()
    assert look(sealed.parent) == (ALL, [])

    flip(sealed, entry.offset + entry.length // 2)

    hit = Damage(sealed.name, entry.first_frame, entry.last_frame, "checksum differs")
    assert look(sealed.parent) == ([n for n in ALL if not hit.first <= n <= hit.last], [hit])
    with pytest.raises(JournalDamaged, match=f"{sealed.name}: records 401-500"):
        list(read_session(sealed.parent))


def test_a_sealed_segment_of_which_nothing_is_left_is_reported_whole(sealed: Path) -> None:
    sealed.with_suffix(".index").unlink()
    sealed.write_bytes(bytes(sealed.stat().st_size))

    assert look(sealed.parent) == ([], [Damage(sealed.name, 1, ALL[-1], "nothing whole is left of it")])


def test_of_format_1_a_damaged_segment_without_an_index_is_not_believed(sealed: Path) -> None:
    """Its batches have no tags: the manifest says that."""
    about = manifest.read(sealed.parent)
    assert about is not None
    about.format = 1
    manifest.write(sealed.parent / "manifest.json", about)
    sealed.with_suffix(".index").unlink()
    assert look(sealed.parent) == (ALL, [])

    flip(sealed, sealed.stat().st_size // 2)

    why = "the segment differs from its seal, and its index is lost"
    assert look(sealed.parent) == ([], [Damage(sealed.name, 1, ALL[-1], why)])


def test_a_damaged_segment_is_not_rewritten(sealed: Path) -> None:
    flip(sealed, index_of(sealed).entries[3].offset + 50)
    before = sealed.read_bytes(), sealed.with_suffix(".index").read_bytes()

    rewrite(sealed, {})

    assert (sealed.read_bytes(), sealed.with_suffix(".index").read_bytes()) == before
    assert not list(sealed.parent.glob("*.tmp"))


def test_killed_between_a_rewritten_segment_and_its_index_it_is_read_whole(sealed: Path) -> None:
    old = sealed.with_suffix(".index").read_bytes()
    (sealed.parent / "manifest.json").unlink()
    rewrite(sealed, {})
    sealed.with_suffix(".index").write_bytes(old)

    assert look(sealed.parent) == (ALL, [])


def test_a_reader_goes_on_while_its_segment_is_rewritten(sealed: Path) -> None:
    reading = read_session(sealed.parent)
    got = [int(data) for run in next(reading).records for data in run.data]
    rewrite(sealed, {})
    got += [int(data) for frames in reading for run in frames.records for data in run.data]

    assert got == ALL
