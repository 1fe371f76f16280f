"""Recordings of the live exchange, whole and harmed, imported: the session lists the gaps that the oracle found.

Each by its connection, sid, numbers and frame, in rows and manifest, and told by `verify`; not one more, and none less but
those that show while another one of their sid is open.
"""

from __future__ import annotations

import io
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import recordings
import trio
from harm import HARMED, HOWS, Harm, damaged
from imports import Imported, imported, settings_for
from recordings import Line

from kalshi_trio.history.verify.verifying import verify
from kalshi_trio.observe.terminal import Terminal

pytestmark = recordings.needed

MOST = None if os.environ.get("KALSHI_FULL") else 20_000
"""Lines of a recording that are imported; all of them if asked for."""


class Holes(NamedTuple):
    """What is wrong with a recording's numbers, by connection and sid where a frame shows it.

    `missing`: first and last number that never came, and which frame, from 1, shows it. `late`: the number that came
    first. `again`: how often the last number, and how often an older one, came again. `reconnects`: connections after
    which another began.
    """

    missing: dict[tuple[int, int], list[list[int]]]
    late: dict[tuple[int, int], int]
    again: dict[tuple[int, int], tuple[int, int]]
    reconnects: int


def known(some: list[Line]) -> Holes:
    """What the oracle finds in these lines."""
    report = recordings.judged(some)
    runs = {_key(name): run for name, run in report["sequences"].items()}
    return Holes(
        {key: run["gaps"] for key, run in runs.items() if run["gaps"]},
        {key: run["first_seq"] for key, run in runs.items() if run["first_seq"] > 1},
        {key: (run["dups"], run["regressions"]) for key, run in runs.items() if run["dups"] or run["regressions"]},
        report["connections"] - 1,
    )


def _key(name: str) -> tuple[int, int]:
    """Connection and sid, of the oracle's name for both."""
    connection, sid = map(int, re.findall(r"\d+", name))
    return connection, sid


def listed(session: Imported) -> Holes:
    """What the rows of a session say; a hole of another kind fails."""
    place = {number: place for place, number in enumerate(frames_of(session), 1)}
    holes = Holes({}, {}, {}, 0)
    for row in opened(session):
        key, expected, got = (row["connection"], row["sid"]), row["expected"], row["got"]
        if row["cause"] == "no_book":
            continue
        if row["cause"] == "reconnect":
            holes = holes._replace(reconnects=holes.reconnects + 1)
        elif row["cause"] == "joined_late":
            holes.late[key] = got
        elif got > expected:
            holes.missing.setdefault(key, []).append([expected, got - 1, place[row["frame"]]])
        else:
            twice, older = holes.again.get(key, (0, 0))
            holes.again[key] = (twice + 1, older) if got == expected - 1 else (twice, older + 1)
    return holes


def opened(session: Imported) -> list[dict[str, Any]]:
    """The holes' first rows; each later row is about one of them."""
    rows = session.rows()["gaps"].to_pylist()
    first = [row for row in rows if row["event"] == "opened"]
    assert {row["cause"] for row in first} <= {"reconnect", "joined_late", "sequence", "no_book"}
    assert {(row["gap_frame"], row["cause"]) for row in rows} == {(row["frame"], row["cause"]) for row in first}
    return first


def check(some: list[Line], folder: Path) -> Holes:
    holes = known(some)
    session = imported(folder, in_envelopes(some, folder / "lines.jsonl"), parquet=True)
    manifest, rows = session.manifest, opened(session)

    check_listed(listed(session), holes, session)
    assert manifest.gaps["opened"] == len(rows)
    assert manifest.verdict == ("known gaps" if rows else "complete")
    assert unhealed(session) == manifest.gaps["opened"] - manifest.gaps["healed"]
    check_verified(folder, rows, recordings.judged(some)["sequences"])
    return holes


