"""What `docs/recordings.md` says that an import takes: every line of its tables is tried."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from fed import delta
from imports import imported, written

from kalshi_trio.errors import UsageError
from kalshi_trio.foreign import Line, Shapes
from kalshi_trio.foreign.stamps import received_ns, time_keys

PAGE = (Path(__file__).parent.parent / "docs" / "recordings.md").read_text(encoding="utf-8")
NS = 1_791_180_702_500_000_000


def table(head: str) -> list[tuple[str, str]]:
    """The two columns of the table whose first column has that head."""
    rows = PAGE.partition(f"| {head} |")[2].partition("\n\n")[0].splitlines()[2:]
    assert rows
    found = [re.fullmatch(r"\| (.*?) \| (.*) \|", row) for row in rows]
    return [(row[1], row[2]) for row in found if row]


class Took(NamedTuple):
    line: Line | None
    shapes: Shapes


def read(cell: str) -> Took:
    shapes = Shapes()
    return Took(shapes.line(1, cell.strip("`").encode()), shapes)


@pytest.mark.parametrize(("cell", "what"), table("line"))
def test_each_shape_of_a_line(cell: str, what: str) -> None:
    line, shapes = read(cell)
    if "begins" in what or "ends" in what or "`state`" in what:
        assert line is not None
        assert (line.event, line.frame) == ("connected" if "begins" in what else "disconnected", b"")
    elif "passed over" in what or what == "the same":
        assert line is None
        assert shapes.sent + shapes.passed == 1
    elif line is not None:
        frame = json.loads(line.frame)
        assert frame["type"] in {"trade", "orderbook_delta"}
        assert not ({"frame", "raw", "data", "conn"} & frame.keys())
        assert line.recv_ns == (NS if any(word in cell for word in ("recv", "received_at", '"ts')) else 0)
    else:
        pytest.fail(f"{cell} was not taken")


def test_the_words_of_markers_that_the_page_names() -> None:
    for cell, what in table("line"):
        for word in re.findall(r"`(\w+)`", what) if "connection begins" in what or "connection ends" in what else ():
            line = read(cell.replace('"connected"', f'"{word}"').replace('"disconnected"', f'"{word}"')).line
            assert line is not None
            assert line.event == ("connected" if "begins" in what else "disconnected"), word


@pytest.mark.parametrize(("cells", "what"), table("key"))
def test_each_name_of_a_time(cells: str, what: str) -> None:
    for name in re.findall(r"`(\w+)`", cells):
        keys = time_keys((name,))
        assert bool(keys) == ("not a time" not in what), name
        if keys:
            unit = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}.get(re.sub(r".*_|.*(?=[A-Z])", "", name).lower(), 1)
            assert received_ns({name: msgspec.Raw(b"%d" % (NS // unit))}, keys, None) // 10**9 == NS // 10**9, name
    assert received_ns({}, (), None) == 0


@pytest.mark.parametrize(("cell", "what"), table("value"))
def test_each_spelling_of_a_time(cell: str, what: str) -> None:
    thing = {"received_at": msgspec.Raw(cell.strip("`").encode())}
    keys = time_keys(("received_at",))
    if what == "no time":
        with pytest.raises(
            ValueError, match=rf"received_at {re.escape(repr(cell.strip('`').strip(chr(34))))} is no time"
        ):
            received_ns(thing, keys, None)
    else:
        assert received_ns(thing, keys, None) == (0 if what == "none" else int(what))


def test_the_recorders_own_word_and_the_finest_unit_count_first() -> None:
    names = ("timestamp", "received_at", "recv_ms", "recv_ns")

    assert [key.name for key in time_keys(names)] == ["recv_ns", "recv_ms", "received_at", "timestamp"]


FRAME = delta(1, "0.4100", "1.00").strip()
STRANGE: dict[str, tuple[bytes, str]] = {
    "JSON array": (b"[" + FRAME + b"]", "jq -c '.[]'"),
    "JSON array over lines": (b"[\n  " + FRAME + b"\n]\n", "jq -c '.[]'"),
    "JSON over several lines": (json.dumps(json.loads(FRAME), indent=1).encode(), "jq -c ."),
    "browser's HAR": (b'{"log": {"version": "1.2", "entries": []}}', "_webSocketMessages"),
    "text with something before the JSON": (b"2026-10-05 06:11:42,500 INFO " + FRAME, "sed"),
    "CSV": (b"recv_ns,market,price\n1,KXA,0.41\n", "a line a row"),
    "SQLite": (b"SQLite format 3\0" + bytes(100), "json_object"),
    "Parquet": (b"PAR1" + bytes(100), "duckdb"),
    "Arrow": (b"ARROW1\0\0" + bytes(100), "a line a row"),
    "pcap": (b"\xd4\xc3\xb2\xa1" + bytes(100), "encrypted"),
    "zip": (b"PK\x03\x04" + bytes(100), "unzip"),
    "tar": (b"a.jsonl".ljust(257, b"\0") + b"ustar" + bytes(250), "unpack"),
    "UTF-16": ("{}".encode("utf-16"), "iconv"),
    "binary": (bytes(range(256)).replace(b"\n", b""), "a frame a line"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_not_taken_is_named_with_what_to_do(name: str, tmp_path: Path) -> None:
    data, advice = STRANGE[name]
    path = tmp_path / "strange.dat"
    path.write_bytes(data)

    with pytest.raises(UsageError, match=r"strange\.dat is .*which is not taken: ") as said:
        imported(tmp_path, path)
    assert advice in str(said.value)
    assert not list((tmp_path / "data" / "sessions").glob("*"))


def test_a_table_beside_a_recording_is_named_too(tmp_path: Path) -> None:
    good = written(tmp_path / "a.jsonl", FRAME)
    table_ = written(tmp_path / "b.csv", b"recv_ns,market", b"1,KXA")

    with pytest.raises(UsageError, match=r"b\.csv is a table \(CSV\)"):
        imported(tmp_path, good, table_)
