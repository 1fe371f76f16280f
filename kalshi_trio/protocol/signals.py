"""What the builder tells others beside rows: lines for the log, and facts that the subscriber acts on.

None of it changes a row: a replay drops the facts, and its rows are the same.
"""

from __future__ import annotations

from typing import NamedTuple

INFO, WARNING, ERROR = 20, 30, 40
"""Levels of `logging`, which nothing in here imports."""


class Notice(NamedTuple):
    """A line for the log; `level` as in `logging`."""

    level: int
    text: str


class Replied(NamedTuple):
    """The exchange answered one of our own commands (ids from 1,000,001); one command may get several."""

    connection: int
    id: int
    kind: str
    """`subscribed`, `ok`, `error`, `unsubscribed`, or `orderbook_snapshot` (the answer to get_snapshot)."""
    sid: int
    """0 where the reply names none."""
    channel: str
    """Empty where the reply names none."""
    code: int
    """The error's code, else 0."""
    text: str
    markets: tuple[str, ...]


class BooksLost(NamedTuple):
    """These markets' books cannot be trusted until a new snapshot: ask for one."""

    connection: int
    sid: int
    markets: tuple[str, ...]
    cause: str
    turned: bool = False
    """Crossed since its snapshot, and would not be if the NO side's prices were those of YES."""


class BookWhole(NamedTuple):
    """A snapshot made this market's book whole."""

    connection: int
    sid: int
    market: str


class SubscriptionLost(NamedTuple):
    """A terminal error (codes 10 and 25), or an end that nobody asked for (code 0): subscribe to this channel again."""

    connection: int
    sid: int
    channel: str
    code: int


Signal = Replied | BooksLost | BookWhole | SubscriptionLost
