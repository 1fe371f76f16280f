"""`diff`: two sessions of the same markets, held against each other."""

from __future__ import annotations

from kalshi_trio.history.commands import sealed
from kalshi_trio.history.diff.compare import Comparison
from kalshi_trio.history.diff.found import Difference
from kalshi_trio.history.diff.telling import Telling
from kalshi_trio.history.workshop import all_of, logged, work
from kalshi_trio.observe.progress import progress
from kalshi_trio.observe.terminal import Terminal
from kalshi_trio.settings import Settings


async def diff(settings: Settings, console: Terminal, a: str, b: str) -> Difference:
    """How sessions `a` and `b` differ. Raises UsageError, Stopped."""
    settings = settings.anchored()
    pair = [sealed(settings, name) for name in (a, b)]
    with logged(settings, console):
        async with work(f"Diff of {' and '.join(manifest.name for _, manifest in pair)}") as session:
            comparison = Comparison(*(Telling(folder, manifest) for folder, manifest in pair))
            total = sum(segment.frames[1] - segment.frames[0] + 1 for _, one in pair for segment in one.segments)
            with progress("Comparing records", total, console) as advance:
                await all_of(comparison.steps(), session, advance)
    return comparison.found
