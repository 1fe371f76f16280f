"""`verify` and ClickHouse: rows missing, doubled, changed, parts damaged; a database that somebody else holds."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from verify_help import checked, damage, flip, only, recorded, records

from kalshi_trio.sinks.clickhouse import Embedded

UNCHECKED = "metadata_version.txt"
"""One byte that ClickHouse itself puts under no checksum, and that changes no row."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean session of four segments, a part each in ClickHouse."""
    data = tmp_path_factory.mktemp("template") / "data"
    recorded(data, records(), clickhouse=True)
    return data


@pytest.fixture
def data(template: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(template, tmp_path / "data", symlinks=True))


def change(data: Path, *commands: str) -> None:
    place = Embedded(data / "clickhouse")
    try:
        client: Client = place.connect()
        for command in commands:
            client.command(command)
    finally:
        place.close()


def test_three_digests_are_one(data: Path) -> None:
    found = checked(data, clickhouse=True)

    assert (found.exit_code, found.not_checked, only(found).findings) == (0, [], [])
    assert {"deltas", "snapshots", "trades", "top_of_book", "sessions"} <= set(only(found).tables)
    for table in only(found).tables.values():
        sinks = {held.digest for held in table.sinks.values()}
        assert {table.sealed, table.journal, *sinks} == {table.sealed}
        assert len(table.sinks) == 2


@pytest.mark.parametrize(
    ("commands", "what", "frames"),
    [
        (
            ["DELETE FROM kalshi.deltas WHERE frame BETWEEN 500 AND 520"],
            "rows missing: {}, first in segment 2",
            (500, 520),
        ),
        (
            ["INSERT INTO kalshi.deltas SELECT * FROM kalshi.deltas WHERE frame BETWEEN 900 AND 910"],
            "rows that stand twice: {}, first in segment 3",
            (900, 910),
        ),
        (
            [
                (
                    "INSERT INTO kalshi.deltas SELECT * REPLACE (toDecimal64(1, 2) AS size) FROM kalshi.deltas "
                    "WHERE frame BETWEEN 700 AND 720"
                ),
                "DELETE FROM kalshi.deltas WHERE frame BETWEEN 700 AND 720 AND size != 1",
            ],
            "rows with other values: {}, first in segment 2 (size)",
            (700, 720),
        ),
        (
            ["INSERT INTO kalshi.deltas SELECT * REPLACE (frame + 5000 AS frame) FROM kalshi.deltas WHERE seq < 12"],
            "rows that the journal does not make: {}",
            (5000, 5020),
        ),
    ],
)
def test_rows_that_differ_are_counted_and_named(
    data: Path, commands: list[str], what: str, frames: tuple[int, int]
) -> None:
    change(data, *commands)
    (found,) = damage(checked(data, clickhouse=True))

    count = int(re.findall(r": (\d+)", found.what)[0])
    assert (found.place, found.where, found.what.partition(";")[0]) == ("ClickHouse", "deltas", what.format(count))
    assert ("an end that they were made of is missing there" in found.what) == (frames[0] == 5000)
    assert found.frames is not None
    assert frames[0] <= found.frames[0] <= found.frames[1] <= frames[1]
    assert 0 < count <= frames[1] - frames[0] + 1


def parts(data: Path, table: str) -> Iterator[Path]:
    """The files of one part of a table."""
    place = Embedded(data / "clickhouse")
    try:
        asked = "SELECT path FROM system.parts WHERE database = 'kalshi' AND table = {table:String} AND active ORDER BY name"
        rows = place.connect().query(asked, parameters={"table": table}).result_rows
    finally:
        place.close()
    yield from sorted(path for path in Path(rows[1][0]).iterdir() if path.name != UNCHECKED)


def test_a_flipped_bit_anywhere_in_a_part_is_found(data: Path, tmp_path: Path) -> None:
    random_ = random.Random(3)  # noqa: S311 -- a seed: seen again
    for number, path in enumerate(list(parts(data, "deltas"))):
        copy = Path(shutil.copytree(data, tmp_path / f"copy{number}", symlinks=True))
        at = random_.randrange(path.stat().st_size)
        flip(copy / path.relative_to(data), at)
        found = checked(copy, clickhouse=True)
        set_aside = [one.where for one in found.findings]
        named = {one.where for one in damage(found)}

        assert found.exit_code == 4, (path.name, at)
        assert named <= {"deltas", f"deltas, part {path.parent.name}"}, (path.name, at)
        assert f"deltas, part {path.parent.name}" in named or set_aside == [
            f"deltas, part broken-on-start_{path.parent.name}"
        ], (path.name, at)
        shutil.rmtree(copy)


def test_a_part_that_is_gone_is_missing_rows(data: Path) -> None:
    first = next(parts(data, "deltas"))
    shutil.rmtree(first.parent)
    (found,) = damage(checked(data, clickhouse=True))

    assert re.fullmatch(r"rows missing: \d+, first in segment 2", found.what)


def test_a_database_that_a_recorder_holds_is_not_checked(data: Path) -> None:
    found = checked(data, clickhouse=True, pid=4711)

    assert found.exit_code == 0
    assert [(one.place, one.pid) for one in found.not_checked] == [("ClickHouse", 4711)]
    assert set(only(found).tables["deltas"].sinks) == {"Parquet"}


def test_a_database_that_another_program_holds_is_not_checked(data: Path) -> None:
    place = Embedded(data / "clickhouse")
    place.connect()
    try:
        found = checked(data, clickhouse=True)
    finally:
        place.close()

    assert found.exit_code == 0
    assert [one.place for one in found.not_checked] == ["ClickHouse"]
    assert "has this embedded ClickHouse open" in found.not_checked[0].why


def test_a_folder_without_a_database_is_left_without_one(data: Path) -> None:
    shutil.rmtree(data / "clickhouse")
    found = checked(data, clickhouse=True)

    assert not (data / "clickhouse").exists()
    assert set(only(found).tables["deltas"].sinks) == {"Parquet"}


def test_other_sessions_of_the_same_tables_do_not_matter(data: Path) -> None:
    change(data, "INSERT INTO kalshi.deltas SELECT * REPLACE ('other' AS session) FROM kalshi.deltas")

    assert checked(data, clickhouse=True).exit_code == 0
