"""The report on a terminal, in colours and frames, or line by line where nobody looks."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kalshi_trio.history.verify.findings import Report
from kalshi_trio.history.verify.sections import Section, findings, head, last_lines, of_session
from kalshi_trio.log_lines import escape

_STYLES = {"damage": "bold red", "gap": "yellow", "pending": "cyan", "DIFFERS": "bold red"}
_TIMELINE = {"█": "green", "▓": "yellow", "░": "red", "·": "red"}


def show(report: Report, console: Console) -> None:
    """Prints all of it."""
    for one in report.sessions:
        console.print(Text(head(one), "bold"), soft_wrap=True)
        for section in of_session(one):
            _print(section, console)
    if report.findings:
        _print(findings(report.findings), console)
    for line in last_lines(report):
        style = "bold red" if "DAMAGED" in line else "green" if line.endswith(": clean") else "yellow"
        console.print(Text(escape(line), style), soft_wrap=True)


def _print(section: Section, console: Console) -> None:
    more = f"… {section.left} more: --json has all"
    if not console.is_terminal:
        for line in section.lines:
            told = [f"{name} {cell}" for name, cell in zip(section.columns[1:], line[1:], strict=True) if cell != "-"]
            console.print(Text(escape(f"{section.title}: {line[0]}: {'; '.join(told)}")), soft_wrap=True)
        if section.left:
            console.print(Text(f"{section.title}: {more}"), soft_wrap=True)
        return
    table = Table(title=section.title, title_justify="left", title_style="bold", header_style="cyan", box=None)
    for column in section.columns:
        table.add_column(column, overflow="fold")
    for line in section.lines:
        table.add_row(*(_cell(cell) for cell in line))
    console.print(table)
    if section.left:
        console.print(Text(more, "dim"))


def _cell(cell: str) -> Text:
    if cell and set(cell) <= set(_TIMELINE):
        return Text.assemble(*((letter, _TIMELINE[letter]) for letter in cell))
    wrong = any(f" {kind}" in cell for kind in ("missing", "double", "foreign", "changed")) and cell[:1].isdigit()
    return Text(escape(cell), "bold red" if wrong else _STYLES.get(cell, ""))
