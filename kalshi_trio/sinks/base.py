"""What the writer needs of a sink: blocking calls, all made through one door."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from kalshi_trio.protocol.schema import RowBatch


class Store(Protocol):
    """Stores rows exactly once, given that its rows are its own cursor. Not thread-safe: one call at a time.

    One store serves any number of sessions, one after the other.
    """

    name: str
    """As in log lines: `Parquet`, `ClickHouse`."""

    def open(self) -> None:
        """Connects unless connected, makes missing tables, checks the columns of those that exist; may be repeated.

        Raises SinkUnavailable (try later), SinkRefused (password, permission), InUse, FolderNotWritable or
        ConfigError (a foreign or older table of that name: it is left alone).
        """

    def positions(self, session: str) -> dict[str, int]:
        """For each table the last frame whose rows of `session` it holds, 0 for none.

        Asks the rows themselves, after making sure that no earlier insert of that session still runs.
        """

    def write(self, batch: RowBatch, after: dict[str, int]) -> None:
        """Commits the batch table by table; of each table only rows of frames beyond `after[table]`.

        Of each table the frames up to some point are stored whole, those behind it not at all. Raises SinkUnavailable
        when an answer was lost (ask `positions`, then call again with what it says) or SinkRefused. The caller keeps
        the batch until this returns.
        """

    def count(self, session: str) -> dict[str, int]:
        """For each table the number of rows of `session` that are there: counted now, not remembered.

        Raises SinkUnavailable or SinkRefused.
        """

    def progress(self, session: str, through: int, held: Mapping[str, int] = ...) -> None:
        """Leaves the hint that every table holds `session` up to frame `through`; late is allowed, early never.

        `held`: the last frame with rows of each table, as far as is known.
        """

    def hint(self, session: str, held: Mapping[str, int] | None = None, last: int = ...) -> int:
        """The last hint left by `progress`, 0 for none, or for one that is not believed: see `sinks.hints`.

        `held`: what each table holds now, if that is known; `last`: the journal's last record.
        """

    def remove(self, session: str) -> None:
        """Takes all rows of `session` and its hint out, for good when it returns.

        Raises SinkUnavailable or SinkRefused. Ended anywhere in between, by a kill too, it may be repeated; or the
        session be stored again without: `positions` is true of what is left.
        """

    def interrupt(self) -> None:
        """Ends a call that waits for the network: it raises SinkUnavailable, and so do all later ones until `open`.

        The one method that another thread may call. Work on local disks is left to end by itself.
        """

    def close(self) -> None:
        """Ends what is open; nothing more may be called."""
