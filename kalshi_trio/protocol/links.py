"""Where the feed and the subscriber meet: what each tells the other, through bounded channels.

Every item names its connection, so that what was meant for one that is gone is recognised and dropped.
"""

from __future__ import annotations

from typing import NamedTuple


class Up(NamedTuple):
    """This connection is open and has no subscription yet."""

    connection: int


class Down(NamedTuple):
    """This connection is over, and all its subscriptions with it."""

    connection: int


class Command(NamedTuple):
    """A text to send on this connection."""

    connection: int
    id: int
    text: str


class HangUp(NamedTuple):
    """Only a new connection can help: end this one."""

    connection: int
    reason: str


Link = Up | Down
Order = Command | HangUp
