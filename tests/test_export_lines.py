"""Frames and envelopes: what an import makes of an export is what the session was."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
import recordings
from exports import exported
from fed import A, B, delta, frame, snapshot
from imports import Imported, envelopes, imported, settings_for, written
from rebuilt import tables

from kalshi_trio.fold import Fold
from kalshi_trio.history.times import parse
from kalshi_trio.journal import manifest as manifests
from kalshi_trio.journal.disk import Disk
from kalshi_trio.journal.folder import new_name
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.journal.reading import read_session
from kalshi_trio.protocol.builder import Builder
from kalshi_trio.protocol.records import Records
from kalshi_trio.sealing import Sealer

START = 1_795_496_462_000_000_000


def compared(session: Imported) -> dict[str, list[dict[str, Any]]]:
    """All rows, records that are no frames numbered apart, and what a session says of its source and settings left out."""
    frames = [r.first + place for r in session.records if r.kind == "frame" for place in range(len(r.data))]
    places = {number: place for place, number in enumerate(frames)}
    found = {}
    for name, table in session.rows().items():
        rows = table.cast(
            pa.schema([(f.name, pa.int64() if pa.types.is_timestamp(f.type) else f.type) for f in table.schema])
        )
        found[name] = [
            {
                column: (places.get(value, "own") if column in ("frame", "gap_frame", "book_frame") else value)
                for column, value in row.items()
                if not (name == "sessions" and column in ("source", "settings", "software"))
            }
            for row in rows.to_pylist()
        ]
    return found


def again(session: Imported, folder: Path, form: str = "envelopes", name: str = "out.jsonl") -> Imported:
    """Exported, and imported into another data folder."""
    exported(folder, session.manifest.name, form, folder / name)
    other = folder / f"again_{name}"
    other.mkdir()
    return imported(other, folder / name)


def lively() -> list[dict[str, Any]]:
    """Two connections, interleaved, a gap, a duplicate, an older number, a frame that is none, one that nobody knows."""
    one = envelopes(
        [
            frame("subscribed", 0, id=1, msg={"channel": "orderbook_delta", "sid": 1}),
            snapshot(1, yes=[["0.4000", "5.00"]], no=[["0.5500", "7.00"]]),
            delta(2, "0.4100", "1.00", at=".1"),
            delta(2, "0.4100", "1.00", at=".1"),
            delta(5, "0.4100", "1.00", at=".2"),
            delta(4, "0.4100", "1.00", at=".2"),
            snapshot(6, yes=[["0.4000", "5.00"]]),
            b'{"type":"orderbook_delta","sid":1,"seq":7,"msg":{"market_ticker":"%s"}}' % A.encode(),
            frame("news", 9, 1, msg={"a": 1.5}),
        ]
    )
    two = envelopes([snapshot(1, B, yes=[["0.2000", "2.00"]]), delta(2, "0.2000", "-3.00", market=B)], conn=2)
    lost = {"recv_ns": START + 5 * 10**9, "conn": 1, "event": "disconnected", "cause": "stall"}
    new = envelopes([snapshot(1, yes=[["0.1000", "1.00"]])], conn=3, begin_ns=START + 6 * 10**9)
    return [*one[:4], *two, *one[4:], lost, *new]


def test_an_import_of_the_envelopes_makes_the_same_rows_and_the_same_journal(tmp_path: Path) -> None:
    session = imported(tmp_path, written(tmp_path / "a.jsonl", *lively()))
    copy = again(session, tmp_path)

    assert compared(copy) == compared(session)
    assert copy.frames == session.frames
    assert copy.stamps() == session.stamps()
    assert copy.manifest.gaps == session.manifest.gaps
    assert copy.manifest.coverage == session.manifest.coverage
    assert copy.manifest.clock == session.manifest.clock == "receive"


@pytest.mark.parametrize("name", ["out.jsonl", "out.ndjson.gz", "out.jsonl.zst"])
def test_files_are_packed_as_their_names_say_and_the_same_each_time(name: str, tmp_path: Path) -> None:
    session = imported(tmp_path, written(tmp_path / "a.jsonl", *lively()))
    copy = again(session, tmp_path, name=name)
    first = (tmp_path / name).read_bytes()
    exported(tmp_path, session.manifest.name, "envelopes", tmp_path / f"two_{name}")

    assert copy.frames == session.frames
    assert (tmp_path / f"two_{name}").read_bytes() == first
    assert first.startswith({"l": b"{", "z": b"\x1f\x8b", "t": b"\x28\xb5"}[name[-1]])


@recordings.needed
@pytest.mark.parametrize("name", recordings.NAMES[:5])
def test_recordings_survive_both_shapes(name: str, tmp_path: Path) -> None:
    session = imported(tmp_path, recordings.FOLDER / name)
    envelope, bare = again(session, tmp_path), again(session, tmp_path, "frames", "bare.jsonl")

    assert compared(envelope) == compared(session)
    assert envelope.frames == bare.frames == session.frames
    if session.manifest.clock == "exchange":
        assert compared(bare) == compared(session)


@recordings.needed
def test_a_recording_without_envelopes_is_exported_as_it_was(tmp_path: Path) -> None:
    path = recordings.FOLDER / "mixed_2026-07-03.jsonl"
    session = imported(tmp_path, path)
    exported(tmp_path, session.manifest.name, "frames", tmp_path / "out.jsonl")

    assert (tmp_path / "out.jsonl").read_bytes() == path.read_bytes()


class Live:
    """A session as a recorder leaves it, frames with their newlines and connections that came to nothing included."""

    def __init__(self, folder: Path, some: list[Records]) -> None:
        name = new_name(settings_for(folder).data_dir, START)
        disk = Disk(name.folder, {"format": "1", "session": name.session, "software": "0"})
        disk.open()
        disk.write([(1, records) for records in some])
        disk.end()
        sealer = Sealer(name.folder, Manifest(name.session, name.folder.name, "live", "0", ""))
        fold = Fold(name.session, lambda end, rows: sealer.segment(end, rows, more=False))
        for frames in read_session(name.folder):
            fold.feed(frames)
        fold.end()
        sealer.begun(fold.builder.state)
        sealer.finish(fold.builder.state, "known gaps", disk.closed, {})
        manifest = manifests.read(name.folder)
        assert manifest is not None
        self.session = Imported(name.folder, manifest, "")


ODD = [b"", b"\xff\xfe", b"{", b'{"type":"x"}\r\n', b' {"type":"x"}', b'{"type":\n"x"}', b'{"a":1}', b'{"type":"\xff"}']


def live(folder: Path) -> Imported:
    """A live session: it wanted more markets than came, one died before it, connections 1 and 3 were never open."""
    some = recordings.Session(START)
    some.start(A, B, "KXNEVER-1", source="live", previous={"session": "20261123_010203-00000000", "last_frame": 77})
    some.own("connection", 1, event="opening", url="wss://x")
    some.own("connection", 1, event="closed", final=False, cause="reconnect", reason="401")
    some.own("connection", 2, event="opening")
    some.own("connection", 2, event="open")
    some.add("command", 2, [b'{"id":1000001,"cmd":"subscribe","params":{}}'])
    some.add("frame", 2, [snapshot(1, yes=[["0.4000", "5.00"]]), delta(2, "0.4100", "1.00", at=".1")])
    some.add("frame", 2, ODD)
    some.add("stall", 0, [b'{"seconds":3}'])
    some.add("frame", 2, [delta(9, "0.4100", "1.00", at=".2"), snapshot(3, yes=[]), snapshot(1, own=1_000_001, yes=[])])
    some.own("connection", 2, event="closed", final=False, cause="unwritable")
    some.own("connection", 4, event="open")
    some.add("frame", 4, [snapshot(1, yes=[["0.3000", "5.00"]]), delta(2, "0.3000", "1.00", at=".7")])
    some.own("connection", 4, event="closed", final=True, cause="reconnect")
    some.own("session", event="ended", verdict="known gaps")
    return Live(folder, some.records).session


def test_a_live_session_comes_back_from_its_envelopes(tmp_path: Path) -> None:
    """Commands, stalls and connections that were never open make no row; markets that never came are still wanted."""
    session = live(tmp_path)
    copy = again(session, tmp_path)

    assert copy.frames == session.frames
    assert copy.stamps() == session.stamps()
    assert compared(copy) == compared(session)
    assert copy.manifest.markets == [A, B, "KXNEVER-1"]
    assert compared(copy)["gaps"][0]["cause"] == "crash"
    assert (copy.manifest.tally.refused, copy.manifest.tally.unknown) == (5, 3)


def test_every_line_is_json_whatever_a_frame_was(tmp_path: Path) -> None:
    session = live(tmp_path)
    exported(tmp_path, session.manifest.name, "envelopes", tmp_path / "out.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]

    assert [line["event"] for line in lines if "event" in line] == [
        *("session_started", "connected", "disconnected", "connected", "disconnected", "session_ended"),
    ]
    assert sum("base64" in line for line in lines) == len(ODD) - 1
    assert sum(line.get("tail") == "\n" for line in lines) == 7


def test_bare_frames_say_what_they_cannot_carry(tmp_path: Path) -> None:
    session = live(tmp_path)
    done = exported(tmp_path, session.manifest.name, "frames", tmp_path / "out.jsonl")

    assert done.notes == [
        "1 frames have lines of their own in them, which this format cannot carry",
        "2 connections: this format does not say which frame is whose",
        "this format does not say when frames came",
    ]
    assert done.written == len(session.frames) - 1


SECRET = "11111111-2222-3333-4444-555555555555"


@pytest.mark.parametrize("form", ["frames", "envelopes"])
def test_what_is_its_owners_alone_stays_behind(form: str, tmp_path: Path) -> None:
    """Private frames that got into a journal nevertheless, and the fields that mark one's own orders in public ones."""
    some = recordings.Session(START)
    some.start(A, source="live")
    some.own("connection", 1, event="open", url=f"wss://user:{SECRET}@x")
    mine = msgspec.json.decode(delta(2, "0.4100", "1.00"))
    mine["msg"] |= {"client_order_id": SECRET, "subaccount": 7}
    text = msgspec.json.encode(mine) + b"\n"
    torn = b'{"client_order_id":"%s' % SECRET.encode()
    some.add("command", 1, [b'{"key":"%s"}' % SECRET.encode()])
    some.add("frame", 1, [snapshot(1, yes=[]), text, torn, frame("fill", 3, msg={"order_id": SECRET})])
    some.own("connection", 1, event="closed", final=True, reason=SECRET)
    some.own("session", event="ended")
    session = Live(tmp_path, some.records).session
    done = exported(tmp_path, session.manifest.name, form, tmp_path / "out.jsonl")
    written_ = (tmp_path / "out.jsonl").read_text()
    (tmp_path / "other").mkdir()
    copy = imported(tmp_path / "other", tmp_path / "out.jsonl")

    assert SECRET not in written_
    assert "subaccount" not in written_
    assert done.notes[:2] == [
        "2 frames of private channels are left out",
        "1 frames without the fields that tell your own orders (client_order_id, subaccount)",
    ]
    assert copy.rows()["deltas"]["price"].to_pylist() == session.rows()["deltas"]["price"].to_pylist()
    assert copy.frames[1].strip() == delta(2, "0.4100", "1.00").strip()


