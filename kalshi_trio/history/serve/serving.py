"""`replay --serve`: a recorded session over a real websocket, for any Kalshi client that is developed against the past."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import trio

from kalshi_trio.errors import UsageError
from kalshi_trio.exchange.past import Past, era_of
from kalshi_trio.exchange.rules import Rules
from kalshi_trio.exchange.server import Exchange, serve_tcp
from kalshi_trio.fold import feed
from kalshi_trio.history.replay.choice import Choice
from kalshi_trio.history.replay.pacing import Pace
from kalshi_trio.history.replay.replaying import Wish, choice_of, found
from kalshi_trio.history.serve.past_show import PastShow
from kalshi_trio.history.workshop import logged, work
from kalshi_trio.journal import checkpoints
from kalshi_trio.journal.batches import Damage
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.journal.reading import read_around, read_session
from kalshi_trio.logging_config import get_logger
from kalshi_trio.observe.progress import progress
from kalshi_trio.observe.terminal import Terminal
from kalshi_trio.protocol.builder import Builder
from kalshi_trio.settings import Settings
from kalshi_trio.thread import Door

log = get_logger(__name__)

FREE = "Any key and any signature will do: none is checked."


@dataclass
class Served:
    """What was served."""

    choice: Choice
    exchange: Exchange
    show: PastShow
    past: Past


def address(text: str) -> tuple[str, int]:
    """`HOST:PORT`; `:PORT` is loopback, port 0 takes a free one. Raises UsageError."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65_535:
        raise UsageError(f"--serve {text}: write HOST:PORT, e.g. 127.0.0.1:8765.")
    return host.strip("[]") or "127.0.0.1", int(port)


async def serve(
    settings: Settings,
    console: Terminal,
    what: str,
    wish: Wish,
    where: tuple[str, int],
    *,
    task_status: trio.TaskStatus[tuple[str, Served]] = trio.TASK_STATUS_IGNORED,
) -> Served:
    """Serves a session (a foreign recording is imported first) until a signal comes; prints where.

    Raises UsageError, InUse.
    """
    settings = settings.anchored()
    folder, manifest = await found(settings, console, what)
    with ExitStack() as stack:
        stack.enter_context(logged(settings, console))
        async with work(f"Serving {manifest.name}", endless=True) as session:
            choice = await Door().run(choice_of, folder, manifest, wish)
            past, rules = await Door().run(_begin, folder, manifest, choice)
            show = PastShow(past, rules)
            exchange = Exchange(show)
            served = Served(choice, exchange, show, past)
            url = await session.start(session.nursery, "exchange", partial(serve_tcp, exchange, *where))
            click.echo(f"export KALSHI_WS_URL={url}")
            log.info("Serving %s from #%d to #%d at %s. %s", manifest.name, choice.first, choice.last, url, FREE)
            session.start_soon(session.nursery, "playhead", _play, served, folder, wish.speed, console)
            task_status.started((url, served))
            await session.stopping.wait()
            session.nursery.cancel_scope.cancel(reason=session.stop_reason)
    log.info("Served %d frames to %d connections", exchange.sent, exchange.connections)
    return served


def _begin(folder: Path, manifest: Manifest, choice: Choice) -> tuple[Past, Rules]:
    """Blocking: the books as they stand before the choice, and how the recording's frames look."""
    near = checkpoints.nearest(folder, choice.first - 1)
    builder = Builder(manifest.session, near.blob if near else None)
    for some in read_around(folder, builder.state.frame, choice.first - 1):
        feed(builder, some)
        builder.take()
        builder.told()
    return Past(builder, choice.markets), _rules(folder, choice)


def _rules(folder: Path, choice: Choice) -> Rules:
    for frames in read_session(folder, choice.first - 1, choice.last, _passed_over):
        for run in frames.records:
            for data in run.data if run.kind == "frame" else ():
                if era := era_of(data):
                    return Rules(era=era)
    return Rules()


async def _play(served: Served, folder: Path, speed: float | None, console: Terminal) -> None:
    choice = served.choice
    records = read_around(folder, choice.first - 1, choice.last)
    with progress("Played", choice.records, console) as advance:
        await served.show.run(records, Pace(speed), lambda frame: advance(choice.done(frame)))
    if served.past.left_out:
        log.warning("%d frames that nobody can read were left out", served.past.left_out)
    log.info("The recording is over at #%d; clients are still answered. Ctrl-C ends it.", choice.last)


def _passed_over(_damage: Damage) -> None:
    """The playhead says it when it gets there."""
