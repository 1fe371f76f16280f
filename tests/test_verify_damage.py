"""`verify` finds what was damaged and names it: a bit flipped anywhere, files gone, copied or put in another's place."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fed import A, B
from verify_help import BATCH, SEGMENT, checked, damage, flip, manifest_of, only, recorded, records, report

from kalshi_trio import session_readme
from kalshi_trio.errors import UsageError
from kalshi_trio.journal.index import read_index
from kalshi_trio.own_hash import json_with_hash
from kalshi_trio.protocol.schema import ROW_SCHEMAS, TABLES
from kalshi_trio.sinks.parquet import encode
from kalshi_trio.sinks.parquet_names import RowFile


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean session of four segments, whole in Parquet."""
    data = tmp_path_factory.mktemp("template") / "data"
    recorded(data, records())
    return data


@pytest.fixture
def data(template: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(template, tmp_path / "data"))


def session(data: Path) -> Path:
    (folder,) = (data / "sessions").iterdir()
    return folder


def some(size: int, count: int) -> list[int]:
    return random.Random(size).sample(range(size), min(count, size))  # noqa: S311 -- a seed: seen again


def flipped(path: Path, count: int) -> Iterator[int]:
    """Flips one bit at a time, in so many places; yields where."""
    whole = path.read_bytes()
    for at in some(len(whole), count):
        flip(path, at)
        yield at
        path.write_bytes(whole)


def test_what_is_sound_is_clean(data: Path) -> None:
    found = checked(data)

    assert (found.exit_code, found.findings, only(found).findings) == (0, [], [])
    for table in only(found).tables.values():
        assert table.sealed == table.journal == table.sinks["Parquet"].digest != ""


@pytest.mark.parametrize("segment", [1, 2, 4])
def test_a_flipped_bit_in_a_segment_costs_a_batch_that_is_named(data: Path, segment: int) -> None:
    path = session(data) / f"{segment:06}.arrows"
    index = read_index(path.with_suffix(".index"))
    assert index is not None
    for at in flipped(path, 12):
        found = checked(data)
        hit = [entry for entry in index.entries if entry.offset <= at < entry.offset + entry.length]
        named = {(one.where, one.frames) for one in damage(found)}
        whole = manifest_of(session(data)).segments[segment - 1].frames

        assert named == {(path.name, whole), *((path.name, (one.first_frame, one.last_frame)) for one in hit)}
        assert found.exit_code == 4


