"""Lines of recordings: how a file is read to where it is damaged, and what a line says."""

from __future__ import annotations

import base64
import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from kalshi_trio.errors import UsageError
from kalshi_trio.foreign import Line, Shapes, Texts, read_lines, texts
from kalshi_trio.foreign.stamps import NoUnit

FRAME = b'{"type":"trade","sid":1,"seq":2,"msg":{"market_ticker":"A"}}'
TEXT = json.dumps(FRAME.decode())
NS = 1_772_845_323_400_000_000
Refusals = list[tuple[int, str]]


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


PACKS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gz": gzip.compress,
    "zst": zstd,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


def texts_of(path: Path) -> tuple[list[tuple[int, bytes]], Refusals]:
    refused: Refusals = []
    return list(Texts(path, lambda *one: refused.append(one))), refused


def line(text: bytes | str, unit: str | None = None) -> Line | None:
    return Shapes(unit).line(1, text.encode() if isinstance(text, str) else text)


@pytest.mark.parametrize("pack", PACKS)
def test_a_files_first_bytes_say_how_it_is_packed_whatever_its_name(pack: str, tmp_path: Path) -> None:
    path = tmp_path / "recording.txt"
    path.write_bytes(PACKS[pack](b"one\r\n\n  two\nthree"))

    assert texts_of(path) == ([(1, b"one"), (3, b"two"), (4, b"three")], [])


@pytest.mark.parametrize("pack", ["gz", "zst", "bz2", "xz"])
def test_packed_files_may_be_put_one_behind_the_other(pack: str, tmp_path: Path) -> None:
    path = tmp_path / "rotated"
    path.write_bytes(PACKS[pack](b"one\ntw") + PACKS[pack](b"o\nthree\n"))

    assert texts_of(path) == ([(1, b"one"), (2, b"two"), (3, b"three")], [])


