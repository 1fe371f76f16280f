"""`verify` tells what a recording is: its sequence numbers, gaps, coverage, its chain; while it is open, and as a command."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest
import recordings
from fed import A, B
from harm import HARMED, HOWS, damaged
from imports import imported
from rebuilt import tables, values
from verify_help import checked, damage, flip, manifest_of, only, recorded, records
from written import write

from kalshi_trio.errors import UsageError
from kalshi_trio.history.verify.findings import Covered, Hole, SessionReport
from kalshi_trio.history.verify.picture import check_name, draw
from kalshi_trio.history.verify.sections import last_lines, verdict
from kalshi_trio.history.verify.sequences import Sequences
from kalshi_trio.history.verify.timeline import shares, timeline, whole_spans
from kalshi_trio.journal import manifest as manifests
from kalshi_trio.journal.folder import DataLock
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.protocol.builder import Builder
from kalshi_trio.sealing import ns_of

ROOT = Path(__file__).parents[1]


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  our own command
        [sys.executable, "-m", "kalshi_trio", "verify", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "MPLCONFIGDIR": str(cwd)},
    )


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session with a hole."""
    data = tmp_path_factory.mktemp("template") / "data"
    recorded(data, records(lost=700))
    return data


@pytest.fixture
def data(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "data"))


def folder_of(data: Path) -> Path:
    (folder,) = (data / "sessions").glob("SESSION_*")
    return folder


def test_known_holes_are_no_damage(data: Path) -> None:
    found = checked(data)
    session = only(found)

    assert (found.exit_code, damage(found)) == (3, [])
    (gap,) = session.gaps
    assert (gap.cause, gap.channel, gap.markets, gap.healed) == ("sequence", "orderbook_delta", [A, B], 2)
    assert gap.expected is not None
    assert gap.got == gap.expected + 3
    assert gap.seconds == (ns_of(gap.healed_at or "") - ns_of(gap.opened_at)) / 1e9 > 0
    books, trades = session.sequences
    assert (books.ranges[0], books.ranges[1][0], books.missing) == ([1, gap.expected - 1], gap.got, 3)
    assert (trades.sid, trades.missing, len(trades.ranges)) == (2, 0, 1)


def test_coverage_is_told_as_intervals_percentage_and_stale_time(data: Path) -> None:
    session = only(checked(data))
    for market in (A, B):
        covered = session.coverage[market]
        spans = [(ns_of(end) - ns_of(start)) / 1e9 for start, end in whole_spans(covered.spans)]

        assert len(spans) == 2
        assert sum(spans) == pytest.approx(covered.whole_seconds)
        assert covered.stale_seconds == covered.gap_seconds
        assert covered.percent == pytest.approx(
            100 * covered.whole_seconds / (covered.whole_seconds + covered.gap_seconds)
        )
        assert session.books[market].lost == 1


def test_books_that_cannot_be_are_counted_by_kind(tmp_path: Path) -> None:
    from fed import delta, snapshot  # noqa: PLC0415  frames by hand, here alone

    session = recordings.Session()
    session.start(A, B)
    session.own("connection", 1, event="open")
    frames = [
        snapshot(1, A, yes=[["0.4000", "5.00"]]),
        snapshot(2, B, yes=[["0.4000", "5.00"]], no=[["0.5000", "5.00"]]),
        delta(3, "0.4000", "-9.00", market=A),
        delta(4, "0.7000", "5.00", market=B, at=".2"),
        delta(5, "0.3000", "5.00", market=B, at=".3"),
    ]
    session.add("frame", 1, frames)
    session.own("session", event="ended", verdict="known gaps")
    write(tmp_path, session.records)
    books = only(checked(tmp_path)).books

    assert (books[A].negative, books[A].crossed) == (1, 0)
    assert (books[B].negative, books[B].crossed) == (0, 1)