def test_lost_records_are_told_by_sequence_and_market(data: Path) -> None:
    path = session(data) / "000002.arrows"
    index = read_index(path.with_suffix(".index"))
    assert index is not None
    entry = index.entries[1]
    numbers = [
        (int(seq), int(sid))
        for table in TABLES
        for file in sorted((data / "parquet" / table).rglob("*.parquet"))
        for frame, sid, seq in zip(
            *(pq.read_table(file)[name].to_pylist() for name in ("frame", "sid", "seq")), strict=True
        )
        if entry.first_frame <= frame <= entry.last_frame and seq
    ]
    flip(path, entry.offset + entry.length // 2)
    lost = next(one for one in damage(checked(data)) if one.frames == (entry.first_frame, entry.last_frame))

    for sid in (1, 2):
        mine = sorted({seq for seq, of in numbers if of == sid})
        assert [(one.first, one.last) for one in lost.sequences if one.sid == sid] == [(mine[0], mine[-1])]
    assert {one.channel for one in lost.sequences} == {"orderbook_delta", "trade"}
    assert lost.markets == [A, B]
    assert re.search(rf"Parquet still has \d+ rows of them: {A}, {B}", lost.what)


def test_sinks_are_not_blamed_for_a_damaged_journal(data: Path) -> None:
    for number in (1, 3):
        path = session(data) / f"{number:06}.arrows"
        flip(path, path.stat().st_size // 2)
    found = checked(data)

    assert {one.place for one in damage(found)} == {"journal"}
    assert all(table.sinks["Parquet"].rows == table.made for table in only(found).tables.values())


def test_a_sink_is_found_wrong_where_the_journal_is_lost_too(data: Path) -> None:
    flip(session(data) / "000002.arrows", 5_000)
    next((data / "parquet/deltas").rglob(f"*-{SEGMENT + 1}-{2 * SEGMENT}.parquet")).unlink()

    assert ("Parquet", "deltas") in {(one.place, one.where) for one in damage(checked(data))}


def test_a_flipped_bit_anywhere_in_an_index_is_found(data: Path) -> None:
    path = session(data) / "000002.index"
    for _ in flipped(path, 40):
        assert [one.where for one in damage(checked(data, session(data)))] == [path.name]


@pytest.mark.parametrize("name", ["000001.checkpoint", "000003.checkpoint"])
def test_a_flipped_bit_anywhere_in_a_checkpoint_is_found(data: Path, name: str) -> None:
    for _ in flipped(session(data) / name, 10):
        assert [one.where for one in damage(checked(data))] == [name]


def test_a_checkpoint_that_is_whole_but_of_another_state_is_found(data: Path) -> None:
    folder = session(data)
    inside = min(folder.glob("000002_*.checkpoint"))
    shutil.copy(folder / "000001.checkpoint", folder / "000003.checkpoint")
    shutil.copy(folder / "000001.checkpoint", inside)

    assert {one.where for one in damage(checked(data))} == {"000003.checkpoint", inside.name}


def test_a_flipped_bit_anywhere_in_the_manifest_is_found(data: Path) -> None:
    for _ in flipped(session(data) / "manifest.json", 50):
        found = checked(data)

        assert found.exit_code == 4
        assert {one.place for one in damage(found)} <= {"manifest", "journal"}
        assert "manifest" in {one.place for one in damage(found)}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda about: about["tally"].update(received=1), "tally.received"),
        (lambda about: about["segments"][1]["rows"]["deltas"].update(made=7), "000002.arrows"),
        (lambda about: about["segments"][2].update(sha256="00" * 32), "000003.arrows"),
        (lambda about: about["coverage"][A].update(whole_seconds=99.0), f"coverage.{A}.whole_seconds"),
        (lambda about: about.update(verdict="known gaps"), "verdict"),
        (lambda about: about.update(markets=[A]), "markets"),
        (lambda about: about["gaps"].update(opened=2), "gaps.opened"),
        (lambda about: about.update(session="20261124_050102-ffffffff"), "session"),
        (lambda about: about.update(clock="sundial"), "format"),
    ],
)
def test_an_edited_manifest_is_told_by_field(data: Path, change: object, named: str) -> None:
    path = session(data) / "manifest.json"
    about = json.loads(path.read_bytes())
    change(about)  # type: ignore[operator]  # a function of the table above
    path.write_text(json.dumps(about))
    (session(data) / "README.md").unlink()

    assert named in {one.where for one in damage(checked(data))}


@pytest.mark.parametrize("name", ["manifest.json", "README.md", "000001.arrows"])
def test_a_changed_name_of_the_session_is_outvoted(data: Path, name: str) -> None:
    path = session(data) / name
    mine = manifest_of(session(data)).session.encode()
    path.write_bytes(path.read_bytes().replace(mine, mine.replace(b"2026", b"2027")))
    found = checked(data)

    assert only(found).session == mine.decode()
    places = {"manifest.json": {"manifest"}, "README.md": {"manifest"}, "000001.arrows": {"journal"}}
    assert {one.place for one in damage(found)} == places[name]


