"""The settings in force, for people: a table on a terminal, a line each elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text


def show_settings(shown: Mapping[str, object], origin: Mapping[str, str], console: Console) -> None:
    """Prints every setting with where it came from; those that somebody set stand out. `shown` has no secrets."""
    rows = [(name.upper(), _text(value), origin[name]) for name, value in shown.items()]
    if not console.is_terminal:
        for name, value, source in rows:
            console.out(f"{name:24} {value:40} {source}".rstrip(), highlight=False)
        return
    table = Table("setting", "value", "from", title="Settings in force")
    for name, value, source in rows:
        style = "dim" if source == "default" else "bold"
        table.add_row(*(Text(cell, style, overflow="fold") for cell in (name, value, source)))
    console.print(table)


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else str(value)