def test_a_market_of_which_no_book_ever_came_is_a_gap(tmp_path: Path) -> None:
    session = recordings.Session()
    session.start(A, "KXNOPE")
    session.own("session", event="ended", verdict="complete")
    write(tmp_path, session.records)
    report = only(checked(tmp_path))

    found = {(one.level, one.where) for one in report.findings if "ever came" in one.what}
    assert found == {("gap", A), ("gap", "KXNOPE")}


@recordings.needed
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("harm", HARMED, ids=lambda harm: harm.name.partition(".")[0])
def test_sequences_counted_apart_agree_with_the_gaps_of_the_rows(harm: Any, how: str) -> None:
    some = recordings.journal(damaged(harm, how, 5))
    counted = Sequences()
    for one in some:
        if one.kind == "frame":
            counted.feed(one.connection, one.data)
    builder = Builder("s")
    gaps = list(values(tables(builder, some)["gaps"], "event", "cause", "connection", "sid", "expected", "got"))
    opened = [row[2:] for row in gaps if row[0] == "opened" and row[1] in ("sequence", "joined_late")]
    jumps = [
        (run.connection, run.sid, before[1] + 1, after[0])
        for run in counted.runs()
        for before, after in zip([[0, 0], *run.ranges], run.ranges, strict=False)
        if after[0] > before[1] + 1
    ]

    repeated = sum(run.repeated for run in counted.runs())
    assert set(jumps) >= {row for row in opened if row[3] > row[2]}
    assert repeated >= sum(row[3] < row[2] for row in opened)
    assert len(jumps) + repeated == len(opened) + builder.state.gaps_repeated  # what shows in an open gap is counted
    assert jumps or how == "repeated"


@recordings.needed
@pytest.mark.parametrize("name", recordings.NAMES)
def test_an_imported_recording_is_sound_and_the_same_everywhere(name: str, tmp_path: Path) -> None:
    path = recordings.FOLDER / name
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as whole:
        (tmp_path / "some.jsonl").write_bytes(b"".join(islice(whole, 3_000)))
    done = imported(tmp_path, tmp_path / "some.jsonl", parquet=True, journal_segment_records=1_000)
    found = checked(tmp_path / "data")
    opened = done.manifest.gaps["opened"]

    assert (damage(found), found.exit_code) == ([], 3 if opened else 0)
    assert len(only(found).gaps) == opened
    for table in only(found).tables.values():
        assert table.sealed == table.journal == table.sinks["Parquet"].digest != ""


def test_a_session_that_older_rules_sealed_is_held_against_its_own_seal(data: Path) -> None:
    """Today's rules may make other rows of its frames, which is no damage, and nothing that "clean" could speak of."""
    path = folder_of(data) / "manifest.json"
    about = manifest_of(folder_of(data))
    about.format, about.tally.decoded, about.gaps = 1, about.tally.decoded - 1, {"opened": 0, "healed": 0}
    about.tally.refused += 1
    path.write_bytes(msgspec.json.encode(about))
    (folder_of(data) / "README.md").unlink(missing_ok=True)

    found = checked(data)

    assert damage(found) == []
    assert [one.what for one in only(found).findings if one.where == "manifest.json"] == [
        "sealed by an older version, whose rules made other rows: held against its own seal, rows not made again"
    ]
    assert last_lines(found)[-1].endswith("(not checked: rows by today's rules)")


def test_nothing_is_called_clean_that_nobody_looked_at_or_that_may_still_change(data: Path) -> None:
    fine = SessionReport("s", "SESSION_S", "complete")

    assert verdict(fine) == "SESSION_S: clean"
    assert verdict(fine, ["ClickHouse"]) == "SESSION_S: clean (not checked: ClickHouse)"
    assert verdict(SessionReport("s", "SESSION_S", "complete", retired=[1])) == (
        "SESSION_S: clean (not checked: retired segments)"
    )
    assert verdict(SessionReport("s", "SESSION_S", "open")) == "SESSION_S: clean so far, still open"


