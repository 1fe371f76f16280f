"""`import`: connections, stamps and what is left out, as `contracts` and `data/README.md` describe them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fed import A, B, delta, frame, snapshot
from imports import envelopes, imported, settings_for, written
from rebuilt import Rebuilt
from stores import clickhouse, digests, parquet
from verify_help import checked

from kalshi_trio.errors import UsageError
from kalshi_trio.journal.folder import sessions

START = 1_795_496_462_000_000_000
AT_1, AT_2 = START + 100_000_000, START + 200_000_000
"""The exchange's times of deltas at ".1" and ".2"."""
PRIVATE = ("fill", "market_position", "user_order", "order_group_updates", "rfq_created", "quote_accepted")


def own(event: str, **more: Any) -> dict[str, Any]:
    return {"recv_ns": START, "conn": 1, "event": event, **more}


def gaps(session: Any, *columns: str) -> list[tuple[Any, ...]]:
    table = session.rows()["gaps"]
    return list(zip(*(table[column].to_pylist() for column in columns), strict=True))


def test_frames_are_journalled_byte_for_byte_with_their_stamps_and_connections(tmp_path: Path) -> None:
    odd = b'{ "type":"trade", "sid":2,"seq":1 ,"msg":{"x":"\\u00e9 \xc3\xa9"}}'
    some = [snapshot(1, yes=[["0.4000", "5.00"]]), delta(2, "0.4100", "1.00"), odd]
    session = imported(tmp_path, written(tmp_path / "a.jsonl", *envelopes(some, conn=7)))

    assert session.frames == [some[0].strip(), some[1].strip(), odd]
    assert session.stamps() == [(1, START + number * 1_000_000) for number in range(3)]
    assert session.manifest.clock == "receive"
    assert session.manifest.source == "import"
    assert session.manifest.verdict == "known gaps"  # the trade has no price
    assert session.manifest.markets == [A]


def test_both_sinks_hold_exactly_what_the_manifest_says(tmp_path: Path) -> None:
    some = [snapshot(1, yes=[["0.4000", "5.00"]]), *(delta(n, "0.4100", "1.00", at=f".{n}") for n in range(2, 9))]
    session = imported(tmp_path, written(tmp_path / "a.jsonl", *some), parquet=True, clickhouse=True)
    made = {table: rows.digest for table, rows in session.manifest.tally.rows.items()}

    assert digests(parquet(tmp_path / "data"), session.manifest) == made
    assert digests(clickhouse(tmp_path / "data"), session.manifest) == made
    report = json.loads((session.folder / "sinks.json").read_text())
    assert {t["pending"] for sink in ("parquet", "clickhouse") for t in report[sink].values()} == {0}