def test_one_flipped_byte_anywhere_in_the_readme_is_found(data: Path) -> None:
    path = session(data) / "README.md"
    written, rng = path.read_bytes(), random.Random(6)  # noqa: S311  repeatable, not secret
    missed = []
    for at in [*rng.sample(range(len(written)), 50), *range(len(written) - 80, len(written))]:
        path.write_bytes(written[:at] + bytes([written[at] ^ 1 << rng.randrange(8)]) + written[at + 1 :])
        missed += [at] * session_readme.intact(path)

    assert missed == []
    assert [(one.where, one.what) for one in damage(checked(data))] == [
        ("README.md", "not what was written; no row depends on it")
    ]


def test_an_edit_that_no_record_contradicts_is_found_by_the_readme(data: Path) -> None:
    path = session(data) / "manifest.json"
    path.write_text(path.read_text().replace('"lateness_ms": {}', '"lateness_ms": {"receive": {"p50": 1.0}}'))

    assert [one.what for one in damage(checked(data))] == [
        "SHA-256 differs from the one in README.md: one of the two was changed"
    ]


def test_without_a_manifest_the_journal_is_read_all_the_same(data: Path) -> None:
    (session(data) / "manifest.json").write_bytes(b"{")
    found = checked(data)

    assert [one.where for one in damage(found)] == ["manifest.json"]
    assert only(found).records == records()[-1].last
    assert all(table.sinks["Parquet"].rows == table.made for table in only(found).tables.values())


@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_deleted_segment_is_named_with_what_was_in_it(data: Path, number: int) -> None:
    folder = session(data)
    (folder / f"{number:06}.arrows").unlink()
    frames = manifest_of(folder).segments[number - 1].frames
    found = damage(checked(data))

    assert (f"{number:06}.arrows", frames) in {(one.where, one.frames) for one in found}
    (lost,) = (one for one in found if one.sequences)
    assert lost.frames == frames
    assert {one.place for one in found} == {"journal"}


def test_a_copied_segment_is_named(data: Path) -> None:
    shutil.copy(session(data) / "000001.arrows", session(data) / "000009.arrows")

    assert "000009.arrows" in {one.where for one in damage(checked(data))}


def test_segments_that_retention_deleted_are_no_damage(data: Path) -> None:
    folder = session(data)
    for path in folder.glob("000001*"):
        path.unlink()
    path = folder / "sinks.json"
    path.write_bytes(json_with_hash({**json.loads(path.read_bytes()), "retired": [1]}))
    found = checked(data)

    assert (found.exit_code, only(found).retired) == (0, [1])
    assert all(table.sinks["Parquet"].digest == table.sealed for table in only(found).tables.values())


def test_a_flipped_bit_anywhere_in_a_parquet_file_is_found(data: Path) -> None:
    for table in ("deltas", "top_of_book", "sessions"):
        path = min((data / "parquet" / table).rglob("*.parquet"))
        named = str(path.relative_to(data / "parquet"))
        for _ in flipped(path, 12):
            found = damage(checked(data))

            assert {one.where for one in found} == {named, table}
            assert {one.place for one in found} == {"Parquet"}


def test_a_deleted_parquet_file_is_missing_rows(data: Path) -> None:
    path = next((data / "parquet/deltas").rglob(f"*-{SEGMENT + 1}-{2 * SEGMENT}.parquet"))
    frames = pq.read_table(path)["frame"].to_pylist()
    path.unlink()
    found = checked(data)
    (missing,) = damage(found)

    assert (missing.where, missing.frames) == ("deltas", (frames[0], frames[-1]))
    assert missing.what == f"rows missing: {len(frames)}, first in segment 2"
    assert only(found).tables["deltas"].sinks["Parquet"].missing == len(frames)


def test_a_deleted_row_group_is_found(data: Path) -> None:
    path = next((data / "parquet/deltas").rglob("*-1-400.parquet"))
    table = pq.read_table(path)
    pq.write_table(table.slice(0, 200), path, row_group_size=100)
    found = {(one.where, one.frames) for one in damage(checked(data))}

    assert (str(path.relative_to(data / "parquet")), (1, 400)) in found


