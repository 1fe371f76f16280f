"""A session's rows made again from its journal, wholly or by choice: for replays, and for sinks that fell behind one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kalshi_trio.fold import Fold
from kalshi_trio.history.replay.choice import Choice
from kalshi_trio.journal import checkpoints
from kalshi_trio.journal.digest import Digests, session_digest
from kalshi_trio.journal.manifest import Manifest, Rows
from kalshi_trio.journal.reading import Hole, read_around
from kalshi_trio.journal.window import Frames
from kalshi_trio.protocol.builder import SegmentEnd
from kalshi_trio.protocol.schema import RowBatch
from kalshi_trio.rebuild import Rebuild


class Refold:
    """Blocking: a choice's records in order, and the rows that they make, with the digests of their tables.

    It begins at the checkpoint before the choice. The first batch covers all records before the choice too, which have
    no rows in it: so every sink finds what follows frame 0.
    """

    def __init__(self, folder: Path, manifest: Manifest, choice: Choice, session: str) -> None:
        self._choice, self._session = choice, session
        near = checkpoints.nearest(folder, choice.first - 1)
        self._fold = Fold(manifest.session, self._over, near.blob if near else None, choice.rows)
        self._found: Iterator[Frames | Hole] = read_around(folder, self.frame, choice.last)
        self._digests: dict[str, list[str]] = {}
        self._made: dict[str, int] = {}
        self._lo = 1

    @property
    def frame(self) -> int:
        """The last record that was taken."""
        return self._fold.builder.state.frame

    def read(self) -> Frames | Hole | None:
        """The next records; None behind the last."""
        return next(self._found, None)

    def rows(self, found: Frames | Hole) -> list[RowBatch]:
        """The rows of these records, in batches that cover all records up to them."""
        done = []
        for batch in self._fold.feed(found):
            if batch.hi >= self._choice.first:
                done.append(batch._replace(session=self._session, lo=self._lo))
                self._lo = batch.hi + 1
        return done

    def end(self) -> dict[str, Rows]:
        """After the last record: how many rows each table has, and their digest."""
        self._fold.end()
        return {table: Rows(self._made[table], session_digest(self._digests[table])) for table in sorted(self._made)}

    def _over(self, _end: SegmentEnd, rows: Digests) -> None:
        for table, (made, digest) in rows.items():
            self._made[table] = self._made.get(table, 0) + made
            self._digests.setdefault(table, []).append(digest)


class Chosen:
    """Blocking: the rows of a choice after record `after`, for a sink that fell behind."""

    def __init__(self, folder: Path, manifest: Manifest, choice: Choice, session: str, after: int) -> None:
        self._rebuild = Rebuild(folder, manifest.session, max(after, choice.first - 1))
        self._choice, self._session = choice, session
        self._lo = after + 1

    def piece(self, through: int) -> list[RowBatch]:
        """See `Pieces`."""
        done = []
        for batch in self._rebuild.piece(through):
            done.append(self._choice.rows(batch)._replace(session=self._session, lo=self._lo))
            self._lo = batch.hi + 1
        return done
