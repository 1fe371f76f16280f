"""A comparison for people: a line for each market, then a sentence for each thing that differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.console import Console

from kalshi_trio.history.diff.found import Difference, MarketFound, Run, SessionFound
from kalshi_trio.observe.figures import plural

SHOWN = 10
"""Sentences a market."""


def show(found: Difference, console: Console) -> None:
    """Prints it."""
    for line in (*_heads(found), *sentences(found)):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _heads(found: Difference) -> Iterator[str]:
    """What is compared, and the figures of each market."""
    for name, one in (("A", found.a), ("B", found.b)):
        yield f"{name}: {_session(one)}"
    if found.start is None:
        yield "They have no time in common."
    else:
        yield f"Both recorded from {found.start} to {found.end} (the exchange's time)."
    for market, both in found.markets.items():
        deltas, trades, books, valid = both.deltas, both.trades, both.books, both.valid_percent
        parts = [
            f"{deltas.both:,} deltas in both, {deltas.only_a:,} only in A, {deltas.only_b:,} only in B",
            f"trades {trades.both:,}, {trades.only_a:,}, {trades.only_b:,}",
            f"{plural(books.compared, 'book')} compared, {books.different:,} differ",
            f"whole {valid['a']:.2f} % of A, {valid['b']:.2f} % of B",
        ]
        yield f"{market}: {'; '.join(parts)}"


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
    own, other = ("A", "B") if run.by == "a" else ("B", "A")
    knows = f"{own} knows: {run.cause}" if run.cause else f"{own} did not notice"
    return f"while {other} was {'whole' if run.other_whole else 'not whole'} ({knows})"


def _between(start: str, end: str) -> str:
    return f"at {start}" if start == end else f"between {start} and {end}"


def _more(number: int) -> str:
    return f" and {number} more" if number > 0 else ""


def _session(one: SessionFound) -> str:
    causes = Counter(gap.cause for gap in one.gaps)
    number = len(one.gaps) + one.more_gaps
    gaps = f"; {plural(number, 'gap')} ({', '.join(f'{n} {cause}' for cause, n in causes.items())})" if number else ""
    return f"{one.name} ({one.source}), {one.started} to {one.ended}, {one.verdict}{gaps}"
