"""A comparison for people: a table of the markets, then a sentence for each thing that differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from kalshi_trio.history.diff.found import Difference, MarketFound, Run, SessionFound, Tally
from kalshi_trio.observe.figures import plural

SHOWN = 10
"""Sentences a market."""


def show(found: Difference, console: Console) -> None:
    """Prints it."""
    for name, one in (("A", found.a), ("B", found.b)):
        console.print(f"{name}: {_session(one)}", highlight=False, soft_wrap=True)
    if found.start is None:
        console.print("They have no time in common.", highlight=False)
    else:
        console.print(f"Both recorded from {found.start} to {found.end} (the exchange's time).", highlight=False)
    if found.markets:
        console.print(_table(found))
    for line in sentences(found):
        console.print(line, highlight=False, soft_wrap=True)


def sentences(found: Difference) -> Iterator[str]:
    """What differs, in words; the last one is the verdict."""
    for name, one in (("A", found.a), ("B", found.b)):
        if one.only_here:
            yield f"Only {name} recorded {', '.join(one.only_here[:SHOWN])}{_more(len(one.only_here) - SHOWN)}."
    for market, both in found.markets.items():
        lines = list(_differences(market, both))
        yield from lines[:SHOWN]
        if len(lines) + both.more_runs > SHOWN:
            yield f"{market}: {len(lines) + both.more_runs - SHOWN} more of this kind (--json has them)."
    yield "The same." if found.same else "They differ."


def _differences(market: str, found: MarketFound) -> Iterator[str]:
    for run in found.runs:
        what = f"{plural(run.changes, 'delta')} of {market} {_between(run.start, run.end)}"
        yield f"{run.by.upper()} missed {what} {_state(run)}."
    for name, trades in (("A", found.trades.only_b), ("B", found.trades.only_a)):
        if trades:
            yield f"{name} missed {plural(trades, 'trade')} of {market}."
    for stretch in found.books.stretches:
        where = _between(stretch.start, stretch.end)
        yield f"The books of {market} differ after {plural(stretch.instants, 'instant')} {where}, both said to be whole."


def _state(run: Run) -> str:
    other = "B" if run.by == "a" else "A"
    return f"while {other} was {_whole(run.other_whole)}; it calls itself {_whole(run.whole)} there"


def _whole(whole: bool) -> str:  # noqa: FBT001 -- as it is in the run
    return "whole" if whole else "not whole"


def _between(start: str, end: str) -> str:
    return f"at {start}" if start == end else f"between {start} and {end}"


def _more(number: int) -> str:
    return f" and {number} more" if number > 0 else ""


def _session(one: SessionFound) -> str:
    causes = Counter(gap.cause for gap in one.gaps)
    number = len(one.gaps) + one.more_gaps
    gaps = f"; {plural(number, 'gap')} ({', '.join(f'{n} {cause}' for cause, n in causes.items())})" if number else ""
    return f"{one.name} ({one.source}), {one.started} to {one.ended}, {one.verdict}{gaps}"


def _table(found: Difference) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="cyan")
    table.add_column("market", no_wrap=True)
    names = ("deltas in both", "only A", "only B", "trades in both", "only A", "only B", "books compared", "different")
    for name in (*names, "A valid", "B valid"):
        table.add_column(name, justify="right")
    for market, one in found.markets.items():
        numbers = [*_three(one.deltas), *_three(one.trades), one.books.compared, one.books.different]
        percents = [f"{one.valid_percent[side]:.2f} %" for side in "ab"]
        table.add_row(market, *(f"{number:,}" for number in numbers), *percents)
    return table


def _three(tally: Tally) -> tuple[int, int, int]:
    return tally.both, tally.only_a, tally.only_b
