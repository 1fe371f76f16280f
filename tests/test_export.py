"""`export`: CSV, the shape of an npz, and what is refused; whole files, or none."""

from __future__ import annotations

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from exports import exported
from fed import A, B, delta, frame, snapshot
from imports import Imported, envelopes, imported, written
from pyarrow import csv as arrow_csv

from kalshi_trio.errors import FolderNotWritable, Stopped, UsageError
from kalshi_trio.history.exports import hftbacktest, makers, nautilus, target
from kalshi_trio.history.exports.hftbacktest import EVENT, EXCH, LOCAL, ordered
from kalshi_trio.history.times import parse
from kalshi_trio.journal.window import Frames
from kalshi_trio.protocol.schema import TABLES

MS = 1_795_496_462_000
FORMS = ("frames", "envelopes", "csv", "hftbacktest", "nautilus")


@pytest.fixture
def session(tmp_path: Path) -> Imported:
    some = [
        snapshot(1, yes=[["0.4000", "5.00"]], no=[["0.5000", "1.25"]]),
        delta(2, "0.4100", "1.00", at=".1"),
        snapshot(3, B, yes=[]),
        delta(4, "0.3100", "-1.00", market=B, at=".2"),
        frame(
            "trade",
            2,
            1,
            msg={
                "market_ticker": A,
                "trade_id": 'a,"b"\n',
                "ts_ms": MS + 150,
                "count": 3,
                "yes_price": 41,
                "no_price": 59,
            },
        ),
        delta(5, "0.4100", "1.00", at=".3"),
    ]
    return imported(tmp_path, written(tmp_path / "a.jsonl", *envelopes(some)))


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"a.jsonl", "data", "logs"}


def test_csv_is_a_file_a_table_and_reads_back_as_the_rows(session: Imported, tmp_path: Path) -> None:
    done = exported(tmp_path, session.manifest.name, "csv", tmp_path / "out")
    rows = {name: table for name, table in session.rows().items() if table.num_rows}
    found = {}
    for path in (tmp_path / "out").iterdir():
        schema = TABLES[path.stem]
        kinds = {f.name: pa.string() if pa.types.is_list(f.type) else f.type for f in schema}
        options = arrow_csv.ConvertOptions(
            column_types=kinds, strings_can_be_null=True, quoted_strings_can_be_null=False
        )
        parse_options = arrow_csv.ParseOptions(newlines_in_values=True)
        found[path.stem] = arrow_csv.read_csv(path, convert_options=options, parse_options=parse_options)

    assert found.keys() == rows.keys()
    assert done.written == sum(table.num_rows for table in rows.values())
    for name, table in rows.items():
        assert found[name].column_names == TABLES[name].names
        assert set(found[name]["session"].to_pylist()) == {session.manifest.session}
        for column in table.schema:
            told = found[name][column.name].to_pylist()
            told = [json.loads(text) for text in told] if pa.types.is_list(column.type) else told
            assert told == table[column.name].to_pylist(), (name, column.name)


def test_numbers_and_times_are_exact_texts(session: Imported, tmp_path: Path) -> None:
    exported(tmp_path, session.manifest.name, "csv", tmp_path / "deltas.csv.gz", table="deltas")
    first, *_ = csv.DictReader(gzip.decompress((tmp_path / "deltas.csv.gz").read_bytes()).decode().splitlines())

    assert first["ts_recv"] == "2026-11-24 05:01:02.001000000Z"
    assert first["ts_event"] == "2026-11-24 05:01:02.100000Z"
    assert (first["price"], first["delta"], first["size"]) == ("0.4100", "1.00", "1.00")


def test_a_csv_file_holds_one_table_and_a_choice_is_a_session_of_its_own(session: Imported, tmp_path: Path) -> None:
    name = session.manifest.name
    with pytest.raises(UsageError, match="one table: say which with --table"):
        exported(tmp_path, name, "csv", tmp_path / "out.csv")
    with pytest.raises(UsageError, match="no table 'books'"):
        exported(tmp_path, name, "csv", tmp_path / "out", table="books")
    exported(tmp_path, name, "csv", tmp_path / "one.csv", table="deltas", markets=(A,), start=parse("#5"))
    (row,) = csv.DictReader((tmp_path / "one.csv").read_text().splitlines())

    assert (row["market"], row["seq"]) == (A, "5")
    assert row["session"].startswith(f"{session.manifest.session}~")
    assert left(tmp_path) == {"one.csv"}