def test_a_session_whose_recorder_is_dead_is_cut_short_before_anybody_mends_it(data: Path) -> None:
    path = folder_of(data) / "manifest.json"
    about = manifest_of(folder_of(data))
    about.verdict = "open"
    manifests.write(path, about)

    dead = checked(data)
    live = checked(data, pid=1)

    assert (dead.exit_code, only(dead).verdict) == (3, "cut short")
    assert last_lines(dead)[-1].startswith(f"{path.parent.name}: cut short")
    assert only(live).verdict == "open"
    assert "still open" in last_lines(live)[-1]


def chained(data: Path, count: int = 3) -> list[Path]:
    """Sessions without records, each sealed after the one before."""
    made = []
    for number in range(1, count + 1):
        folder = data / "sessions" / f"SESSION_2026112{number}_000000"
        folder.mkdir(parents=True)
        about = Manifest(f"s{number}", folder.name, "live", "0", "", ended=f"2026-11-2{number}", verdict="complete")
        manifests.seal(folder, about)
        made.append(folder)
    return made


def test_a_chain_is_followed_through_all_sessions(tmp_path: Path) -> None:
    chained(tmp_path)

    assert [one.place for one in damage(checked(tmp_path))] == []


def test_an_edited_manifest_breaks_the_chain_and_is_named(tmp_path: Path) -> None:
    first, *_ = chained(tmp_path)
    path = first / "manifest.json"
    path.write_text(path.read_text().replace('"source": "live"', '"source": "demo"'))

    assert [(one.place, one.where) for one in damage(checked(tmp_path))] == [("chain", f"{first.name}/manifest.json")]
    assert [one.where for one in damage(checked(tmp_path, first))] == [f"{first.name}/manifest.json"]


def test_a_flipped_bit_anywhere_in_an_older_manifest_breaks_the_chain(tmp_path: Path) -> None:
    first, *_ = chained(tmp_path, 2)
    path = first / "manifest.json"
    whole = path.read_bytes()
    for at in range(0, len(whole), 29):
        flip(path, at)

        assert "chain" in {one.place for one in damage(checked(tmp_path))}
        path.write_bytes(whole)


def test_a_session_that_is_gone_is_a_broken_link(tmp_path: Path) -> None:
    _, second, third = chained(tmp_path)
    shutil.rmtree(second)

    (broken,) = damage(checked(tmp_path))
    assert (broken.where, broken.what) == (
        f"{third.name}/manifest.json",
        "names session s2 before it, which is not here",
    )


def unsealed(data: Path) -> Path:
    """The session as it stands while it is recorded: manifest open, the last segment not closed, some rows not stored."""
    folder = folder_of(data)
    about = manifest_of(folder)
    about.verdict, about.ended, about.tally = "open", None, manifests.TallyReport()
    last = about.segments.pop()
    manifests.write(folder / "manifest.json", about)
    (folder / last.file).with_suffix(".index").unlink()
    path = folder / last.file
    path.write_bytes(path.read_bytes()[:-100])
    (folder / "README.md").unlink()
    (folder / "sinks.json").unlink()
    for late in (data / "parquet").rglob("*-1201-*.parquet"):
        late.unlink()
    return folder


def test_what_is_still_recorded_is_checked_as_far_as_it_can_be(data: Path) -> None:
    folder = unsealed(data)
    found = checked(data, pid=4711)
    session = only(found)

    assert (session.verdict, damage(found)) == ("open", [])
    assert 1_200 < session.records < records(lost=700)[-1].last
    assert {one.level for one in session.findings} == {"gap", "pending", "note"}
    assert session.tables["deltas"].sinks["Parquet"].pending > 0

    flip(folder / "000001.arrows", 3_000)
    assert {one.where for one in damage(checked(data, pid=4711))} == {"000001.arrows"}