@pytest.mark.parametrize("pack", ["gz", "zst", "bz2", "xz"])
def test_what_stands_before_damage_is_read_and_the_rest_refused_with_its_line(pack: str, tmp_path: Path) -> None:
    lines = [b"%d %s" % (number, bytes(str(hash((number, 7)) ** 3), "ascii")) for number in range(60_000)]
    whole = PACKS[pack](b"\n".join(lines))
    path = tmp_path / "torn"
    path.write_bytes(whole[: len(whole) * 3 // 4])
    found, refused = texts_of(path)
    *kept, (_, torn) = found

    assert kept == list(enumerate(lines, 1))[: len(kept)]
    assert len(kept) > len(lines) // 3
    assert lines[len(kept)].startswith(torn)
    assert [number for number, _ in refused] == [len(found)]
    assert "the rest of the file is left out" in refused[0][1]


def test_a_line_without_end_costs_no_memory_and_no_other_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "LONGEST", 3 << 20)
    path = tmp_path / "long"
    path.write_bytes(b"one\n" + b"x" * (9 << 20) + b"\nthree\n" + b"y" * (5 << 20))

    found, refused = texts_of(path)
    assert found == [(1, b"one"), (3, b"three")]
    assert [number for number, _ in refused] == [2, 4]


def test_a_byte_order_mark_is_not_part_of_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "windows.jsonl"
    path.write_bytes(b"\xef\xbb\xbfone\r\n")

    assert texts_of(path) == ([(1, b"one")], [])


def test_what_is_no_file_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no file"):
        texts_of(tmp_path)


@pytest.mark.parametrize(
    ("text", "connection", "ns"),
    [
        (FRAME.decode(), 1, 0),
        (TEXT, 1, 0),
        (f'{{"recv_ns":{NS},"conn":3,"frame":{FRAME.decode()}}}', 3, NS),
        (f'{{"recv_ns":"{NS}","connection":4,"raw":{TEXT}}}', 4, NS),
        (f'{{"received_at":"2026-03-07T01:02:03.4Z","data":{TEXT}}}', 1, NS),
        (f'{{"ts":"2026-03-07T02:02:03.400000000+01:00","msg":{TEXT}}}', 1, NS),
        (f'{{"timestamp":"2026-03-07 01:02:03.4","message":{FRAME.decode()}}}', 1, NS),
        (f'{{"ts_ms":{NS // 10**6},"payload":{TEXT}}}', 1, NS),
        (f'{{"recv_ts_us":{NS // 10**3},"body":{FRAME.decode()}}}', 1, NS),
        (f'{{"t":17,"received_s":1772845323.4,"text":{TEXT}}}', 1, NS),
        (f'{{"recv_ns":0,"conn":null,"frame":{FRAME.decode()}}}', 1, 0),
        (f'{{"recv_ns":null,"type":"ws","frame":{FRAME.decode()}}}', 1, 0),
        (f'{{"n":1,"era":"x","dir":"server","what":"y","frame":{FRAME.decode()}}}', 1, 0),
        (f'{{"event":"message","recv_ns":{NS},"data":{TEXT}}}', 1, NS),
        (f'{{"base64":"{base64.b64encode(FRAME).decode()}"}}', 1, 0),
    ],
)
def test_a_frame_is_found_in_its_envelope_byte_for_byte(text: str, connection: int, ns: int) -> None:
    found = line(text)

    assert found is not None
    assert (found.connection, found.recv_ns, found.frame) == (connection, ns, FRAME)


def test_a_frame_with_its_time_among_its_own_fields_is_a_frame_with_a_time() -> None:
    text = FRAME[:-1] + b',"received_ms":%d}' % (NS // 10**6)
    found = line(text)

    assert found is not None
    assert (found.recv_ns, found.frame) == (NS, text)


def test_white_space_behind_a_frame_is_kept_apart() -> None:
    found = line(f'{{"recv_ns":1,"frame":{FRAME.decode()},"tail":"\\n"}}')

    assert found is not None
    assert found.frame == FRAME + b"\n"


def test_connections_with_names_are_told_apart() -> None:
    shapes = Shapes()
    found = [shapes.line(1, f'{{"conn_id":"{name}","frame":{FRAME.decode()}}}'.encode()) for name in "aba"]
    numbers = [one.connection for one in found if one]

    assert len(numbers) == 3
    assert numbers[0] == numbers[2] != numbers[1]


def test_a_number_of_which_nobody_says_what_it_counts_is_told_by_its_size_or_is_no_time() -> None:
    text = '{"recv_ts":%s,"raw":' + TEXT + "}"

    for number in ("1772845323.4", "1772845323400", "1772845323400000", "1772845323400000000"):
        found = line(text % number)
        assert found is not None
        assert found.recv_ns == NS
    for number in ("17", "99999999999", "1e20"):
        with pytest.raises((NoUnit, ValueError), match=r"recv_ts"):
            line(text % number)
    with pytest.raises(NoUnit, match=r"'recv_ts' is 17,.*--time-unit"):
        line(text % "17")
    assert [found.recv_ns for unit in ("s", "none") if (found := line(text % "17", unit))] == [17 * 10**9, 0]


@pytest.mark.parametrize(
    "value",
    ["-1", "1e999999999", "NaN", "true", "{}", '"soon"', "9999999999999999999", "18446744073709551616", '"1-1-1"'],
)
def test_a_time_that_cannot_be_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"recv_ns|JSON is malformed"):
        line(f'{{"recv_ns":{value},"frame":{FRAME.decode()}}}')


@pytest.mark.parametrize(
    "text",
    ['{"a":1}', "[1,2]", "17", "null", "{", '{"frame":[1]}', '{"base64":"%"}', '{"conn":true,"frame":{}}', '"x"', "\\"],
)
def test_what_is_neither_a_frame_nor_an_envelope_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        line(text)


def test_what_the_client_sent_is_passed_over_and_counted() -> None:
    shapes = Shapes()
    texts_ = [b'{"id":1,"cmd":"subscribe","params":{}}', b'{"dir":"client","frame":' + FRAME + b"}"]

    assert [shapes.line(1, text) for text in texts_] == [None, None]
    assert shapes.sent == 2


def test_events_are_connections_beginnings_and_ends_others_are_passed_over() -> None:
    shapes = Shapes()
    events: dict[str, Any] = {
        name: shapes.line(1, f'{{"recv_ns":5,"conn":2,"event":"{name}"}}'.encode())
        for name in ("connected", "open", "disconnected", "closed", "session_ended", "watch_market")
    }

    assert {name: found and found.event for name, found in events.items()} == {
        "connected": "connected",
        "open": "connected",
        "disconnected": "disconnected",
        "closed": "disconnected",
        "session_ended": "session_ended",
        "watch_market": None,
    }
    assert shapes.passed == 1


def test_a_recording_to_play_has_frames_and_beginnings_and_no_line_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    path.write_bytes(b'{"conn":1,"event":"connected"}\n{"conn":1,"event":"closed"}\n' + FRAME + b"\n{\n")
    refused: Refusals = []

    assert [found.frame for found in read_lines(path, lambda *one: refused.append(one))] == [b"", FRAME]
    assert [number for number, _ in refused] == [4]
    with pytest.raises(UsageError, match=r"one.jsonl, line 4"):
        list(read_lines(path))
