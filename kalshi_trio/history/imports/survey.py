"""A first look at foreign recordings: which connections and markets are in them, when, and what cannot be taken.

It remembers a few numbers of each connection and each market, and the first of what was refused: a recording of any
length fits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from kalshi_trio.errors import UsageError
from kalshi_trio.foreign import Shapes, Texts, lines_of
from kalshi_trio.history.imports.taking import Taken, Taking

SHOWN = 20
"""Refused lines that are named, of each import."""
STEP = 5_000
"""Lines that are read at a time."""
_PIECE = 16 << 20


class Refused(NamedTuple):
    """A line that cannot be read."""

    file: str
    line: int
    why: str


class Source(NamedTuple):
    """One file: what it was when it was looked at."""

    path: Path
    bytes: int
    modified_ns: int
    sha256: str

    def changed(self) -> bool:
        """Whether it is another by now."""
        now = self.path.stat()
        return (now.st_size, now.st_mtime_ns) != (self.bytes, self.modified_ns)


class Run(NamedTuple):
    """One connection: the numbers of its first and of its last line, counted over all that is taken."""

    first: int
    last: int
    closed: bool
    """A line says that it was over."""


@dataclass
class Survey:
    """What the files hold. `first_ns` is the first time that is known."""

    paths: list[Path]
    time_unit: str | None = None
    sources: list[Source] = field(default_factory=list)
    lines: int = 0
    frames: int = 0
    runs: dict[int, Run] = field(default_factory=dict)
    markets: dict[str, None] = field(default_factory=dict)
    named: list[str] | None = None
    """The markets that were wanted, where the files are a session's own export and say so."""
    inherited: dict[str, object] = field(default_factory=lambda: {"as_seen": True})
    """What the session's first record says beside that: of strangers' files, that a market is wanted once it is seen."""
    first_ns: int = 0
    timeless: int = 0
    """Frames that do not say when they were received."""
    left_out: int = 0
    """Frames of private channels."""
    sent: int = 0
    refusals: int = 0
    refused: list[Refused] = field(default_factory=list)
    backwards: list[tuple[str, str]] = field(default_factory=list)
    """Files that begin before the one in front of them ended."""
    reading: str = ""

    @property
    def clock(self) -> str:
        """Whose time the records are stamped with."""
        return "exchange" if self.timeless else "receive"

    @property
    def wanted(self) -> list[str]:
        """The session's markets."""
        return list(self.markets) if self.named is None else self.named

    @property
    def last_begin(self) -> int:
        """The line with which the last connection begins."""
        return max(run.first for run in self.runs.values())

    def about(self) -> dict[str, object]:
        """Where it all comes from, and what was left out: the session's settings."""
        files = [{"name": one.path.name, "bytes": one.bytes, "sha256": one.sha256} for one in self.sources]
        refused = {"count": self.refusals, "first": [list(one) for one in self.refused]}
        more = {"time_unit": self.time_unit} if self.time_unit else {}
        return {"files": files, "private": self.left_out, "sent": self.sent, "refused": refused, **more}

    def refuse(self, line: int, why: str) -> None:
        """A line of the file that is being read cannot be."""
        self.refusals += 1
        if len(self.refused) < SHOWN:
            self.refused.append(Refused(self.reading, line, why[:200]))

    def private(self) -> None:
        """A frame that is its owner's alone."""
        self.left_out += 1

    def frame(self, markets: Sequence[str], *, timed: bool) -> None:
        """A frame that is taken."""
        self.frames += 1
        self.timeless += not timed
        for market in markets:
            if market:
                self.markets.setdefault(market)

    def began(self, about: dict[str, object]) -> None:
        """A session's own export begins: it says what it wanted."""
        markets, first = about.get("markets"), self.named is None
        if isinstance(markets, list):
            self.named = list(dict.fromkeys([*(self.named or []), *(str(name) for name in markets)]))
            said = {name: about[name] for name in ("died", "previous", "as_seen") if about.get(name)}
            self.inherited = said if first else {**said, **self.inherited}
        self.timeless += about.get("clock") == "exchange"


class Reading:
    """One pass over the files: iterated once. `done`: bytes of them that have been read, `lines`: what was taken."""

    def __init__(self, survey: Survey, watch: Survey) -> None:
        self._survey, self._watch = survey, watch
        self._before = 0
        self._texts: Texts | None = None
        self.shapes = Shapes(survey.time_unit)

    @property
    def done(self) -> int:
        """Bytes of the files that have been read."""
        return self._before + (self._texts.done if self._texts else 0)

    def __iter__(self) -> Iterator[Taken]:
        taking = Taking(self._watch)
        last = ("", 0)
        for path in self._survey.paths:
            self._watch.reading = path.name
            taking.file()
            self._texts = Texts(path, self._watch.refuse)
            for line in lines_of(self._texts, self.shapes, self._watch.refuse):
                taken = taking.take(line)
                if taken is not None:
                    if taken.ns and last[0] != path.name and taken.ns < last[1]:
                        self._watch.backwards.append((path.name, last[0]))
                    last = (path.name, taken.ns) if taken.ns else last
                    yield taken
            self._before += self._texts.done
            self._texts = None


def look(survey: Survey) -> Iterator[int]:
    """Fills the survey; yields after some thousand lines, with the bytes read. UsageError: nothing in it is a frame."""
    done = 0
    for path in survey.paths:
        stat, digest = path.stat(), hashlib.sha256()
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                done += len(piece)
                yield done
        survey.sources.append(Source(path, stat.st_size, stat.st_mtime_ns, digest.hexdigest()))
    reading = Reading(survey, survey)
    for number, taken in enumerate(reading):
        if taken.run:
            first, _, closed = survey.runs.get(taken.run, Run(number, number, closed=False))
            survey.runs[taken.run] = Run(first, number, closed=closed or taken.closed is not None)
        survey.lines = number + 1
        survey.first_ns = survey.first_ns or taken.ns
        if number % STEP == 0:
            yield done + reading.done
    survey.sent = reading.shapes.sent
    if not survey.frames:
        why = (
            f"; {survey.refused[0].file}, line {survey.refused[0].line}: {survey.refused[0].why}"
            if survey.refused
            else ""
        )
        raise UsageError(f"{', '.join(map(str, survey.paths))}: no websocket frame in it{why}")
