"""The exchange's short answers to commands, and its error codes."""

from __future__ import annotations

import json
from collections.abc import Mapping

ERRORS = {
    1: "Unable to process message",
    2: "Params required",
    3: "Channels required",
    4: "Subscription IDs required",
    5: "Unknown command",
    7: "Unknown subscription ID",
    8: "Unknown channel name",
    10: "Channel error",
    11: "Invalid parameter",
    12: "Exactly one subscription ID is required",
    13: "Unsupported action",
    14: "Market ticker required",
    15: "Action required",
    25: "Subscription buffer overflow",
    26: "Subscription market limit exceeded",
    27: "Too many requests",
}
TERMINAL = (10, 25)
"""After these the subscription is dead."""


def reply(thing: Mapping[str, object]) -> bytes:
    """Compact, with a newline at the end."""
    return json.dumps(thing, separators=(",", ":")).encode() + b"\n"


def error(code: int, number: int = 0, *, sid: int = 0, seq: int = 0, text: str = "") -> bytes:
    """`error`; whatever is 0 is left out."""
    about = {"id": number, "sid": sid, "seq": seq}
    told = {name: value for name, value in about.items() if value}
    return reply({"type": "error", **told, "msg": {"code": code, "msg": text or ERRORS[code]}})


def subscribed(number: int, channel: str, sid: int) -> bytes:
    """`subscribed`, which takes no seq."""
    return reply({"type": "subscribed", "id": number, "msg": {"channel": channel, "sid": sid}})