def test_a_choice_of_markets_and_records_is_what_is_written(tmp_path: Path) -> None:
    some = [snapshot(1, yes=[]), snapshot(2, B, yes=[]), delta(3, "0.41", "1"), delta(4, "0.31", "1", market=B)]
    session = imported(tmp_path, written(tmp_path / "a.jsonl", *envelopes(some)))
    name = session.manifest.name
    one = exported(tmp_path, name, "frames", tmp_path / "one.jsonl", markets=(B,))
    exported(tmp_path, name, "frames", tmp_path / "two.jsonl", start=parse("#4"), end=parse("#6"))
    exported(tmp_path, name, "frames", tmp_path / "three.jsonl", start=parse("2026-11-24T05:01:02.002Z"))

    assert (tmp_path / "one.jsonl").read_bytes() == some[1] + some[3]
    assert one.notes[0] == "2 frames of other markets are left out: an import will find holes in the numbers"
    assert (tmp_path / "two.jsonl").read_bytes() == some[1] + some[2]
    assert (tmp_path / "three.jsonl").read_bytes() == some[2] + some[3]


def test_damage_in_the_journal_is_said_and_the_rest_is_written(tmp_path: Path) -> None:
    some = [snapshot(1, yes=[]), *(delta(n, "0.41", "1.00", at=f".{n:04}") for n in range(2, 4_000))]
    path = written(tmp_path / "a.jsonl", *envelopes(some))
    session = imported(tmp_path, path, journal_segment_records=1_000)
    segment = session.folder / "000002.arrows"
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    done = exported(tmp_path, session.manifest.name, "envelopes", tmp_path / "out.jsonl.gz")
    lines = gzip.decompress((tmp_path / "out.jsonl.gz").read_bytes()).splitlines()

    assert done.notes == ["1000 records are damaged in the journal"]
    assert [json.loads(line) for line in lines if b'"lost"' in line] == [{"event": "lost", "records": [1001, 2000]}]
    assert done.written == len(some) - 1_000


def test_rows_of_a_part_are_those_of_the_frames_in_it(tmp_path: Path) -> None:
    """A part's envelopes begin in mid-stream: its import says that it joined late, and keeps its connection's number."""
    session = imported(tmp_path, written(tmp_path / "a.jsonl", *lively()))
    exported(tmp_path, session.manifest.name, "envelopes", tmp_path / "part.jsonl", start=parse("#9"))
    (tmp_path / "part").mkdir()
    copy = imported(tmp_path / "part", tmp_path / "part.jsonl")

    assert copy.frames == session.frames[-len(copy.frames) :]
    assert copy.stamps() == session.stamps()[-len(copy.frames) :]
    assert "joined_late" in copy.rows()["gaps"]["cause"].to_pylist()


def test_the_rows_that_are_compared_are_many(tmp_path: Path) -> None:
    """Else the tests above would compare nothing with nothing."""
    session = imported(tmp_path, written(tmp_path / "a.jsonl", *lively()))
    counts = {name: len(rows) for name, rows in compared(session).items()}

    assert np.all([counts[name] > 0 for name in ("deltas", "snapshots", "top_of_book", "gaps", "sessions")])
    assert tables(Builder("s"), session.records)["gaps"].num_rows == counts["gaps"]
