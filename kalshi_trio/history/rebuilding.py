"""`rebuild`: a session's rows made again from its journal, for the configured sinks."""

from __future__ import annotations

from kalshi_trio.history.commands import sealed
from kalshi_trio.history.workshop import held, store, work
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.observe.terminal import Terminal
from kalshi_trio.settings import Settings
from kalshi_trio.startup import Older, make_sinks


async def rebuild(settings: Settings, console: Terminal, name: str) -> Manifest:
    """Stores a session's rows in the configured sinks: what each lacks of them. Raises UsageError, Stopped."""
    settings = settings.anchored()
    folder, manifest = sealed(settings, name)
    with held(settings, console):
        async with work(f"Rebuild of {manifest.name}") as session:
            last = manifest.segments[-1].frames[1] if manifest.segments else 0
            await store(Older(folder, manifest.session, last), make_sinks(settings), session, console)
    return manifest