def test_an_empty_table_has_its_columns(session: Imported, tmp_path: Path) -> None:
    exported(tmp_path, session.manifest.name, "csv", tmp_path / "none.csv", table="tickers")

    assert next(csv.reader((tmp_path / "none.csv").read_text().splitlines())) == TABLES["tickers"].names


@pytest.mark.parametrize("form", FORMS)
def test_the_same_session_makes_the_same_bytes(form: str, session: Imported, tmp_path: Path) -> None:
    def content(folder: Path) -> dict[str, bytes]:
        files = [folder, *folder.rglob("*")]
        return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.is_file()}

    exported(tmp_path, session.manifest.name, form, tmp_path / "one")
    exported(tmp_path, session.manifest.name, form, tmp_path / "two")

    assert content(tmp_path / "one")
    assert content(tmp_path / "one") == content(tmp_path / "two")


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_written_over(form: str, session: Imported, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    with pytest.raises(UsageError, match="nothing is written over"):
        exported(tmp_path, session.manifest.name, form, tmp_path / "there")

    assert (tmp_path / "there").read_text() == "mine"
    assert left(tmp_path) == {"there"}


@pytest.mark.parametrize("form", FORMS)
def test_an_export_that_is_stopped_leaves_nothing(
    form: str, session: Imported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    for kind in (makers.LineMaker, makers.CsvMaker, makers.BookMaker):
        monkeypatch.setattr(kind, "take", stop)
    with pytest.raises(Stopped, match="stopped by SIGINT"):
        exported(tmp_path, session.manifest.name, form, tmp_path / "out")

    assert left(tmp_path) == set()


def test_a_disk_that_refuses_is_said_and_nothing_is_left(
    session: Imported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_self: makers.LineMaker, _found: Frames) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(makers.LineMaker, "take", full)
    with pytest.raises(FolderNotWritable, match="No space left on device"):
        exported(tmp_path, session.manifest.name, "frames", tmp_path / "out")

    assert left(tmp_path) == set()


def test_one_market_can_be_a_file_and_several_cannot(session: Imported, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds one market"):
        exported(tmp_path, session.manifest.name, "hftbacktest", tmp_path / "all.npz")
    exported(tmp_path, session.manifest.name, "hftbacktest", tmp_path / "one.npz", markets=(A,))
    exported(tmp_path, session.manifest.name, "hftbacktest", tmp_path / "all")
    with np.load(tmp_path / "one.npz") as file:
        one = file["data"]
    with np.load(tmp_path / "all" / f"{A}.npz") as file:
        same = file["data"]

    assert left(tmp_path) == {"one.npz", "all"}
    assert one.tobytes() == same.tobytes()
    assert one.dtype == EVENT
    # Clear both sides, two levels, a change, a trade (of which nobody said who took it), a change.
    assert [int(ev) & 0xFFFFFF for ev in one["ev"]] == [3, 3, 4, 4, 1, 2, 1]
    assert one["ival"].tolist() == [3, 3, 3, 3, 4, 7, 8]
    assert one["px"].tolist()[2:] == [0.4, 0.5, 0.41, 0.41, 0.41]
    assert one["qty"].tolist()[2:] == [5.0, 1.25, 1.0, 3.0, 2.0]


def test_what_a_format_does_not_carry_is_said(session: Imported, tmp_path: Path) -> None:
    done = exported(tmp_path, session.manifest.name, "nautilus", tmp_path / "out")

    assert done.notes == [
        "1 deltas are left out: their books had no snapshot yet, or were lost",
        "1 times a book was lost: it is cleared there, and whole again with its next snapshot",
        "tickers, lifecycle messages and holes of other channels have no place in this format",
    ]


def test_an_event_that_was_told_late_is_two_one_for_each_side() -> None:
    rows = np.zeros(5, EVENT)
    rows["ev"] = EXCH | LOCAL
    rows["exch_ts"], rows["local_ts"], rows["ival"] = [10, 30, 20, 30, 25], [11, 31, 32, 33, 34], range(5)
    told = ordered(rows)
    sides = [
        (int(ev & EXCH > 0), int(ev & LOCAL > 0), int(which))
        for ev, which in zip(told["ev"], told["ival"], strict=True)
    ]

    assert sides == [(1, 1, 0), (1, 0, 2), (1, 0, 4), (1, 1, 1), (0, 1, 2), (1, 1, 3), (0, 1, 4)]
    assert np.all(np.diff(told["exch_ts"][told["ev"] & EXCH > 0]) >= 0)
    assert np.all(np.diff(told["local_ts"][told["ev"] & LOCAL > 0]) >= 0)
    assert ordered(rows[:2]) is not None


def test_constants_are_those_of_the_tools() -> None:
    """As their packages define them; `test_export_peers` opens the files."""
    assert (hftbacktest.DEPTH, hftbacktest.TRADE, hftbacktest.CLEAR, hftbacktest.SNAPSHOT) == (1, 2, 3, 4)
    assert EVENT.itemsize == 64
    assert nautilus.SCHEMAS["order_book_delta"].names[-1] == "ts_init"


@pytest.mark.parametrize(
    ("ticker", "name"),
    [
        ("KXBTCD-26FEB1217-T67749.99", "KXBTCD-26FEB1217-T67749.99"),
        ("../x", "..%2Fx"),
        ("..", "%2E%2E"),
        ("a\0\n", "a%00%0A"),
    ],
)
def test_a_ticker_is_never_a_path(ticker: str, name: str) -> None:
    assert target.safe(ticker) == name
    assert len(target.safe("x" * 10_000)) < 255


def test_tickers_that_begin_alike_for_long_are_different_files() -> None:
    one, other = (target.safe("x" * 500 + end) for end in "ab")

    assert one != other


def test_hostile_tickers_stay_in_the_folder(tmp_path: Path) -> None:
    names = ["../../x", "..", ".", "a/b", "\n", "%2E", "x" * 3_000, "x" * 3_001]
    some = [snapshot(number, name, yes=[["0.4000", "5.00"]]) for number, name in enumerate(names, 1)]
    session = imported(tmp_path, written(tmp_path / "a.jsonl", *envelopes(some)))
    for form, kept in (("hftbacktest", "*.npz"), ("nautilus", "*.parquet")):
        exported(tmp_path, session.manifest.name, form, tmp_path / form)
        assert len(list((tmp_path / form).rglob(kept))) == session.manifest.tally.decoded

    assert left(tmp_path) == {"hftbacktest", "nautilus"}


def test_the_command_says_what_it_wrote_and_ends_with_the_codes_of_the_contract(
    session: Imported, tmp_path: Path
) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "kalshi_trio", "export", *arguments, "--data-dir", "data", "--log-dir", "logs"]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)  # noqa: S603

    done = run("latest", "--format", "frames", "--out", "out.jsonl")
    told = run("latest", "--format", "csv", "--out", "out.csv", "--table", "trades", "--json")
    wrong = [
        run("latest", "--format", "frames", "--out", "out.jsonl"),
        run("nothing", "--format", "frames", "--out", "x"),
        run("latest", "--format", "tar", "--out", "x"),
        run("latest", "--format", "csv", "--out", "x", "--markets", "NOPE"),
    ]

    assert (
        done.stdout
        == f"out.jsonl: 6 lines of {session.manifest.name} (frames)\n  this format does not say when frames came\n"
    )
    assert json.loads(told.stdout)["written"] == 1
    assert [one.returncode for one in (done, told, *wrong)] == [0, 0, 2, 2, 2, 2]
    assert "Traceback" not in "".join(one.stderr for one in wrong)
