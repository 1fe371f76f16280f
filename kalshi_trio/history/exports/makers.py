"""The formats, each as something that takes a session's records in order and says at the end what it could not carry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from kalshi_trio.errors import UsageError
from kalshi_trio.fold import feed
from kalshi_trio.history.exports.csv import Csv
from kalshi_trio.history.exports.hftbacktest import HftBacktest
from kalshi_trio.history.exports.lines import Lines
from kalshi_trio.history.exports.nautilus import Nautilus
from kalshi_trio.history.exports.tape import Event, Lost, Tape
from kalshi_trio.history.exports.target import Target
from kalshi_trio.history.replay.choice import Choice
from kalshi_trio.history.replay.refold import Refold
from kalshi_trio.journal import checkpoints
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.journal.reading import Hole
from kalshi_trio.journal.window import Frames
from kalshi_trio.protocol.builder import Builder
from kalshi_trio.protocol.schema import TABLES


class Wanted(NamedTuple):
    """What is to be exported; `table`: the one that a CSV file is of."""

    folder: Path
    manifest: Manifest
    choice: Choice
    out: Path
    table: str | None = None


class Maker(Protocol):
    """All calls block. It is given the records behind `after`: those before the choice to `pass_over`."""

    after: int
    unit: str

    @property
    def written(self) -> int:
        """How many lines, or rows."""

    @property
    def notes(self) -> list[str]:
        """What is not in it, or not as it was."""

    def pass_over(self, found: Frames | Hole) -> None:
        """Records before the choice."""

    def take(self, found: Frames | Hole) -> None:
        """The next records."""

    def end(self) -> Iterator[int]:
        """What is left to do, step by step; then all is written, and to be kept."""

    def close(self) -> None:
        """Lets go of its files, whole or not; may be called when they are."""


class LineMaker:
    """Frames or envelopes."""

    unit = "lines"

    def __init__(self, wanted: Wanted, target: Target, *, bare: bool) -> None:
        target.begin(folder=False)
        self.after = wanted.choice.first - 1
        markets = frozenset(wanted.choice.markets)
        self._lines = Lines(target.place, target.path.name, wanted.manifest, markets, bare=bare)

    @property
    def written(self) -> int:
        """Lines with a frame."""
        return self._lines.written

    @property
    def notes(self) -> list[str]:
        """See `Maker`."""
        return self._lines.notes

    def pass_over(self, found: Frames | Hole) -> None:
        """Nothing depends on what came before."""

    def take(self, found: Frames | Hole) -> None:
        """See `Maker`."""
        self._lines.take(found)

    def end(self) -> Iterator[int]:
        """See `Maker`."""
        self._lines.close()
        return iter(())

    def close(self) -> None:
        """See `Maker`."""
        self._lines.close()


class CsvMaker:
    """Tables: all of them in a folder, or one in a file."""

    unit = "rows"
    notes: list[str] = []  # noqa: RUF012 -- nothing is lost

    def __init__(self, wanted: Wanted, target: Target) -> None:
        name, table = target.path.name, wanted.table
        single = name.endswith((".csv", ".csv.gz", ".csv.zst"))
        if single and table is None:
            raise UsageError(f"{name} holds one table: say which with --table ({', '.join(TABLES)}).")
        target.begin(folder=not single)
        choice, session = wanted.choice, wanted.manifest.session
        last = wanted.manifest.segments[-1].frames[1]
        self._refold = Refold(
            wanted.folder, wanted.manifest, choice, session if choice.whole(last) else choice.name(session)
        )
        self._csv = Csv(target.place, name, table, single=single)
        self.after = self._refold.frame

    @property
    def written(self) -> int:
        """Rows of all tables."""
        return self._csv.written

    def pass_over(self, found: Frames | Hole) -> None:
        """The builder needs them; their rows do not belong."""
        self.take(found)

    def take(self, found: Frames | Hole) -> None:
        """See `Maker`."""
        for batch in self._refold.rows(found):
            self._csv.take(batch)

    def end(self) -> Iterator[int]:
        """See `Maker`."""
        self._csv.close()
        return iter(())

    def close(self) -> None:
        """See `Maker`."""
        self._csv.close()


class BookMaker:
    """Books and trades for a tool that keeps books of its own."""

    unit = "rows"

    def __init__(self, wanted: Wanted, target: Target, tool: Callable[[Path], HftBacktest | Nautilus]) -> None:
        markets, self._target = frozenset(wanted.choice.markets), target
        known = markets or {*wanted.manifest.markets, *wanted.manifest.coverage}
        self._single = target.path.suffix == ".npz"
        if self._single and len(known) != 1:
            raise UsageError(f"{target.path.name} holds one market: choose it with --markets, or name a folder.")
        target.begin(folder=True)
        near = checkpoints.nearest(wanted.folder, wanted.choice.first - 1)
        self._builder = Builder(wanted.manifest.session, near.blob if near else None)
        self._markets = markets
        self._tape: Tape | None = None
        self._tool = tool(target.place)
        self._exchange = wanted.manifest.clock == "exchange"
        self._lost = 0
        self.after = self._builder.state.frame

    @property
    def written(self) -> int:
        """Events of all markets."""
        return self._tool.written

    @property
    def notes(self) -> list[str]:
        """See `Maker`."""
        unapplied = self._tape.unapplied if self._tape else 0
        some = {
            f"{unapplied} deltas are left out: their books had no snapshot yet, or were lost": unapplied,
            f"{self._lost} times a book was lost: it is cleared there, and whole again with its next snapshot": self._lost,
            "times of receipt are the exchange's": self._exchange,
            **self._tool.notes,
            "tickers, lifecycle messages and holes of other channels have no place in this format": True,
        }
        return [text for text, true in some.items() if true]

    def pass_over(self, found: Frames | Hole) -> None:
        """The books that the choice begins with come of them."""
        feed(self._builder, found)
        self._builder.take()
        self._builder.told()

    def take(self, found: Frames | Hole) -> None:
        """See `Maker`."""
        if self._tape is None:
            self._tape = Tape(self._builder, self._markets)
            self._hand_on(self._tape.begin())
        self._hand_on(self._tape.feed(found))

    def _hand_on(self, events: list[Event]) -> None:
        for event in events:
            self._lost += isinstance(event, Lost)
            self._tool.take(event)

    def end(self) -> Iterator[int]:
        """See `Maker`."""
        yield from self._tool.end()
        if self._single:
            self._target.only()

    def close(self) -> None:
        """No file of it is open between two calls."""


FORMATS: dict[str, Callable[[Wanted, Target], Maker]] = {
    "frames": lambda wanted, target: LineMaker(wanted, target, bare=True),
    "envelopes": lambda wanted, target: LineMaker(wanted, target, bare=False),
    "csv": CsvMaker,
    "hftbacktest": lambda wanted, target: BookMaker(wanted, target, HftBacktest),
    "nautilus": lambda wanted, target: BookMaker(wanted, target, Nautilus),
}
"""Name of a format → what makes it."""
