"""Some questions to what was just stored, each with the words in which anybody can ask it again."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.dataset as ds
from clickhouse_connect.driver.client import Client
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kalshi_trio.log_lines import escape

BUSIEST = """\
import pyarrow.dataset as ds
deltas = ds.dataset({folder!r}, partitioning="hive")
mine = ds.field("session") == {session!r}
rows = deltas.to_table(columns=["market", "ts_recv"], filter=mine)
counts = rows.group_by("market").aggregate(
    [("ts_recv", "count"), ("ts_recv", "min"), ("ts_recv", "max")])
order = [("ts_recv_count", "descending"), ("market", "ascending")]
counts.sort_by(order).slice(0, 10)"""

TOPS = """\
SELECT market, ts_event, bid, bid_size, ask, ask_size
FROM {database}.top_of_book
WHERE session = '{session}' AND valid
ORDER BY market, frame DESC, row DESC
LIMIT 1 BY market
LIMIT 10"""

BOOK = """\
SELECT market, book_side, yes_price, size
FROM (
    SELECT market, book_side, yes_price, size
    FROM {database}.latest_book
    WHERE market = (
        SELECT market FROM {database}.deltas
        WHERE session = '{session}'
            AND market IN (SELECT market FROM {database}.latest_book)
        GROUP BY market ORDER BY count() DESC, market LIMIT 1
    )
    ORDER BY book_side, if(book_side = 'bid', -yes_price, yes_price)
    LIMIT 3 BY book_side
)
ORDER BY yes_price DESC"""


class Answer(NamedTuple):
    """A question, the code or SQL that asks it, and what came back."""

    question: str
    asked: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


def ask_parquet(folder: Path, session: str) -> list[Answer]:
    """Blocking: the questions to the tables under `folder` (PARQUET_DIR); none where there are no deltas."""
    if not (folder / "deltas").is_dir():
        return []
    asked = BUSIEST.format(folder=str(folder / "deltas"), session=session)
    deltas = ds.dataset(str(folder / "deltas"), partitioning="hive")
    rows = deltas.to_table(columns=["market", "ts_recv"], filter=ds.field("session") == session)
    counts = rows.group_by("market").aggregate([("ts_recv", "count"), ("ts_recv", "min"), ("ts_recv", "max")])
    found = counts.sort_by([("ts_recv_count", "descending"), ("market", "ascending")]).slice(0, 10)
    return [Answer("Parquet: which markets moved most, from when to when?", asked, found.column_names, _rows(found))]


def ask_clickhouse(client: Client, database: str, session: str) -> list[Answer]:
    """Blocking: the questions to ClickHouse, through any client of clickhouse-connect."""
    answers = []
    for question, form in (
        ("ClickHouse: what were the last best prices?", TOPS),
        ("ClickHouse: what does the busiest book look like now, three levels a side?", BOOK),
    ):
        asked = form.format(database=database, session=session)
        found = client.query(asked)
        answers.append(Answer(question, asked, found.column_names, list(found.result_rows)))
    return answers


def show(answers: Iterable[Answer], console: Console) -> None:
    """Question, code or SQL, result."""
    for answer in answers:
        console.print(Text(answer.question, "bold"))
        console.print()
        for line in answer.asked.splitlines():
            console.print(Text(f"    {line}", "cyan"), soft_wrap=True)
        console.print()
        console.print(_table(answer))
        console.print()


def _rows(table: pa.Table) -> list[tuple[object, ...]]:
    return list(
        zip(
            *(table[name].cast(_shown_as(table[name].type), safe=False).to_pylist() for name in table.column_names),
            strict=True,
        )
    )


def _shown_as(kind: pa.DataType) -> pa.DataType:
    """Python has no nanoseconds without pandas."""
    return pa.timestamp("us", tz=kind.tz) if pa.types.is_timestamp(kind) else kind


def _table(answer: Answer) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="cyan")
    numbers = [all(isinstance(row[i], int | Decimal | None) for row in answer.rows) for i in range(len(answer.columns))]
    for name, number in zip(answer.columns, numbers, strict=True):
        table.add_column(name, justify="right" if number else "left", overflow="ellipsis", no_wrap=True)
    for row in answer.rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    return table


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime.datetime):
        return f"{value:%H:%M:%S.%f}"[:-3]
    return f"{value:,}" if isinstance(value, int) else escape(str(value))
