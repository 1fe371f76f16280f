"""The live view as a whole: which parts there is room for, on a terminal of any size."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import NamedTuple

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.segment import Segment, Segments
from rich.text import Text

from kalshi_trio.log_lines import escape
from kalshi_trio.observe import views
from kalshi_trio.observe.picture import Picture
from kalshi_trio.observe.view_lines import DIM
from kalshi_trio.observe.views import Lines

LOG_LINES = 5
"""Lines of the terminal that are left to the log above, if there are so many."""
MARKETS = 12
FEW_MARKETS = 2
BOX_FROM = 16
"""Below this height every line is needed for something better than a frame."""
WIDEST = 100


class Part(NamedTuple):
    """A part of the view; of two that do not both fit the one with the lower rank stays. Empty lines part groups."""

    group: int
    rank: int
    lines: Lines


class View:
    """Draws a picture as high and as wide as the terminal allows, and leaves the log its lines."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """What rich calls."""
        whole = self._whole(options)
        yield _plain(console.render(whole, options), options.encoding) if options.ascii_only else whole

    def _whole(self, options: ConsoleOptions) -> RenderableType:
        height = max(options.size.height - LOG_LINES, min(options.size.height, 3))
        width = min(options.max_width, WIDEST)
        if options.size.height < BOX_FROM:
            return Group(*self._lines(width, height, plain=options.ascii_only))
        return Panel(
            Group(*self._lines(width - 4, height - 2, plain=options.ascii_only)),
            box=box.ROUNDED,
            title=Text(escape(f"kalshi_trio {self._picture.stats.session}"), views.HEAD),
            title_align="left",
            border_style=DIM,
            width=width,
        )

    def _lines(self, width: int, height: int, *, plain: bool) -> list[RenderableType]:
        picture = self._picture
        parts = _fitting(
            [
                Part(0, 0, views.connection(picture, width, plain=plain)),
                Part(0, 1, views.rate(picture, width, plain=plain)),
                Part(0, 2, views.progress(picture.progress)),
                Part(0, 3, views.troubles(picture.stats)),
                Part(1, 5, views.counts(picture, width)),
                Part(1, 6, views.drift(picture.stats)),
                Part(2, 4, views.stages(picture, width, plain=plain)),
            ],
            height,
        )
        room = height - sum(len(part.lines) for part in parts)
        gaps = len({part.group for part in parts})
        spaced = room >= gaps + FEW_MARKETS + 1
        most = min(room - gaps * spaced - 1, MARKETS)
        if most > 0:
            parts.append(Part(3, 7, views.markets(picture, width, most)))
        return _spaced(parts) if spaced else [line for part in parts for line in part.lines]


def _fitting(parts: list[Part], height: int) -> list[Part]:
    """Those for which there is room, in the order in which they stand."""
    kept: list[Part] = []
    for part in sorted(parts, key=lambda part: part.rank):
        if len(part.lines) <= height:
            height -= len(part.lines)
            kept.append(part)
    return [part for part in parts if part in kept]


def _spaced(parts: list[Part]) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for _, group in itertools.groupby((part for part in parts if part.lines), key=lambda part: part.group):
        lines += [Text(""), *(line for part in group for line in part.lines)]
    return lines[1:]


def _plain(segments: Iterable[Segment], encoding: str) -> Segments:
    """What the terminal's encoding lacks as question marks: an escape in its place would be longer than its room."""
    return Segments([part._replace(text=part.text.encode(encoding, "replace").decode(encoding)) for part in segments])