def test_as_a_command_it_ends_with_the_code_of_the_contract(data: Path, tmp_path: Path) -> None:
    done = run(data, cwd=tmp_path)

    assert done.returncode == 3, done.stderr
    assert "SESSION_20261124_050102: sound, with known gaps" in done.stdout
    assert f"Coverage: {A}: whole " in done.stdout
    assert "Gaps: 7" in done.stdout
    assert "cause sequence" in done.stdout


def test_for_programs_it_says_all_as_json(data: Path, tmp_path: Path) -> None:
    flip(folder_of(data) / "000002.arrows", 3_000)
    done = run("latest", "--data-dir", data, "--json", "--picture", "coverage.svg", cwd=tmp_path)
    said = json.loads(done.stdout)

    assert (done.returncode, said["exit_code"]) == (4, 4), done.stderr
    (session,) = said["sessions"]
    assert {one["where"] for one in session["findings"] if one["level"] == "damage"} == {"000002.arrows"}
    assert {"gaps", "sequences", "coverage", "books", "tables"} <= set(session)
    assert (tmp_path / "coverage.svg").read_text().count(A) == 1


def test_a_data_folder_that_is_held_is_read_all_the_same(data: Path, tmp_path: Path) -> None:
    (data / "clickhouse").mkdir()
    with DataLock(data) as lock:
        lock.announce({})
        done = run(data, "--json", cwd=tmp_path)
        pid = json.loads((data / "recorder.json").read_text())["pid"]
    said = json.loads(done.stdout)

    assert done.returncode == 3, done.stderr
    assert [(one["place"], one["pid"]) for one in said["not_checked"]] == [("ClickHouse", pid)]


def test_a_picture_has_to_be_svg_or_png(data: Path, tmp_path: Path) -> None:
    done = run(data, "--picture", "coverage.txt", cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert "error: coverage.txt: a picture is .svg or .png" in done.stderr
    with pytest.raises(UsageError):
        check_name(Path("coverage"))


def report(*spans: tuple[str, str]) -> SessionReport:
    covered = Covered(5.0, 5.0, [(*span, "whole") for span in spans], 50.0, 5.0)
    gap = Hole(7, 1, "sequence", None, None, None, [A], "2026-11-24T05:00:05.000000000Z")
    start, end = "2026-11-24T05:00:00.000000000Z", "2026-11-24T05:00:10.000000000Z"
    return SessionReport("s", "SESSION_S", "known gaps", 9, start, end, gaps=[gap], coverage={A: covered})


SPANS = (
    ("2026-11-24T05:00:00.000000000Z", "2026-11-24T05:00:02.500000000Z"),
    ("2026-11-24T05:00:05.000000000Z", "2026-11-24T05:00:07.500000000Z"),
)


@pytest.mark.parametrize(("kind", "begins"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_the_picture_is_the_same_each_time(tmp_path: Path, kind: str, begins: bytes) -> None:
    for name in ("one", "two"):
        draw([report(*SPANS)], tmp_path / f"{name}.{kind}")
    one, two = ((tmp_path / f"{name}.{kind}").read_bytes() for name in ("one", "two"))

    assert one.startswith(begins)
    assert hashlib.sha256(one).digest() == hashlib.sha256(two).digest()
    draw([report()], tmp_path / f"other.{kind}")
    assert (tmp_path / f"other.{kind}").read_bytes() != one


def test_the_timeline_has_a_letter_for_each_share() -> None:
    start, end = ns_of("2026-11-24T05:00:00Z"), ns_of("2026-11-24T05:00:10Z")

    assert timeline(SPANS, start, end, 8) == "██··██··"
    assert timeline(SPANS, start, end, 5) == "█░▓▓·"
    assert timeline((), start, end, 4) == "····"
    for cells in (1, 3, 7, 64):
        assert sum(shares(SPANS, start, end, cells)) / cells == pytest.approx(0.5)
