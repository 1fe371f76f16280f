"""Doing something until something else happens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def until(event: trio.Event, reason: str) -> AsyncIterator[None]:
    """Cancels its block, with `reason`, when `event` is set. Errors leave it in a group, as they leave nurseries."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel, nursery.cancel_scope, event, reason)
        yield
        nursery.cancel_scope.cancel(reason="done")


async def _cancel(scope: trio.CancelScope, event: trio.Event, reason: str) -> None:
    await event.wait()
    scope.cancel(reason=reason)
