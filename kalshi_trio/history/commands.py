"""What the commands over recorded sessions share: how one is run, and the session that it is about."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import msgspec

from kalshi_trio.errors import UsageError
from kalshi_trio.journal.folder import resolve
from kalshi_trio.journal.manifest import Manifest, read_as_it_stands
from kalshi_trio.logging_config import get_logger
from kalshi_trio.observe.terminal import Terminal
from kalshi_trio.run import run_trio
from kalshi_trio.settings import Settings

log = get_logger(__name__)
T = TypeVar("T")
P = ParamSpec("P")


def run(
    command: Callable[Concatenate[Settings, Terminal, P], Awaitable[T]],
    settings: Settings,
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Runs `command(settings, console, …)` under Trio. Raises its UserErrors."""
    return run_trio(partial(command, settings, Terminal(), *args, **kwargs))


def plain(manifest: Manifest) -> object:
    """The manifest as JSON has it."""
    return msgspec.to_builtins(manifest)


def sealed(settings: Settings, name: str) -> tuple[Path, Manifest]:
    """A session that is over: its folder and what it says of itself. Raises UsageError."""
    folder = resolve(settings.data_dir, name)
    manifest, intact = read_as_it_stands(folder)
    if manifest is None or manifest.verdict == "open":
        raise UsageError(f"{folder.name} is being recorded, or died: the next start of the recorder seals it.")
    if not intact:
        log.warning("%s: its manifest was changed after it was written; `verify` says where it is wrong", folder.name)
    return folder, manifest
