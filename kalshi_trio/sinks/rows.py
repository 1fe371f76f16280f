"""The reading side of a sink: the rows that it holds of one session, as Arrow, for digests, exports and comparisons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import pyarrow as pa

from kalshi_trio.errors import RowsDamaged

NEVER = (1 << 64) - 1
"""Behind every frame."""


class RowDamage(NamedTuple):
    """Rows that are not what was written, or stand where they must not: of frames `first` to `last`, 0 if not known."""

    where: str
    first: int
    last: int
    why: str


Report = Callable[[RowDamage], None]


def raise_damage(damage: RowDamage) -> None:
    """The report of whoever did not ask for one: RowsDamaged."""
    raise RowsDamaged(f"{damage.where}: frames {damage.first}-{damage.last}: {damage.why}")


class RowSource(Protocol):
    """Reads rows back. All calls block and come one at a time."""

    name: str
    """As in log lines: `Parquet`, `ClickHouse`."""

    def open(self) -> None:
        """Connects; nothing is made or changed. Raises InUse, SinkUnavailable, SinkRefused or FolderNotWritable."""

    def batches(
        self, table: str, session: str, after: int = 0, through: int = NEVER, report: Report = raise_damage
    ) -> Iterator[pa.Table]:
        """Rows of frames behind `after` and up to `through`, by (frame, row), columns and types as in ROW_SCHEMAS.

        Whole frames in pieces of some ten thousand rows; `session` and `date` are left out. Rows that cannot be read, or
        must not be believed, are reported and left out: without `report` they raise RowsDamaged. A row that stands twice
        in one file or part comes twice.
        """

    def close(self) -> None:
        """Ends what is open; nothing more may be called."""
