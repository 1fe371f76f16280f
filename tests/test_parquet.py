"""Parquet: whole files under names that say what they hold."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pyarrow import fs
from sink_child import all_batches
from sink_kills import ROUNDS, kill_at_random
from sink_rows import DAY, SESSION, batch, delta_batch

from kalshi_trio.errors import FolderNotWritable, SinkUnavailable
from kalshi_trio.protocol.schema import TABLES
from kalshi_trio.sinks.parquet import ParquetStore
from kalshi_trio.sinks.shelf import LocalShelf, ObjectShelf, Shelf

OTHER = "20261124_060000-aaaaaaaa"


@pytest.fixture(params=["local", "object"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    if request.param == "local":
        return LocalShelf(tmp_path)
    return ObjectShelf(fs.LocalFileSystem(), str(tmp_path))


@pytest.fixture
def store(shelf: Shelf) -> Iterator[ParquetStore]:
    store = ParquetStore(shelf)
    store.open()
    yield store
    store.close()


def read(folder: Path, table: str) -> pa.Table:
    dates = ds.partitioning(pa.schema([("date", pa.date32())]), flavor="hive")
    rows = ds.dataset(folder / table, partitioning=dates).to_table()
    return rows.select(TABLES[table].names).sort_by([("frame", "ascending"), ("row", "ascending")])


def test_every_table_comes_back_as_it_went_in(store: ParquetStore, tmp_path: Path) -> None:
    whole = batch(1, 200)

    store.write(whole, {})

    for table, rows in whole.tables.items():
        back = read(tmp_path, table)
        assert back.drop_columns(["session", "date"]).equals(rows)
        assert set(back["session"].to_pylist()) == {SESSION}
        assert set(back["date"].to_pylist()) == {DAY}
        assert [(field.name, field.type) for field in back.schema] == [(f.name, f.type) for f in TABLES[table]]


def test_the_path_says_table_date_session_and_frames(store: ParquetStore, tmp_path: Path) -> None:
    store.write(delta_batch(7, 90), {})

    path = tmp_path / "deltas/date=2026-11-24/20261124_050102-9f3a1c70-7-90.parquet"
    about = pq.read_metadata(path).metadata
    assert {key: about[key] for key in (b"session", b"table", b"first_frame", b"last_frame")} == {
        b"session": SESSION.encode(),
        b"table": b"deltas",
        b"first_frame": b"7",
        b"last_frame": b"90",
    }


def test_columns_are_encoded_as_measured_best(store: ParquetStore, tmp_path: Path) -> None:
    store.write(delta_batch(1, 5000), {})

    (path,) = tmp_path.rglob("*.parquet")
    group = pq.read_metadata(path).row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    counting = {name for name, column in columns.items() if "DELTA_BINARY_PACKED" in column.encodings}
    assert counting == {"frame", "ts_recv", "ts_event", "sid", "seq"}
    assert {columns["price"].physical_type, columns["size"].physical_type} == {"INT32", "INT64"}
    assert {column.compression for column in columns.values()} == {"ZSTD"}


def test_positions_are_the_last_frames_that_the_names_cover(store: ParquetStore) -> None:
    assert store.positions(SESSION) == dict.fromkeys(TABLES, 0)

    store.write(delta_batch(1, 90), {})
    store.write(delta_batch(91, 120), {})
    store.write(delta_batch(1, 500, session="20261124_050102-00000000"), {})

    assert store.positions(SESSION) == dict.fromkeys(TABLES, 0) | {"deltas": 120}


def test_only_frames_that_a_table_does_not_hold_are_written(store: ParquetStore, tmp_path: Path) -> None:
    whole = batch(1, 100)
    store.write(batch(1, 60), {})

    store.write(whole, dict.fromkeys(TABLES, 60) | {"trades": 100})

    assert read(tmp_path, "deltas")["frame"].to_pylist() == list(range(1, 101))
    assert [(file.lo, file.hi) for file in store.files("deltas")] == [(1, 60), (61, 100)]
    assert [(file.lo, file.hi) for file in store.files("trades")] == [(1, 60)]


def test_a_file_inside_the_range_of_another_is_not_read(store: ParquetStore) -> None:
    for lo, hi in [(1, 50), (51, 80), (81, 100), (1, 80)]:
        store.write(delta_batch(lo, hi), {})

    assert [(file.lo, file.hi) for file in store.files("deltas")] == [(1, 80), (81, 100)]


def test_foreign_files_are_left_alone(store: ParquetStore, tmp_path: Path) -> None:
    store.write(delta_batch(1, 5), {})
    folder = tmp_path / "deltas/date=2026-11-24"
    for name in ("notes.txt", "x-y-z.parquet", f"{SESSION}-1-.parquet", ".hidden-1-9.parquet"):
        (folder / name).touch()

    assert store.positions(SESSION)["deltas"] == 5
    assert len(list(folder.iterdir())) == 5


def test_unfinished_files_of_the_session_are_removed(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    store.write(delta_batch(1, 5), {})
    folder = tmp_path / "deltas/date=2026-11-24"
    ours, other = folder / f".{SESSION}-6-9.parquet.tmp", folder / ".20270101_000000-00000000-1-9.parquet.tmp"
    ours.write_bytes(b"PAR1")
    other.write_bytes(b"PAR1")

    assert store.positions(SESSION)["deltas"] == 5

    assert not ours.exists()
    assert other.exists()


def test_a_hint_is_kept_with_the_files(store: ParquetStore, tmp_path: Path) -> None:
    assert store.hint(SESSION) == 0

    store.progress(SESSION, 1234)

    assert store.hint(SESSION) == 1234
    hint = tmp_path / f"_progress/{SESSION}.json"
    whole = hint.read_text()
    for wrong in (
        '{"through": ',
        "[]",
        "5",
        whole.replace("1234", "1235"),
        f'{{"session": "{SESSION}", "through": 9}}',
    ):
        hint.write_text(wrong)
        assert store.hint(SESSION) == 0
    hint.write_text(whole)
    assert store.hint(SESSION, last=1234) == 1234
    assert store.hint(SESSION, last=1233) == 0


def test_a_hint_of_another_session_is_none_of_this(store: ParquetStore, tmp_path: Path) -> None:
    store.progress(OTHER, 1234)
    (tmp_path / f"_progress/{OTHER}.json").rename(tmp_path / f"_progress/{SESSION}.json")

    assert store.hint(SESSION) == 0


def test_every_bit_of_a_hint_counts(store: ParquetStore, tmp_path: Path) -> None:
    store.progress(SESSION, 1234, {"deltas": 1200})
    hint = tmp_path / f"_progress/{SESSION}.json"
    whole = hint.read_bytes()
    believed = set()
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        hint.write_bytes(flipped)
        believed.add(store.hint(SESSION))
    assert believed == {0}


def test_rows_are_counted_in_the_files_that_are_there(store: ParquetStore, tmp_path: Path) -> None:
    store.write(batch(1, 100), {})
    store.write(batch(101, 150), dict.fromkeys(TABLES, 100))
    assert store.count(SESSION) == dict.fromkeys(TABLES, 0) | {
        table: sum(each.tables[table].num_rows for each in (batch(1, 100), batch(101, 150)) if table in each.tables)
        for table in batch(1, 100).tables
    }
    first, second = sorted(tmp_path.glob("deltas/*/*.parquet"))
    first.unlink()
    assert store.count(SESSION)["deltas"] == 50
    second.write_bytes(second.read_bytes()[:-9])
    assert store.count(SESSION)["deltas"] == 0


def test_a_session_name_never_leaves_the_folder(store: ParquetStore) -> None:
    with pytest.raises(ValueError, match="cannot be part of a file name"):
        store.write(delta_batch(1, 5, session="../../x"), {})


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(FolderNotWritable, match="Choose a folder"):
        ParquetStore(tmp_path / "file").open()


def test_a_failing_disk_leaves_nothing_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ParquetStore(tmp_path)

    def fail(_number: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fail)
        with pytest.raises(SinkUnavailable, match="Input/output error"):
            store.write(delta_batch(1, 5), {})

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    store.write(delta_batch(1, 5), {})
    assert store.positions(SESSION)["deltas"] == 5


def test_what_a_kill_leaves_half_written_counts_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        """The process is no more: nothing cleans up."""

    def half(path: Path, data: memoryview, *, durable: bool) -> None:
        assert durable
        path.write_bytes(data[: data.nbytes // 2])
        raise Killed

    store = ParquetStore(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("kalshi_trio.fileio._write", half)
        with pytest.raises(Killed):
            store.write(batch(1, 10), dict.fromkeys(TABLES, 0))
    assert ds.dataset(tmp_path / "deltas").count_rows() == 0

    again = ParquetStore(tmp_path)
    assert set(again.positions(SESSION).values()) == {0}
    again.write(batch(1, 10), dict.fromkeys(TABLES, 0))
    assert ds.dataset(tmp_path / "deltas").count_rows() == batch(1, 10).tables["deltas"].num_rows


def test_a_name_that_may_not_survive_a_power_cut_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ParquetStore(tmp_path)
    store.write(delta_batch(1, 5), {})

    def fail(folder: Path) -> None:
        raise OSError(5, "Input/output error", str(folder))

    monkeypatch.setattr("kalshi_trio.fileio.sync_folder", fail)
    with pytest.raises(SinkUnavailable):
        store.write(delta_batch(6, 9), {})

    assert store.positions(SESSION)["deltas"] == 5


def test_each_file_is_a_line_but_at_most_one_info_a_second(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = ParquetStore(tmp_path)
    caplog.set_level(logging.DEBUG)

    for lo in range(1, 1001, 100):
        store.write(delta_batch(lo, lo + 99), {})

    lines = [record for record in caplog.records if record.getMessage().startswith("Writing Parquet file: 100 rows, ~")]
    assert len(lines) == 10
    assert [record.levelname for record in lines].count("INFO") in {1, 2}


def test_kill_9_while_writing_loses_and_doubles_nothing(tmp_path: Path) -> None:
    kill_at_random("parquet", tmp_path, ROUNDS, within=0.3)

    batches = all_batches()
    for table in TABLES:
        if made := [one.tables[table] for one in batches if table in one.tables]:
            assert read(tmp_path, table).drop_columns(["session", "date"]).equals(pa.concat_tables(made))
    assert ParquetStore(tmp_path).hint(SESSION) == batches[-1].hi
