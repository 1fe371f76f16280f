"""The live view: on a terminal a picture of the session below the log's lines, elsewhere nothing.

Without a terminal the log's own lines (`INFO     | …`) are all there is.
"""

from __future__ import annotations

from typing import Protocol

import trio
from rich.console import RenderableType

from kalshi_trio.observe.layout import View
from kalshi_trio.observe.meter import Meter
from kalshi_trio.observe.picture import Bound, take_picture
from kalshi_trio.observe.screen import Screen
from kalshi_trio.observe.stats import Stats
from kalshi_trio.observe.terminal import Terminal

REFRESH_SECONDS = 0.25


class Shows(Protocol):
    """What a `Screen` does."""

    def show(self, picture: RenderableType) -> None:
        """Replaces what is shown; must not wait."""

    def close(self) -> None:
        """Takes it away."""


def terminal() -> Terminal:
    """The console on standard error that the log and the live view share."""
    return Terminal()


async def live_view(
    stats: Stats,
    *,
    console: Terminal,
    stopping: trio.Event,
    bound: Bound | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Shows `stats` four times a second until cancelled; returns at once where nobody looks at `console`.

    `bound` says where the recording ends by itself: a bar shows how far it is. Whatever the terminal does, nobody waits
    for it but its own thread; cancelling waits a second at most for that to clear the picture.
    """
    task_status.started()
    await trio.lowlevel.checkpoint()
    if console.watched:
        await keep_showing(Screen(console), stats, stopping, bound)


async def keep_showing(screen: Shows, stats: Stats, stopping: trio.Event, bound: Bound | None) -> None:
    """What `live_view` does on a terminal."""
    began = trio.current_time()
    meter = Meter(stats, began)
    try:
        while True:
            now = trio.current_time()
            meter.take(now)
            screen.show(View(take_picture(stats, meter, now - began, stopping=stopping.is_set(), bound=bound)))
            await trio.sleep(REFRESH_SECONDS)
    finally:
        screen.close()