def check_listed(found: Holes, holes: Holes, session: Imported) -> None:
    """Nothing that was not; and what is not listed showed while a gap of the same sid was open, which counts it."""
    rows = session.rows()["gaps"].to_pylist()
    place = {number: place for place, number in enumerate(frames_of(session), 1)}
    assert found.late == holes.late
    assert found.reconnects <= holes.reconnects
    for key, some in holes.missing.items():
        assert all(one in some for one in found.missing.get(key, []))
        for first, last, shown in some:
            assert [first, last, shown] in found.missing.get(key, []) or is_open(rows, key, place, shown)
    for key, (twice, older) in holes.again.items():
        told = found.again.get(key, (0, 0))
        assert told[0] <= twice
        assert told[1] <= older
        assert any(told) or key in found.missing
    assert found.missing.keys() <= holes.missing.keys()
    assert found.again.keys() <= holes.again.keys()


def is_open(rows: list[dict[str, Any]], key: tuple[int, int], place: dict[int, int], shown: int) -> bool:
    """Whether a gap of this sid was open, for some market, when this frame came."""
    for gap in rows:
        if gap["event"] == "opened" and (gap["connection"], gap["sid"]) == key and place[gap["frame"]] < shown:
            healed = [row for row in rows if row["event"] == "healed" and row["gap_frame"] == gap["frame"]]
            before = {market for row in healed if place[row["frame"]] < shown for market in row["markets"]}
            if set(gap["markets"]) - before:
                return True
    return False


def frames_of(session: Imported) -> list[int]:
    """The record numbers of the data frames."""
    runs = [records for records in session.records if records.kind == "frame"]
    return [number for records in runs for number in range(records.first, records.last + 1)]


def check_verified(folder: Path, rows: list[dict[str, Any]], sequences: dict[str, Any]) -> None:
    """`verify` finds nothing but those holes, and counts what came of each sid as the oracle does."""
    report = trio.run(verify, settings_for(folder, parquet=True), Terminal(file=io.StringIO()), "latest")
    (session,) = report.sessions

    assert report.exit_code == (3 if rows else 0)
    assert {finding.level for finding in session.findings} <= {"gap", "note"}
    assert [(hole.frame, hole.cause, hole.expected, hole.got, hole.markets) for hole in session.gaps] == [
        (row["frame"], row["cause"], row["expected"], row["got"], row["markets"]) for row in rows
    ]
    assert {(run.connection, run.sid): (run.missing, run.repeated) for run in session.sequences} == {
        _key(name): (run["missing"] + run["first_seq"] - 1, run["dups"] + run["regressions"])
        for name, run in sequences.items()
    }


def unhealed(session: Imported) -> int:
    """How many holes still wait for a snapshot of some market."""
    waiting = Counter[tuple[int, str]]()
    for row in session.rows()["gaps"].to_pylist():
        sign = 1 if row["event"] == "opened" else -1
        waiting.update({(row["gap_frame"], market): sign for market in row["markets"]})
    assert min(waiting.values(), default=0) >= 0
    return len({frame for (frame, _), many in waiting.items() if many})


def in_envelopes(some: list[Line], path: Path) -> Path:
    """A file of these lines that says where connections begin."""
    with path.open("wb") as file:
        for line in some:
            what = b'"frame":%s' % line.frame.strip() if line.frame else b'"event":"connected"'
            file.write(b'{"recv_ns":%d,"conn":%d,%s}\n' % (line.ts_recv, line.connection, what))
    return path


@pytest.mark.parametrize("name", recordings.NAMES)
def test_an_imported_recording_has_its_oracles_holes_and_no_other(name: str, tmp_path: Path) -> None:
    some = recordings.lines(name, MOST)
    holes = check(some, tmp_path)

    assert not holes.missing
    assert not holes.again
    assert bool(holes.late) == (name == recordings.NAMES[-1])
    assert holes.reconnects == len({line.connection for line in some if line.frame}) - 1


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("harm", HARMED, ids=lambda harm: f"{harm.name[:6]}-{harm.kinds[0]}{len(harm.kinds)}")
def test_an_imported_copy_that_came_to_harm_lists_what_was_done_to_it(harm: Harm, how: str, tmp_path: Path) -> None:
    holes = [check(damaged(harm, how, seed), in_own(tmp_path, seed)) for seed in (1, 2)]

    assert all(one.missing if how == "left out" else one.again for one in holes)
    assert any(one.missing for one in holes) == (how != "repeated")


def in_own(folder: Path, seed: int) -> Path:
    own = folder / str(seed)
    own.mkdir()
    return own
