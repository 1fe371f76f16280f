"""Lines that a recorder writes about itself: where a connection begins or ends, or what nobody needs to know."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

_NAMES = ("event", "type", "kind")
_STATES = ("state", "status", "action")
SAYING = (*_NAMES, *_STATES)
"""Keys in which such a line says what happened: the first that says something known counts."""
_SPLIT = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")
_AROUND = frozenset(
    (
        *(
            "ws",
            "websocket",
            "wss",
            "socket",
            "connection",
            "conn",
            "kalshi",
            "feed",
            "client",
            "stream",
            "event",
            "marker",
        ),
        *("status", "state", "on", "is", "was"),
    )
)
"""Words beside which the word stands that says it: `ws_open`, `onClose`, `connection_lost`."""
_BEGINS = ("connected", "connect", "open", "opened", "established", "reconnected", "up")
_ENDS = (
    *(
        "disconnected",
        "disconnect",
        "close",
        "closed",
        "lost",
        "dropped",
        "reconnect",
        "reconnecting",
        "down",
        "offline",
    ),
    *("eof", "terminated", "aborted"),
)
_NOTHING = (
    *(
        "heartbeat",
        "ping",
        "pong",
        "keepalive",
        "idle",
        "timeout",
        "connecting",
        "closing",
        "handshake",
        "error",
        "warning",
    ),
    *(
        "auth",
        "authenticated",
        "login",
        "subscribe",
        "subscribing",
        "resubscribe",
        "unsubscribe",
        "info",
        "log",
        "stats",
    ),
    *("start", "started", "stop", "stopped", "header", "meta", "metadata", "rotate", "rotated", "rotation"),
    *(f"session_{word}" for word in ("start", "begin", "end", "stop", "header")),
    *(f"{who}_{word}" for who in ("recording", "recorder") for word in ("start", "started", "stop", "stopped", "end")),
)
_EVENTS = {
    **dict.fromkeys(_BEGINS, "connected"),
    **dict.fromkeys(_ENDS, "disconnected"),
    **{name: name for name in ("session_started", "session_ended")},
    **dict.fromkeys(_NOTHING, ""),
}


def marked(said: Mapping[str, str]) -> str | None:
    """What a line with these words says: an event of a connection; empty: nothing of one; None: nobody knows.

    A state counts only where the line is about a connection: a market may be open or closed, too.
    """
    known: str | None = None
    for key in _NAMES:
        found = _event(said[key]) if key in said else None
        if found:
            return found
        known = found if known is None else known
    if any(_words(said[key]) and not _telling(said[key]) for key in _NAMES if key in said):
        return next((found for key in _STATES if key in said and (found := _event(said[key]))), known or "")
    return known


def _words(text: str) -> list[str]:
    return [part.lower() for part in _SPLIT.findall(text)]


def _telling(text: str) -> list[str]:
    return [word for word in _words(text) if word not in _AROUND]


@functools.lru_cache(maxsize=1_000)
def _event(text: str) -> str | None:
    for some in (_words(text), _telling(text)):
        found = _EVENTS.get("_".join(some))
        if found is not None:
            return found
    return None
