"""`chart`: one market over a span of a session, as a picture."""

from __future__ import annotations

from pathlib import Path

from kalshi_trio.history.book.books import SessionBooks
from kalshi_trio.history.charts.chart_data import Chart
from kalshi_trio.history.drawing import check_format
from kalshi_trio.history.times import Clock, Instant, Point, span
from kalshi_trio.history.workshop import all_of, work
from kalshi_trio.journal.folder import resolve
from kalshi_trio.observe.progress import progress
from kalshi_trio.observe.terminal import Terminal
from kalshi_trio.settings import Settings
from kalshi_trio.thread import Door


async def draw(
    settings: Settings,
    console: Terminal,
    market: str,
    points: tuple[Point | None, Point | None],
    name: str,
    clock: Clock,
    path: Path,
) -> None:
    """Draws `market` from one point of the session `name` to another (None: its own first and last) into `path`.

    Raises UsageError, FolderNotWritable, Stopped; then nothing is written.
    """
    check_format(path)
    folder, door = resolve(settings.anchored().data_dir, name), Door()
    async with work(f"Chart of {market}") as session:
        chart, records = await door.run(_begin, folder, market, points, clock)
        with progress("Reading records", records, console) as advance:
            if not await all_of(chart.steps(), session, advance):
                return
        from kalshi_trio.history.charts.chart_picture import draw_chart  # noqa: PLC0415 -- matplotlib takes its time

        await door.run(draw_chart, chart.data(), path)


def _begin(folder: Path, market: str, points: tuple[Point | None, Point | None], clock: Clock) -> tuple[Chart, int]:
    books = SessionBooks(folder)
    first, last = span(folder, books.last, *points, clock)
    return Chart(books, market, (first, last), _times(points, clock)), last - first + 1


def _times(points: tuple[Point | None, Point | None], clock: Clock) -> tuple[int | None, int | None]:
    """Where the axis is to begin and to end, if that was said in times of receipt."""
    start, end = (point.ns if isinstance(point, Instant) and clock == "receive" else None for point in points)
    return start, end
