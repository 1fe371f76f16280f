"""Files that people have (`cases/`), and others of each kind: what an import makes of them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import recordings
from fed import A, B, delta, frame, snapshot
from imports import Imported, envelopes, imported, settings_for, written

from kalshi_trio.errors import UsageError
from kalshi_trio.journal.folder import sessions

CASES = recordings.FOLDER.parent / "cases"
needed = pytest.mark.skipif(not CASES.is_dir(), reason=f"no cases in {CASES}")
BEGIN = 1_791_180_700_000_000_000
MARKET = "KXA-26DEC31-T1"


def case(folder: Path, *names: str) -> Imported:
    return imported(folder, *(CASES / name for name in names))


def opened(session: Imported) -> list[dict[str, Any]]:
    return [row for row in session.rows()["gaps"].to_pylist() if row["event"] == "opened"]


def whole(session: Imported) -> None:
    assert opened(session) == []
    assert session.manifest.verdict == "complete"


def kinds(session: Imported) -> dict[str, int]:
    return dict(session.manifest.tally.by_type)


@needed
def test_a_bom_belongs_to_the_text_whatever_packed_it(tmp_path: Path) -> None:
    session = case(tmp_path, "bom_in_gz.jsonl.gz")

    whole(session)
    assert kinds(session) == {"orderbook_snapshot": 1, "orderbook_delta": 1}


@needed
def test_markers_that_say_what_they_are_in_their_type(tmp_path: Path) -> None:
    session = case(tmp_path, "marker_by_type.jsonl")
    (gap,) = opened(session)

    assert session.manifest.tally.received == 4
    assert {connection for connection, _ in session.stamps()} == {1, 2}
    assert (gap["cause"], gap["opened_at"].value) == ("reconnect", BEGIN + 1_000_000_000)


@needed
def test_what_rotated_files_repeat_is_taken_once(tmp_path: Path) -> None:
    session = case(tmp_path, "overlap_rotated.1.jsonl", "overlap_rotated.2.jsonl")

    whole(session)
    assert session.manifest.tally.received == 100
    assert session.manifest.settings["repeated"] == 10
    assert {cover.gap_seconds for cover in session.manifest.coverage.values()} == {0}


@needed
@pytest.mark.parametrize("order", ["ab", "ba"])
def test_a_file_a_market_of_one_connection_is_put_in_order(order: str, tmp_path: Path) -> None:
    session = case(tmp_path, *(f"per_market_files.{name}.jsonl" for name in order))

    whole(session)
    assert session.manifest.tally.received == 42
    assert {connection for connection, _ in session.stamps()} == {1}
    assert session.rows()["deltas"]["seq"].to_pylist() == list(range(3, 43))
    ends = {row["market"]: row for row in session.rows()["deltas"].to_pylist()}
    assert {market: (str(row["price"]), str(row["size"])) for market, row in ends.items()} == {
        "KXA-26DEC31-T1": ("0.4600", "20.00"),
        "KXB-26DEC31-T2": ("0.4600", "20.00"),
    }


@needed
def test_private_frames_are_known_by_how_their_names_begin(tmp_path: Path) -> None:
    session = case(tmp_path, "rfq_batch_private.jsonl")

    assert session.manifest.settings["private"] == 3
    assert session.manifest.tally.received == 2
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    assert b"batch_1" not in kept
    assert b"o1" not in b"".join(session.frames)


@needed
@pytest.mark.parametrize("name", ["time_iso_comma", "time_ts_recv"])
def test_times_of_receipt_as_people_name_and_write_them(name: str, tmp_path: Path) -> None:
    session = case(tmp_path, f"{name}.jsonl")

    assert {ns for _, ns in session.stamps()} == {1_791_180_702_500_000_000}
    assert session.manifest.clock == "receive"


@needed
def test_a_reply_for_a_sid_that_there_is_begins_a_connection(tmp_path: Path) -> None:
    session = case(tmp_path, "trades_two_connections.jsonl")
    (gap,) = opened(session)

    assert {connection for connection, _ in session.stamps()} == {1, 2}
    assert gap["cause"] == "reconnect"
    assert session.rows()["trades"].num_rows == 50
    assert "repeated" not in session.manifest.settings


@needed
def test_an_envelope_may_have_a_type_of_its_own(tmp_path: Path) -> None:
    session = case(tmp_path, "typed_envelope.jsonl")

    assert kinds(session) == {"orderbook_snapshot": 1, "orderbook_delta": 1}
    assert session.manifest.markets == [MARKET]
    assert [ns for _, ns in session.stamps()] == [BEGIN, BEGIN + 5_000_000]


# Others of each kind.

BOM = b"\xef\xbb\xbf"
SKIPPED = b"\x53\x2a\x4d\x18\x05\x00\x00\x00hello"
SOME = (snapshot(1, yes=[["0.4000", "5.00"]]), *(delta(number, "0.4100", "1.00") for number in range(2, 9)))
LINES = [msg.strip() + b"\n" for msg in SOME]


def traded(seq: int, name: str, sid: int = 1) -> bytes:
    prices = {
        "yes_price_dollars": "0.4200",
        "no_price_dollars": "0.5800",
        "count_fp": "1.00",
        "taker_outcome_side": "yes",
    }
    return frame(
        "trade", sid, seq, msg={"market_ticker": A, "trade_id": name, "ts_ms": 1_795_496_462_000 + seq, **prices}
    )


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


@pytest.mark.parametrize(
    "data",
    [
        BOM + b"".join(LINES),
        BOM + b"\r\n" + b"".join(LINES).replace(b"\n", b"\r\n"),
        BOM + b"".join(LINES[:3]) + BOM + b"".join(LINES[3:]),
        gzip.compress(BOM + b"".join(LINES[:3])) + gzip.compress(BOM + b"".join(LINES[3:])),
        zstd(BOM + b"".join(LINES)),
        SKIPPED + zstd(BOM + b"".join(LINES[:3])) + SKIPPED + zstd(BOM + b"".join(LINES[3:])) + SKIPPED,
    ],
)
def test_boms_and_frames_of_zstd_that_hold_nothing(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(data)
    session = imported(tmp_path, path)

    whole(session)
    assert session.manifest.tally.received == len(SOME)
    assert session.manifest.settings["refused"] == {"count": 0, "first": []}


@pytest.mark.parametrize("key", ["msg", "data", "payload", "frame", "raw", "message"])
@pytest.mark.parametrize("text", [False, True])
def test_envelopes_with_types_of_their_own(key: str, text: bool, tmp_path: Path) -> None:
    inner = [msg.decode().strip() if text else json.loads(msg) for msg in SOME]
    lines = [{"type": "ws", "kind": "frame", "ts": "2026-10-05T06:11:42Z", key: one} for one in inner]
    session = imported(tmp_path, written(tmp_path / "a.jsonl", *lines))

    whole(session)
    assert kinds(session) == {"orderbook_snapshot": 1, "orderbook_delta": 7}


@pytest.mark.parametrize(
    ("end", "begin"),
    [
        ({"type": "ws_closed"}, {"type": "ws_open"}),
        ({"event": "connection_lost", "msg": "1006 abnormal"}, {"event": "reconnected"}),
        ({"kind": "reconnect"}, {"type": "heartbeat"}),
        ({"event": "onClose", "data": {"code": 1006}}, {"event": "onOpen"}),
        ({"type": "connection", "state": "closed"}, {"type": "connection", "state": "open"}),
    ],
)
def test_markers_in_other_words(end: dict[str, Any], begin: dict[str, Any], tmp_path: Path) -> None:
    first, second = envelopes(SOME[:3]), envelopes(SOME[:3], begin_ns=1_795_496_472_000_000_000)
    at = first[-1]["recv_ns"] + 5_000_000_000
    lines = [{"recv_ns": first[0]["recv_ns"], "type": "session_start"}, *first, {"recv_ns": at, "conn": 1, **end}]
    lines += [{"recv_ns": at + 1_000, "conn": 1, **begin}, *second]
    session = imported(tmp_path, written(tmp_path / "a.jsonl", *lines))
    (gap,) = opened(session)

    assert session.manifest.tally.received == 6
    assert sorted({connection for connection, _ in session.stamps()}) == [1, 2]
    assert (gap["cause"], gap["opened_at"].value) == ("reconnect", at)


def test_a_market_that_is_open_or_closed_is_no_connection(tmp_path: Path) -> None:
    polled = {"recv_ns": 1_795_496_462_000_000_000, "type": "market", "status": "closed", "ticker": A}
    session = imported(tmp_path, written(tmp_path / "a.jsonl", *envelopes(SOME[:3]), polled, *envelopes(SOME[3:])))

    whole(session)
    assert session.manifest.settings["passed"] == 1


@pytest.mark.parametrize("packed", [bytes, gzip.compress, zstd])
def test_overlaps_are_of_texts_whatever_packs_them_and_of_more_than_two_files(packed: Any, tmp_path: Path) -> None:
    lines = [
        json.dumps({**line, "frame": json.loads(bytes(line["frame"]))}).encode() + b"\n" for line in envelopes(SOME)
    ]
    parts = [lines[:5], lines[3:6], lines[4:]]
    paths = [tmp_path / f"{number}" for number in range(3)]
    for path, part in zip(paths, parts, strict=True):
        path.write_bytes(packed(b"".join(part)))
    session = imported(tmp_path, *paths)

    whole(session)
    assert session.manifest.tally.received == len(SOME)
    assert session.manifest.settings["repeated"] == 4


def test_a_live_duplicate_in_one_file_is_another_thing(tmp_path: Path) -> None:
    lines = envelopes(SOME)
    session = imported(tmp_path, written(tmp_path / "a.jsonl", *lines[:4], lines[3], *lines[4:]))

    assert session.manifest.tally.received == len(SOME) + 1
    assert [row["cause"] for row in opened(session)] == ["sequence"]


def test_files_of_two_channels_and_a_reconnect_are_put_in_order_too(tmp_path: Path) -> None:
    trade = [traded(seq, f"t{seq}", sid=2) for seq in range(1, 5)]
    one = [snapshot(1, yes=[["0.4000", "5.00"]]), delta(3, "0.41", "1.00"), delta(6, "0.41", "1.00")]
    two = [snapshot(2, B, yes=[["0.4000", "5.00"]]), *(delta(seq, "0.41", "1.00", market=B) for seq in (4, 5))]
    begin = 1_795_496_462_000_000_000
    late = begin + 60_000_000_000
    a = envelopes(one) + envelopes([snapshot(1, yes=[]), delta(3, "0.41", "1.00")], begin_ns=late)
    b = envelopes(two, begin_ns=begin + 1) + envelopes([snapshot(2, B, yes=[])], begin_ns=late + 100)
    c = envelopes(trade, begin_ns=begin + 2)
    session = imported(
        tmp_path, *(written(tmp_path / name, *lines) for name, lines in {"a": a, "b": b, "c": c}.items())
    )

    assert [row["cause"] for row in opened(session)] == ["reconnect"]
    assert {connection for connection, _ in session.stamps()} == {1, 2}
    assert session.rows()["deltas"]["seq"].to_pylist() == [3, 4, 5, 6, 3]
    assert session.manifest.settings["together"] is True


def test_two_recorders_files_are_of_a_connection_each(tmp_path: Path) -> None:
    other = [snapshot(1, B, yes=[["0.3000", "1.00"]]), *(delta(n, "0.3", "1.00", market=B) for n in range(2, 9))]
    a, b = envelopes(SOME), envelopes(other, begin_ns=1_795_496_462_000_000_500)
    session = imported(tmp_path, written(tmp_path / "a.jsonl", *a), written(tmp_path / "b.jsonl", *b))

    whole(session)
    assert {connection for connection, _ in session.stamps()} == {1, 2}


@pytest.mark.parametrize("kind", ["communications", "order_group_updates", "fill", "user_orders", "market_positions"])
def test_a_sid_of_a_private_channel_is_private_as_a_whole(kind: str, tmp_path: Path) -> None:
    ack = frame("subscribed", 0, msg={"channel": kind, "sid": 9})
    strange = frame("brand_new", 9, 1, msg={"secret": "mine"})
    session = imported(tmp_path, written(tmp_path / "a.jsonl", ack, *SOME, strange))

    assert session.manifest.settings["private"] == 1
    assert b"mine" not in b"".join(session.frames)
    assert session.manifest.tally.received == len(SOME) + 1


@pytest.mark.parametrize(
    "kind", ["quote_batch_new", "rfq_x", "order_amended", "user_settings", "fill_v2", "batch_quote_x"]
)
def test_private_types_that_nobody_has_seen_yet(kind: str, tmp_path: Path) -> None:
    public = frame("orderbook_new", 3, 1, msg={"market_ticker": A})
    session = imported(tmp_path, written(tmp_path / "a.jsonl", *SOME, frame(kind, 8, 1, msg={"x": "mine"}), public))

    assert session.manifest.settings["private"] == 1
    assert session.manifest.tally.received == len(SOME) + 1


def test_number_one_again_is_a_new_connection_and_the_same_frame_again_is_not(tmp_path: Path) -> None:
    again = [traded(1, "a"), traded(2, "b"), traded(1, "c"), traded(2, "d")]
    twice = [traded(1, "a"), traded(1, "a"), traded(2, "b")]
    swapped = [traded(2, "b"), traded(1, "a"), traded(3, "c")]
    found = {
        name: imported(tmp_path / name, written(tmp_path / f"{name}.jsonl", *envelopes(lines)))
        for name, lines in {"again": again, "twice": twice, "swapped": swapped}.items()
    }

    assert {name: len({run for run, _ in one.stamps()}) for name, one in found.items()} == {
        "again": 2,
        "twice": 1,
        "swapped": 1,
    }
    assert [row["cause"] for row in opened(found["again"])] == ["reconnect"]


def test_what_the_folder_has_is_not_stored_again_packed_and_ordered_in_another_way(tmp_path: Path) -> None:
    a = written(tmp_path / "a.jsonl", *envelopes(SOME[:4]))
    b = written(tmp_path / "b.jsonl", *envelopes(SOME[4:], begin_ns=1_795_496_463_000_000_000))
    first = imported(tmp_path, a, b)
    packed = tmp_path / "a.gz"
    packed.write_bytes(gzip.compress(a.read_bytes()))
    again = imported(tmp_path, b, packed)
    c = written(tmp_path / "c.jsonl", *envelopes(SOME[:2], begin_ns=1_795_496_464_000_000_000))
    more = imported(tmp_path, b, c)

    assert again.manifest == first.manifest
    assert f"Nothing was imported: it is all in {first.manifest.name} already" in again.said
    assert [file["name"] for file in more.manifest.settings["files"]] == ["c.jsonl"]
    assert f"b.jsonl was imported before, as {first.manifest.name}: it is left out" in more.said
    assert len(sessions(settings_for(tmp_path).data_dir)) == 2


def test_a_time_that_is_none_is_said_to_be_none(tmp_path: Path) -> None:
    lines = [{"received_at": "05.10.2026 06:11:42", "frame": json.loads(msg)} for msg in SOME]

    with pytest.raises(UsageError, match=r"line 1: received_at '05.10.2026 06:11:42' is no time: write ISO 8601"):
        imported(tmp_path, written(tmp_path / "a.jsonl", *lines))
