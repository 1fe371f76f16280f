"""What the writer needs of a sink: three calls, all blocking, all made through one door."""

from __future__ import annotations

from typing import Protocol

from kalshi_trio.protocol.schema import RowBatch


class Store(Protocol):
    """Stores rows exactly once, given that its rows are its own cursor. Not thread-safe: one call at a time."""

    name: str
    """As in log lines: `Parquet`, `ClickHouse`."""

    def open(self) -> None:
        """Connects, makes missing tables, checks the columns of those that exist.

        Raises SinkUnavailable (try later) or ConfigError (a foreign or older table of that name: it is left alone).
        """

    def positions(self, session: str) -> dict[str, int]:
        """For each table the last frame whose rows of `session` it holds, 0 for none.

        Asks the rows themselves, after making sure that no earlier insert of that session still runs.
        """

    def write(self, batch: RowBatch, after: dict[str, int]) -> None:
        """Commits the batch table by table; of each table only rows of frames beyond `after[table]`.

        A table is stored whole or not at all. Raises SinkUnavailable when an answer was lost (ask `positions`,
        then call again with what it says) or SinkRefused. The caller keeps the batch until this returns.
        """

    def progress(self, session: str, through: int) -> None:
        """Leaves the hint that every table holds `session` up to frame `through`; late is allowed, early never."""

    def hint(self, session: str) -> int:
        """The last hint left by `progress`, 0 for none."""

    def close(self) -> None:
        """Ends what is open; nothing more may be called."""