def test_without_times_of_receipt_the_exchanges_time_counts_else_that_before_or_the_first_that_follows(
    tmp_path: Path,
) -> None:
    some = [
        snapshot(1, yes=[["0.4000", "5.00"]]),
        delta(2, "0.4100", "1.00", at=".1"),
        snapshot(3, yes=[]),
        delta(4, "0.4100", "1.00", at=".2"),
        frame("trade", 2, 1, msg={"market_ticker": A, "ts": START // 10**9, "ts_ms": START // 10**6 + 150}),
        frame("trade", 2, 2, msg={"market_ticker": A, "ts": 0, "ts_ms": 0}),
    ]
    session = imported(tmp_path, written(tmp_path / "a.jsonl", *some))

    assert [ns for _, ns in session.stamps()] == [AT_1, AT_1, AT_1, AT_2, AT_2, AT_2]
    assert session.manifest.clock == "exchange"


def test_a_clock_that_was_wrong_for_one_frame_does_not_stamp_those_behind_it(tmp_path: Path) -> None:
    ahead = {"market_ticker": A, "ts_ms": START // 10**6 + 3_600_000}
    some = [delta(1, "0.4100", "1.00"), frame("trade", 2, 1, msg=ahead), delta(2, "0.4100", "1.00", at=".2")]
    session = imported(tmp_path, written(tmp_path / "a.jsonl", *some))

    assert [ns for _, ns in session.stamps()] == [AT_1, START + 3_600 * 10**9, AT_2]


@pytest.mark.parametrize("ts", [10**18, -5, "0001-01-01T00:00:00Z", "9999-01-01T00:00:00Z", "soon"])
def test_a_time_that_cannot_be_is_none(ts: int | str, tmp_path: Path) -> None:
    some = [delta(1, "0.4100", "1.00"), frame("trade", 2, 1, msg={"market_ticker": A, "ts": ts})]
    session = imported(tmp_path, written(tmp_path / "a.jsonl", *some))

    assert [ns for _, ns in session.stamps()] == [AT_1, AT_1]


def test_times_of_receipt_are_kept_as_they_are_beside_frames_without(tmp_path: Path) -> None:
    early = {"recv_ns": START + 5, "frame": msgspec.Raw(delta(2, "0.4100", "1.00", at=".2").strip())}
    session = imported(tmp_path, written(tmp_path / "a.jsonl", delta(1, "0.4100", "1.00"), early))

    assert [ns for _, ns in session.stamps()] == [AT_1, START + 5]
    assert session.manifest.clock == "exchange"


def test_a_connection_after_which_another_begins_was_lost(tmp_path: Path) -> None:
    first = envelopes([snapshot(1, yes=[["0.4000", "5.00"]]), delta(2, "0.4100", "1.00")])
    second = envelopes([snapshot(1, yes=[["0.3000", "5.00"]])], begin_ns=START + 60 * 10**9)
    lines = [own("connected"), *first, own("connected"), *second]
    session = imported(tmp_path, written(tmp_path / "a.jsonl", *lines))

    assert [connection for connection, _ in session.stamps()] == [1, 1, 2]
    assert gaps(session, "event", "cause", "markets") == [("opened", "reconnect", [A]), ("healed", "reconnect", [A])]
    assert session.manifest.verdict == "known gaps"


def test_interleaved_connections_are_both_open_to_the_end(tmp_path: Path) -> None:
    one = envelopes([snapshot(1, yes=[["0.4000", "5.00"]]), delta(2, "0.4100", "1.00")], conn="a")
    two = envelopes([snapshot(1, B, yes=[["0.3000", "5.00"]]), delta(2, "0.3100", "1.00", market=B)], conn="b")
    session = imported(tmp_path, written(tmp_path / "a.jsonl", one[0], two[0], one[1], two[1]))

    assert [connection for connection, _ in session.stamps()] == [1, 2, 1, 2]
    assert session.manifest.verdict == "complete"


def test_a_recorded_end_of_a_connection_is_one_and_the_last_is_the_recordings(tmp_path: Path) -> None:
    frames = envelopes([snapshot(1, yes=[["0.4000", "5.00"]]), delta(2, "0.4100", "1.00")])
    one = imported(tmp_path, written(tmp_path / "a.jsonl", frames[0], own("disconnected", cause="stall"), frames[1]))
    two = imported(tmp_path, written(tmp_path / "b.jsonl", *frames, own("disconnected")))

    assert [connection for connection, _ in one.stamps()] == [1, 2]
    assert gaps(one, "event", "cause")[0] == ("opened", "stall")
    assert two.manifest.verdict == "complete"


@pytest.mark.parametrize(
    ("again", "connections"),
    [
        (snapshot(1, yes=[]), [1, 1, 2]),
        (snapshot(1_999, yes=[]), [1, 1, 2]),
        (delta(900, "0.4000", "1.00"), [1, 1, 2]),
        (delta(1_900, "0.4000", "1.00"), [1, 1, 1]),
        (snapshot(2_000, yes=[]), [1, 1, 1]),
        (snapshot(1, yes=[], sid=2), [1, 1, 1]),
    ],
)
def test_numbers_that_begin_again_are_a_new_connection(again: bytes, connections: list[int], tmp_path: Path) -> None:
    session = imported(
        tmp_path, written(tmp_path / "a.jsonl", snapshot(1_999, yes=[]), delta(2_000, "0.4", "1"), again)
    )

    assert [connection for connection, _ in session.stamps()] == connections


def test_several_files_are_one_recording_and_the_wrong_order_is_said(tmp_path: Path) -> None:
    one = written(tmp_path / "1.jsonl", *envelopes([snapshot(1, yes=[["0.4000", "5.00"]])]))
    two = written(tmp_path / "2.jsonl", *envelopes([delta(2, "0.4100", "1.00")], begin_ns=START + 10**9))
    session = imported(tmp_path, one, two)
    wrong = imported(tmp_path / "wrong", two, one)

    assert [connection for connection, _ in session.stamps()] == [1, 1]
    assert session.manifest.verdict == "complete"
    assert "begins before" not in session.said
    assert [file["name"] for file in session.manifest.settings["files"]] == ["1.jsonl", "2.jsonl"]
    assert "1.jsonl begins before 2.jsonl ended" in wrong.said


def test_frames_of_private_channels_are_refused_before_receipt_and_counted_apart(tmp_path: Path) -> None:
    secret = [frame(kind, 3, msg={"order_id": "mine", "market_ticker": "SECRET"}) for kind in PRIVATE]
    session = imported(tmp_path, written(tmp_path / "a.jsonl", *secret, delta(1, "0.4100", "1.00"), *secret))

    assert session.manifest.settings["private"] == 2 * len(PRIVATE)
    assert session.manifest.settings["refused"] == {"count": 0, "first": []}
    assert session.manifest.tally.received == 1
    assert session.manifest.markets == [A]
    kept = [file for file in tmp_path.rglob("*") if file.is_file() and file.name != "a.jsonl"]
    assert kept
    assert not [file for file in kept if b"SECRET" in file.read_bytes() or b"mine" in file.read_bytes()]
    assert "12 frames of private channels" in session.said


def test_lines_that_cannot_be_read_are_refused_with_their_numbers_and_counted(tmp_path: Path) -> None:
    bad = [b"{", b'{"a":1}', b"\xff\xfe\x00", b'{"type":5}', b'{"recv_ns":-1,"frame":{"type":"trade"}}', b"[" * 9000]
    lines = [delta(1, "0.4100", "1.00"), *bad, b'"' + b"x" * 5000, *[b"no"] * 100]
    session = imported(tmp_path, written(tmp_path / "a.jsonl", *lines))
    refused = session.manifest.settings["refused"]

    # The delta's own line ends in a newline: line 2 is blank.
    assert refused["count"] == len(bad) + 101
    assert [line for _, line, _ in refused["first"]] == list(range(3, 23))
    assert session.manifest.tally.received == 1
    assert "Refused a.jsonl, line 3: " in session.said
    assert "Refused 87 more lines" in session.said


def test_a_frame_that_is_one_but_cannot_be_decoded_is_in_the_journal_and_in_the_tally(tmp_path: Path) -> None:
    some = [b'{"type":"orderbook_delta","sid":1,"seq":1,"msg":{"market_ticker":5}}', b'{"type":"news","sid":9}']
    session = imported(tmp_path, written(tmp_path / "a.jsonl", *some))
    tally = session.manifest.tally

    assert session.frames == some
    assert (tally.received, tally.refused, tally.unknown, tally.decoded) == (2, 1, 1, 0)


def test_a_torn_file_is_kept_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = written(tmp_path / "a.jsonl", *(delta(number, "0.4100", "1.00") for number in range(1, 4)))
    torn = tmp_path / "torn.jsonl"
    torn.write_bytes(whole.read_bytes()[:-30])
    session = imported(tmp_path, torn)

    assert session.manifest.tally.received == 2
    assert session.manifest.settings["refused"]["count"] == 1


def test_files_without_a_frame_are_a_mistake_that_names_the_first_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no websocket frame in it; a.jsonl, line 1: JSON is malformed"):
        imported(tmp_path, written(tmp_path / "a.jsonl", b"hello"))
    with pytest.raises(UsageError, match="no websocket frame in it"):
        imported(tmp_path, written(tmp_path / "b.jsonl"))
    assert not list((tmp_path / "data" / "sessions").glob("*"))


def test_times_without_a_unit_are_told_by_their_size_or_asked_for(tmp_path: Path) -> None:
    strange = [{"ts": 17.5, "raw": delta(1, "0.4100", "1.00").decode()}]
    some = [{"ts": START / 10**9, "raw": delta(1, "0.4100", "1.00").decode()}]

    with pytest.raises(UsageError, match=r"a.jsonl, line 1: 'ts' is 17.5.*--time-unit"):
        imported(tmp_path, written(tmp_path / "a.jsonl", *strange))
    session = imported(tmp_path, written(tmp_path / "b.jsonl", *some))
    said = imported(tmp_path, tmp_path / "b.jsonl", time_unit="s")
    assert [ns for _, ns in session.stamps()] == [ns for _, ns in said.stamps()] == [START]
    assert said.manifest.settings["time_unit"] == "s"


def test_the_same_file_again_is_not_stored_again(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", delta(1, "0.4100", "1.00"))
    first, second = imported(tmp_path, path), imported(tmp_path, path)

    assert "imported before" not in first.said
    assert f"a.jsonl was imported before, as {first.manifest.name}" in second.said
    assert second.manifest == first.manifest
    assert len(sessions(tmp_path / "data")) == 1


def test_an_import_is_cut_into_segments_that_each_have_their_seal(tmp_path: Path) -> None:
    some = [snapshot(1, yes=[["0.4000", "5.00"]]), *(delta(n, "0.4100", "1.00") for n in range(2, 3_500))]
    path = written(tmp_path / "a.jsonl", *envelopes(some))
    cut, whole = (imported(tmp_path / str(size), path, journal_segment_records=size) for size in (1_000, 1_000_000))

    assert len(cut.manifest.segments) > 3
    assert {segment.state for segment in cut.manifest.segments} == {"sealed"}
    assert len(sorted(cut.folder.glob("*.checkpoint"))) == len(cut.manifest.segments)
    assert cut.rows() == whole.rows()
    assert Rebuilt(cut.rows(), 1).digest() == Rebuilt(whole.rows(), 1).digest()


def test_an_import_of_the_same_file_makes_the_same_rows(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", *envelopes([snapshot(1, yes=[["0.4", "5.00"]]), delta(2, "0.4", "1.00")]))
    first, second = (imported(tmp_path / name, path) for name in "ab")

    assert first.manifest.session != second.manifest.session
    assert first.manifest.tally.rows == second.manifest.tally.rows


def test_hostile_names_stay_texts(tmp_path: Path) -> None:
    name = "../../x\n\0"
    session = imported(tmp_path, written(tmp_path / "a.jsonl", delta(1, "0.41", "1.00", market=name)), parquet=True)

    assert session.manifest.tally.received == 1
    assert settings_for(tmp_path).data_dir.is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "data", "logs"]


def test_an_import_of_which_nothing_was_understood_is_not_called_complete(tmp_path: Path) -> None:
    some = [frame("ws_message", 1, number, msg={"x": number}) for number in (1, 2)]
    session = imported(tmp_path, written(tmp_path / "a.jsonl", *envelopes(some)))

    assert session.manifest.verdict == "known gaps"
    assert "No frame of it was understood: it makes no row. Types of its frames: ws_message" in session.said
    assert session.said.strip().count(": complete") == 0
    found = checked(tmp_path / "data")
    assert (found.exit_code, found.sessions[0].verdict) == (3, "known gaps")


def test_what_was_refused_stands_beside_the_verdict(tmp_path: Path) -> None:
    some = [
        snapshot(1, yes=[["0.4000", "5.00"]]),
        delta(2, "0.4100", "1.00"),
        b'{"type":"trade","sid":2,"seq":1,"msg":{}}',
    ]
    path = written(tmp_path / "a.jsonl", *envelopes(some))
    path.write_bytes(path.read_bytes() + b"garbage\n")
    session = imported(tmp_path, path)

    assert session.manifest.verdict == "known gaps"
    assert "; refused 1 lines and 1 frames" in session.said
