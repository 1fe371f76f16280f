"""`rebuild`: a session's rows made again from its journal, for the configured sinks."""

from __future__ import annotations

import time
from pathlib import Path

import trio

from kalshi_trio.history.commands import sealed
from kalshi_trio.history.replay.replay_sinks import close_all, open_all, remove_all
from kalshi_trio.history.replay.retelling import Replayed, story_of, tell
from kalshi_trio.history.workshop import held, report, work
from kalshi_trio.journal import manifest as manifests
from kalshi_trio.journal.folder import sessions
from kalshi_trio.observe.terminal import Terminal
from kalshi_trio.settings import Settings
from kalshi_trio.startup import Older, make_sinks
from kalshi_trio.tasks.writer import ask_rows
from kalshi_trio.thread import Door


async def rebuild(settings: Settings, console: Terminal, name: str, *, replace: bool = False) -> Replayed:
    """Stores a session's rows in the configured sinks: those behind the last that each holds; with `replace` all, anew.

    Raises UsageError, ConfigError, NotReachable, and Stopped: the next time, or the recorder's next start, goes on there.
    """
    settings = settings.anchored()
    folder, manifest = sealed(settings, name)
    story = story_of(folder, manifest)
    older = Older(folder, manifest.session, story.choice.last)
    with held(settings, console):
        began = time.monotonic()
        newest = await Door().run(_newest, settings.data_dir)
        sinks = make_sinks(settings, lambda session: session == newest)
        async with work(f"Rebuild of {manifest.name}") as session:
            try:
                await open_all(sinks)
                if replace:
                    # Said before it is true: whoever comes after a kill looks at the sinks themselves.
                    await Door().run(report, older, sinks)
                    await remove_all(sinks, manifest.session, session)
                proofs = [] if session.stopping.is_set() else await tell(story, sinks, session, console)
            finally:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
                    await ask_rows(sinks, manifest.session)
                with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
                    await close_all(sinks)
                    await Door().run(report, older, sinks)
    return Replayed(story, proofs, time.monotonic() - began)


def _newest(data: Path) -> str:
    """The session that `latest_levels` is about: an older one must not look like it."""
    for folder in reversed(sessions(data)):
        manifest = manifests.read(folder)
        if manifest is not None and manifest.source in {"live", "demo"}:
            return manifest.session
    return ""
