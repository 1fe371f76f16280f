"""`book` and `chart` as their users call them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fed import A, delta, snapshot
from recordings import Session
from written import write

from kalshi_trio.cli import cli
from kalshi_trio.errors import UserError

ROOT = Path(__file__).parent.parent
PNG = b"\x89PNG\r\n\x1a\n"
ID = "20261124_050102-00000001"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A has two bids and three asks from record 3 on, one bid more from 5 on; a gap at 8; the end at 9."""
    session = Session(1_795_496_462_000_000_000)
    session.start(A)
    session.own("connection", 1, event="open")
    yes, no = (
        [["0.4000", "100.00"], ["0.3900", "50.50"]],
        [["0.5800", "10.00"], ["0.5700", "200.00"], ["0.0500", "1.00"]],
    )
    session.add("frame", 1, [snapshot(1, A, yes=yes, no=no)])
    session.add("frame", 1, [delta(2, "0.3900", "-0.50"), delta(3, "0.3800", "25.00"), delta(4, "0.3800", "-5.00")])
    session.add("frame", 1, [delta(5, "0.4000", "1.00", at=".3"), delta(9, "0.4000", "1.00", at=".4")])
    session.own("session", event="ended", verdict="known gaps")
    write(tmp_path, session.records)
    return tmp_path


def run(data: Path, *arguments: str) -> Result:
    """The command with this data folder; a user's mistake ends it as text, as in `main`."""
    return CliRunner().invoke(cli, [*arguments, "--data-dir", str(data), "--log-dir", str(data / "logs")])


def test_a_ladder_shows_both_sides_with_totals_and_since_when_they_are_whole(data: Path) -> None:
    done = run(data, "book", A, "--at", "#6")

    assert done.exit_code == 0
    assert [line.rstrip() for line in done.stdout.splitlines()] == [
        f"{A}  {ID}",
        "at 2026-11-24T05:01:02.004000000Z (#6)",
        "last change 2026-11-24T05:01:02.004000000Z (#6)",
        "continuous since 2026-11-24T05:01:02.003000000Z",
        "",
        "             price  size  total",
        "ask         0.9500     1    211  ▏",
        "ask         0.4300   200    210  ████████████████████████",
        "ask         0.4200    10     10  █▎",
        "     spread 0.0200",
        "bid         0.4000   100    100  ████████████",
        "bid         0.3900    50    150  ██████",
        "bid         0.3800    20    170  ██▍",
    ]


def test_a_ladder_of_some_levels_says_how_many_more_there_are(data: Path) -> None:
    done = run(data, "book", A, "--at", "2026-11-24T05:01:02.0049Z", "--depth", "1")

    assert [line.split()[:3] for line in done.stdout.splitlines()[6:]] == [
        *(["ask", "0.4200", "10"], ["spread", "0.0200"], ["bid", "0.4000", "100"], []),
        ["2", "more", "asks,"],
    ]


def test_a_book_in_a_hole_says_so(data: Path) -> None:
    said = " ".join(run(data, "book", A).stdout.split())

    assert "not continuous: sequence, expected 6, got 9, since 2026-11-24T05:01:02.005000000Z (#8)" in said


def test_json_has_exact_decimals_and_the_hole(data: Path) -> None:
    found = json.loads(run(data, "book", A, "--json", "--depth", "2").stdout)

    assert found == {
        "session": ID,
        "market": A,
        "frame": 8,
        "ts_recv": "2026-11-24T05:01:02.005000000Z",
        "valid": False,
        "since": "2026-11-24T05:01:02.005000000Z",
        "why": "sequence",
        "hole": {
            "cause": "sequence",
            "frame": 8,
            "opened_at": "2026-11-24T05:01:02.005000000Z",
            "expected": 6,
            "got": 9,
        },
        "last_frame": 7,
        "last_ts_recv": "2026-11-24T05:01:02.005000000Z",
        "levels": {"bids": 3, "asks": 3},
        "bids": [["0.4000", "101.00"], ["0.3900", "50.00"]],
        "asks": [["0.4200", "10.00"], ["0.4300", "200.00"]],
    }


def test_a_time_may_be_the_exchanges(data: Path) -> None:
    found = json.loads(run(data, "book", A, "--json", "--at", "2026-11-24T05:01:02.35Z", "--clock", "exchange").stdout)

    assert (found["frame"], found["bids"][0]) == (7, ["0.4000", "101.00"])


@pytest.mark.parametrize(("suffix", "begins"), [("png", PNG), ("svg", b"<?xml")])
def test_a_depth_chart_is_a_picture(suffix: str, begins: bytes, data: Path) -> None:
    path = data / f"depth.{suffix}"
    done = run(data, "book", A, "--at", "#6", "--picture", str(path))

    assert done.stdout == f"{path}\n"
    assert path.read_bytes().startswith(begins)


@pytest.mark.parametrize("at", ["#1", "#9", "#8"])
def test_a_book_that_is_empty_or_not_valid_can_be_drawn_too(at: str, data: Path) -> None:
    run(data, "book", A, "--at", at, "--picture", str(data / "depth.png"))

    assert (data / "depth.png").read_bytes().startswith(PNG)


def test_a_chart_is_a_picture(data: Path) -> None:
    path = data / "chart.png"
    done = run(data, "chart", A, "--out", str(path), "--from", "2026-11-24T05:01:02", "--to", "#9")

    assert done.stdout == f"{path}\n"
    assert path.read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    ("arguments", "text", "code"),
    [
        (("book", "KXTEST-26NOV24-B"), f"knows no market 'KXTEST-26NOV24-B'; near: {A}", 2),
        (("book", A, "--at", "noon"), "'noon' is no time", 2),
        (("book", A, "--at", "#10"), "#10: the session ends with record #9", 2),
        (("book", A, "--session", "nine"), "No session 'nine'", 2),
        (("book", A, "--picture", "book.gif"), "drawn as .png or .svg", 2),
        (("chart", A, "--out", "chart.gif"), "drawn as .png or .svg", 2),
        (("chart", A, "--out", "none/chart.png"), "none: no such folder", 73),
        (("chart", A, "--out", "chart.png", "--from", "#5", "--to", "#5"), "no record between", 2),
    ],
)
def test_a_mistake_is_said_and_has_its_exit_code(arguments: tuple[str, ...], text: str, code: int, data: Path) -> None:
    error = run(data, *arguments).exception

    assert isinstance(error, UserError)
    assert text in str(error)
    assert error.exit_code == code


def test_to_look_at_a_book_neither_pandas_nor_matplotlib_is_imported(data: Path) -> None:
    code = f"""
import sys
from kalshi_trio.cli import cli
cli.main(["book", "{A}", "--json", "--data-dir", "{data}"], standalone_mode=False)
sys.exit(" ".join({{"pandas", "matplotlib"}} & sys.modules.keys()) or 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)  # noqa: S603  our own

    assert (done.returncode, done.stderr) == (0, "")
