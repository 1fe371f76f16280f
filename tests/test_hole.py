"""Records lost to damage are a hole in the rows too: said, bounded, and healed by the next snapshots."""

from __future__ import annotations

from pathlib import Path

import pytest
from fed import A, B, Fed, delta, snapshot
from recordings import Session

from kalshi_trio.journal.disk import Disk
from kalshi_trio.journal.reading import Hole, read_around
from kalshi_trio.protocol.builder import Builder
from kalshi_trio.rebuild import Rebuild

LEVEL = ["0.5000", "10.00"]
EACH = 10


@pytest.fixture
def fed() -> Fed:
    """A and B are whole; one record behind them was lost."""
    fed = Fed()
    fed.frames(snapshot(1, A, yes=[LEVEL]), snapshot(2, B, yes=[LEVEL]))
    fed.session.add("frame", 1, [delta(3, "0.5000", "1.00")])
    fed.builder.lost(fed.session.records[-1].last)
    return fed


def test_what_comes_behind_lost_records_is_no_book_until_its_snapshot(fed: Fed) -> None:
    fed.frames(delta(4, "0.5000", "1.00"), snapshot(5, A, yes=[LEVEL]), delta(6, "0.5000", "1.00"))

    assert fed.rows("deltas", "size", "valid") == [(None, False), ("11.00", True)]
    assert fed.rows("top_of_book", "market", "valid")[-2:] == [(A, False), (B, False)]


def test_lost_records_are_one_hole_of_every_market_and_no_sequence_gap(fed: Fed) -> None:
    fed.frames(delta(9, "0.5000", "1.00"), snapshot(10, A, yes=[LEVEL]), delta(11, "0.5000", "1.00", at=".2"))

    gaps = fed.rows("gaps", "event", "frame", "gap_frame", "row", "cause", "markets")
    assert gaps == [("opened", 6, 6, 0, "damage", [A, B]), ("healed", 7, 6, 0, "damage", [A])]


def test_a_true_gap_behind_lost_records_is_still_seen(fed: Fed) -> None:
    fed.frames(delta(4, "0.5000", "1.00"), snapshot(5, A, yes=[LEVEL]), delta(8, "0.5000", "1.00"))

    opened = [row[1:] for row in fed.rows("gaps", "event", "cause", "expected", "got") if row[0] == "opened"]
    assert opened == [("damage", None, None), ("sequence", 6, 8)]


def test_a_checkpoint_between_the_lost_records_and_the_next_keeps_the_hole(fed: Fed) -> None:
    again = Fed()
    again.session = fed.session
    again.builder = Builder("s", fed.builder.dump())

    again.frames(delta(4, "0.5000", "1.00"))

    assert again.rows("gaps", "event", "cause") == [("opened", "damage")]


def test_a_session_whose_first_records_are_lost_is_read_from_there() -> None:
    builder, session = Builder("s"), Session()
    session.start(A)
    builder.lost(1)
    builder.feed(session.own("connection", 1, event="open"))
    builder.feed(session.add("frame", 1, [snapshot(1, A, yes=[LEVEL])]))

    assert builder.state.markets[A].valid
    assert builder.state.started_ns == session.records[1].ts_recv


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A session of forty records in four batches of two segments."""
    session = Session()
    session.start(A)
    session.own("connection", 1, event="open")
    session.add("frame", 1, [snapshot(1, A, yes=[LEVEL])])
    for seq in range(2, 39):
        session.add("frame", 1, [delta(seq, "0.5000", "1.00")])
    disk = Disk(tmp_path, {"format": "1", "session": "s", "software": "0"})
    for at in range(0, 40, EACH):
        disk.write([(1 + at // 20, records) for records in session.records[at : at + EACH]])
    disk.end()
    return tmp_path


def damage(folder: Path, segment: int, place: float) -> None:
    path = folder / f"{segment:06}.arrows"
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 4
    path.write_bytes(data)


def deltas(folder: Path) -> list[int]:
    rebuild, found = Rebuild(folder, "s", 0), list[int]()
    while rebuild.builder.state.frame < 40:
        for batch in rebuild.piece(40):
            if "deltas" in batch.tables:
                found += batch.tables["deltas"]["frame"].to_pylist()
    return found


@pytest.mark.parametrize(("segment", "place", "first"), [(1, 0.4, 1), (1, 0.9, 11), (2, 0.4, 21), (2, 0.9, 31)])
def test_rows_are_made_again_around_a_damaged_batch(
    segment: int, place: float, first: int, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damage(folder, segment, place)

    assert deltas(folder) == [n for n in range(4, 41) if not first <= n < first + EACH]
    assert f"has lost records {first}-{first + EACH - 1}: {segment:06}.arrows: checksum differs" in caplog.text


def test_a_segment_that_is_gone_is_a_hole(folder: Path) -> None:
    (folder / "000001.arrows").unlink()

    assert deltas(folder) == list(range(21, 41))


def test_each_record_is_read_or_lost_once(folder: Path) -> None:
    damage(folder, 1, 0.9)
    damage(folder, 2, 0.9)

    spans = [
        (found.first, found.last) if isinstance(found, Hole) else (found.records[0].first, found.records[-1].last)
        for found in read_around(folder, 5, 40)
    ]
    assert spans == [(6, 10), (11, 20), (21, 30), (31, 40)]