@pytest.mark.parametrize("name", ["{0}-1-900.parquet", "{0}-50-90.parquet", "{0}-401-800.parquet", "copy.parquet"])
def test_a_parquet_file_under_another_name_is_named(data: Path, name: str) -> None:
    path = next((data / "parquet/trades").rglob("*-1-400.parquet"))
    copy = path.with_name(name.format(manifest_of(session(data)).session))
    shutil.copy(path, copy)
    found = damage(checked(data))

    assert str(copy.relative_to(data / "parquet")) in {one.where for one in found}


def test_a_parquet_file_in_another_folder_is_named(data: Path) -> None:
    path = next((data / "parquet/trades").rglob("*-1-400.parquet"))
    copy = path.parent.with_name("date=2026-11-25") / path.name
    copy.parent.mkdir()
    shutil.copy(path, copy)

    assert [one.where for one in damage(checked(data))] == [str(copy.relative_to(data / "parquet"))]


@pytest.mark.parametrize("less", [0, 1])
def test_rows_that_are_not_stored_yet_are_pending(data: Path, less: int) -> None:
    path = next((data / "parquet/deltas").rglob("*-1201-*.parquet"))
    count = pq.read_metadata(path).num_rows
    path.unlink()
    report = session(data) / "sinks.json"
    said = json.loads(report.read_bytes())
    said["parquet"]["deltas"]["stored"] -= count - less
    said["parquet"]["deltas"]["pending"] += count - less
    report.write_bytes(json_with_hash(said))
    found = checked(data)

    assert [one.level for one in only(found).findings] == ["damage" if less else "pending"]
    held = only(found).tables["deltas"].sinks["Parquet"]
    assert (held.pending, held.missing) == ((0, count) if less else (count, 0))


def test_a_sink_that_nothing_was_told_of_has_everything_pending(data: Path) -> None:
    shutil.rmtree(data / "parquet")
    report(session(data), [])
    found = checked(data)

    assert found.exit_code == 0
    assert all(table.sinks["Parquet"].pending == table.made for table in only(found).tables.values())


def test_a_report_of_the_sinks_that_cannot_be_read_is_named(data: Path) -> None:
    (session(data) / "sinks.json").write_bytes(b'{"parquet": 5}')

    assert [one.where for one in damage(checked(data))] == ["sinks.json"]


def test_rows_that_the_journal_does_not_make_are_foreign(data: Path) -> None:
    path = next((data / "parquet/deltas").rglob("*-1201-*.parquet"))
    name = RowFile.parse(f"{path.parent.name}/{path.name}")
    assert name is not None
    rows = pq.read_table(path).select(ROW_SCHEMAS["deltas"].names)
    last = rows.slice(rows.num_rows - 1)
    moved = last.set_column(0, rows.schema.field("frame"), pa.array([last["frame"][0].as_py() + 1], pa.uint64()))
    path.write_bytes(encode("deltas", name, pa.concat_tables([rows.slice(1), moved])).to_pybytes())
    found = {one.what for one in damage(checked(data))}

    assert found == {
        "rows missing: 1, first in segment 4",
        "rows that the journal does not make: 1, first in segment 4",
    }


def test_what_is_no_session_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No session"):
        checked(tmp_path)


def test_a_session_of_which_nothing_reached_the_disk_is_no_damage_and_recorded_nothing(tmp_path: Path) -> None:
    (tmp_path / "sessions" / "SESSION_20261124_050102").mkdir(parents=True)

    found = checked(tmp_path)

    assert (damage(found), found.exit_code) == ([], 3)
    assert only(found).verdict == "nothing recorded"


def test_batches_of_the_tests_are_small(data: Path) -> None:
    index = read_index(session(data) / "000001.index")

    assert index is not None
    assert [one.last_frame - one.first_frame + 1 >= BATCH for one in index.entries[:-1]] == [True] * (
        len(index.entries) - 1
    )
    assert len(index.entries) > 2
