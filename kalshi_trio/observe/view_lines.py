"""Lines for the live view: each renderable is one line high, whatever it holds and however narrow it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

DIM = "bright_black"


class Column(NamedTuple):
    """A column of a table; without a width it takes what is left, and stands left."""

    title: str
    width: int | None = None
    right: bool = True


def text(words: str, style: str = "") -> Text:
    """Words as they are (no markup), cut at the line's end."""
    return Text(words, style or "default", no_wrap=True, overflow="ellipsis")


def ends(left: Text, right: Text) -> Table:
    """One text at the left end of the line, one at the right."""
    line = Table.grid(expand=True, padding=(0, 1))
    line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    line.add_column(justify="right", no_wrap=True)
    line.add_row(left, right)
    return line


def flow(items: Iterable[tuple[str, str, str]], width: int) -> list[Text]:
    """Names, values and their styles one after the other, in as many lines as they need."""
    lines: list[Text] = []
    for name, value, style in items:
        item = text(f"{name} ", DIM).append(value, style or "default")
        if not lines or lines[-1].cell_len + item.cell_len + 3 > width:
            lines.append(item)
        else:
            lines[-1].append("   ").append(item)
    return lines


def table(columns: Sequence[Column], rows: Iterable[Sequence[Text]]) -> list[Table]:
    """The columns' titles and the rows, a line each."""
    return [_row(columns, row) for row in ([text(column.title, DIM) for column in columns], *rows)]


def _row(columns: Sequence[Column], row: Sequence[Text]) -> Table:
    line = Table.grid(expand=True, padding=(0, 2, 0, 0))
    for column in columns:
        line.add_column(
            width=column.width,
            ratio=None if column.width else 1,
            justify="right" if column.width and column.right else "left",
            no_wrap=True,
            overflow="ellipsis",
        )
    line.add_row(*row)
    return line
