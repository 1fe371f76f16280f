"""Rows come back from both sinks as they went in, in order and exact; what must not be believed is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from clickhouse_http import PASSWORD, USER, Front
from pyarrow import fs
from sink_rows import SESSION, batch, delta_batch

from kalshi_trio.errors import RowsDamaged
from kalshi_trio.protocol.schema import ROW_SCHEMAS, TABLES, RowBatch
from kalshi_trio.sinks import clickhouse_rows, parquet_rows
from kalshi_trio.sinks.base import Store
from kalshi_trio.sinks.clickhouse import ClickHouseStore, Embedded, Server
from kalshi_trio.sinks.clickhouse_rows import ClickHouseRows
from kalshi_trio.sinks.parquet import ParquetStore
from kalshi_trio.sinks.parquet_rows import ParquetRows, whole_frames
from kalshi_trio.sinks.rows import RowDamage, RowSource
from kalshi_trio.sinks.shelf import ObjectShelf

OTHER = "20261124_050102-00000000"
BATCHES = [batch(lo, lo + 99) for lo in range(1, 400, 100)]


def kept(store: Store, batches: list[RowBatch]) -> None:
    store.open()
    for session in dict.fromkeys(one.session for one in batches):
        store.positions(session)
    for one in batches:
        store.write(one, {})
    store.close()


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    front = Front(tmp_path_factory.mktemp("server"))
    kept(ClickHouseStore(Server(front.url, USER, PASSWORD)), [*BATCHES, delta_batch(1, 50, OTHER)])
    yield front
    front.close()


@pytest.fixture(params=["Parquet", "object store", "ClickHouse", "ClickHouse server"])
def source(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RowSource]:
    monkeypatch.setattr(parquet_rows, "PIECE", 60)
    monkeypatch.setattr(clickhouse_rows, "PAGE", 60)
    batches = [*BATCHES, delta_batch(1, 50, OTHER)]
    found: RowSource
    if request.param == "ClickHouse server":
        front = request.getfixturevalue("front")
        found = ClickHouseRows(Server(front.url, USER, PASSWORD))
    elif request.param == "ClickHouse":
        kept(ClickHouseStore(Embedded(tmp_path)), batches)
        found = ClickHouseRows(Embedded(tmp_path))
    else:
        kept(ParquetStore(tmp_path), batches)
        found = ParquetRows(
            tmp_path if request.param == "Parquet" else ObjectShelf(fs.LocalFileSystem(), str(tmp_path))
        )
    found.open()
    yield found
    found.close()


def whole(table: str, made: list[RowBatch] | None = None) -> pa.Table:
    parts = [one.tables[table] for one in made or BATCHES if table in one.tables]
    return pa.concat_tables([ROW_SCHEMAS[table].empty_table(), *parts])


def test_every_table_comes_back_exactly_and_in_order(source: RowSource) -> None:
    for table, schema in ROW_SCHEMAS.items():
        pieces = list(source.batches(table, SESSION))

        assert pa.concat_tables([schema.empty_table(), *pieces]).equals(whole(table))
        assert all(piece.schema.equals(schema) for piece in pieces)


def test_pieces_are_small_and_never_cut_a_frame(source: RowSource) -> None:
    pieces = list(source.batches("snapshots", SESSION))
    frames = [set(piece["frame"].to_pylist()) for piece in pieces]

    assert len(pieces) > 1
    assert len(set.union(*frames)) == sum(map(len, frames))


@pytest.mark.parametrize(("after", "through"), [(0, 7), (150, 250), (299, 301), (399, 500), (400, 500)])
def test_only_the_frames_that_were_asked_for_come(source: RowSource, after: int, through: int) -> None:
    for table in TABLES:
        rows = [
            frame for piece in source.batches(table, SESSION, after, through) for frame in piece["frame"].to_pylist()
        ]

        assert rows == [frame for frame in whole(table)["frame"].to_pylist() if after < frame <= through]


def test_a_session_that_is_not_there_has_no_rows(source: RowSource) -> None:
    assert list(source.batches("deltas", "20300101_000000-00000000")) == []


def test_a_table_that_was_never_made_has_no_rows(tmp_path: Path) -> None:
    source = ClickHouseRows(Embedded(tmp_path), "elsewhere")
    source.open()
    try:
        assert list(source.batches("deltas", SESSION)) == []
        assert source.parts("deltas", SESSION) == []
    finally:
        source.close()


def test_frames_stay_whole_however_pieces_were_cut() -> None:
    rows = whole("snapshots")
    for size in (1, 2, 7, 1000):
        pieces = list(whole_frames(rows.slice(at, size) for at in range(0, rows.num_rows, size)))

        assert pa.concat_tables(pieces).equals(rows)
        last = [piece["frame"][-1].as_py() for piece in pieces]
        assert last == sorted(set(last))


class Folder:
    """Parquet of one table in three files of a hundred frames."""

    def __init__(self, root: Path) -> None:
        kept(ParquetStore(root), [delta_batch(lo, lo + 99) for lo in (1, 101, 201)])
        self.root = root
        self.files = sorted((root / "deltas/date=2026-11-24").iterdir(), key=lambda path: int(path.stem.split("-")[2]))

    def look(self) -> tuple[list[int], list[RowDamage]]:
        found: list[RowDamage] = []
        pieces = ParquetRows(self.root).batches("deltas", SESSION, report=found.append)
        return [frame for piece in pieces for frame in piece["frame"].to_pylist()], found


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_damaged_file_is_named_and_left_out(folder: Folder) -> None:
    whole_bytes = folder.files[1].read_bytes()
    for at in range(0, len(whole_bytes), 211):
        data = bytearray(whole_bytes)
        data[at] ^= 1 << (at % 8)
        folder.files[1].write_bytes(data)
        frames, found = folder.look()

        assert frames == [*range(1, 101), *range(201, 301)]
        (damage,) = found
        assert damage[:3] == ("deltas/date=2026-11-24/" + folder.files[1].name, 101, 200)


def test_damage_raises_where_nobody_asked_for_it(folder: Folder) -> None:
    folder.files[1].write_bytes(b"PAR1")

    with pytest.raises(RowsDamaged, match=f"{folder.files[1].name}: frames 101-200: cannot be read"):
        list(ParquetRows(folder.root).batches("deltas", SESSION))


@pytest.mark.parametrize(
    "renamed",
    [
        lambda path: path.with_name(f"{SESSION}-150-250.parquet"),
        lambda path: path.with_name(f"{SESSION}-301-400.parquet"),
        lambda path: path.with_name(f"{SESSION}-1-400.parquet"),
        lambda path: path.with_name(f"{SESSION}-120-130.parquet"),
        lambda path: path.parent.with_name("date=2026-11-25") / path.name,
    ],
)
def test_a_copy_under_another_name_is_never_read(folder: Folder, renamed: Callable[[Path], Path]) -> None:
    copy = renamed(folder.files[1])
    copy.parent.mkdir(exist_ok=True)
    shutil.copy(folder.files[1], copy)
    frames, found = folder.look()

    assert frames == list(range(1, 301))
    assert [(damage.where, damage.why.partition(" as ")[0]) for damage in found] == [
        (f"deltas/{copy.parent.name}/{copy.name}", "it was written")
    ]


def test_a_copy_that_only_others_would_read_is_a_stray(folder: Folder) -> None:
    for name in ("copy.parquet", "notes.txt", ".hidden.parquet"):
        shutil.copy(folder.files[1], folder.files[1].with_name(name))
    pq.write_table(pa.table({"a": [1]}), folder.files[1].with_name("foreign.parquet"))
    strays = ParquetRows(folder.root).strays("deltas", SESSION)

    assert folder.look() == (list(range(1, 301)), [])
    assert [(Path(stray.path).name, stray.damage) for stray in strays] == [("copy.parquet", True)]


def test_what_compaction_leaves_is_no_damage(folder: Folder) -> None:
    kept(ParquetStore(folder.root), [delta_batch(1, 200)])
    strays = ParquetRows(folder.root).strays("deltas", SESSION)

    assert folder.look() == (list(range(1, 301)), [])
    assert [(Path(stray.path).name, stray.damage) for stray in strays] == [
        (path.name, False) for path in sorted(folder.files[:2])
    ]


def test_frames_that_two_files_hold_come_once(folder: Folder) -> None:
    kept(ParquetStore(folder.root), [delta_batch(150, 320)])
    frames, found = folder.look()

    assert frames == list(range(1, 321))
    assert [damage.why for damage in found] == ["51 rows of frames that the file before it has, too"] * 1


def test_a_damaged_part_is_named_and_left_out(tmp_path: Path) -> None:
    kept(ClickHouseStore(Embedded(tmp_path)), [delta_batch(lo, lo + 99) for lo in (1, 101, 201)])
    (data,) = tmp_path.glob("store/*/*/20261124_2_2_0/data.bin")
    damaged = bytearray(data.read_bytes())
    damaged[len(damaged) // 2] ^= 4
    data.write_bytes(damaged)
    source, found = ClickHouseRows(Embedded(tmp_path)), list[RowDamage]()
    source.open()
    try:
        pieces = list(source.batches("deltas", SESSION, report=found.append))
        checked = [part.name for part, why in source.damaged("deltas", SESSION) if "Checksum" in why]
    finally:
        source.close()

    assert [frame for piece in pieces for frame in piece["frame"].to_pylist()] == [*range(1, 101), *range(201, 301)]
    assert [damage[:3] for damage in found] == [("deltas, part 20261124_2_2_0", 101, 200)]
    assert checked == ["20261124_2_2_0"]
