"""A first look at foreign recordings: which connections and markets are in them, when, and what cannot be taken.

It remembers a few numbers of each connection and each market, and the first of what was refused: a recording of any
length fits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, islice
from pathlib import Path
from typing import NamedTuple

from kalshi_trio.errors import UsageError
from kalshi_trio.foreign import Line, Shapes, Texts, lines_of
from kalshi_trio.foreign.kinds import text_of_another_kind
from kalshi_trio.history.imports.joining import Merge, Tail
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
    text: str = ""
    """SHA-256 of its text before it was packed."""

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
    exported: list[str] = field(default_factory=list)
    """The sessions whose exports the files are."""
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
    together: bool = False
    """Files tell of the same time of one connection: their lines are put in one order, by time and number."""
    apart: bool = False
    """Together, but of a connection each: their numbers are not of one."""
    repeats: list[int] = field(default_factory=list)
    """With how many lines each file begins that the one in front of it ended with."""
    repeated: int = 0
    """Frames of files that are taken together which another of them has, too."""
    collided: int = 0
    """Numbers that two of them give to different frames."""
    crossing: bool = False
    """Files that were taken one after the other tell of one connection at the same time."""
    passed: int = 0
    """Lines that a recorder wrote about itself, which say nothing of connections."""

    def again(self, paths: Sequence[Path], *, together: bool = False, apart: bool = False) -> Survey:
        """Another, of these of the files, of which only what they are is known."""
        repeats = self.repeats if len(paths) == len(self.paths) else []
        kept = [one for one in self.sources if one.path in paths]
        return Survey(list(paths), self.time_unit, kept, repeats=repeats, together=together, apart=apart)

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
        files = [
            {"name": one.path.name, "bytes": one.bytes, "sha256": one.sha256} | ({"text": one.text} if one.text else {})
            for one in self.sources
        ]
        refused = {"count": self.refusals, "first": [list(one) for one in self.refused]}
        more: dict[str, object] = {"time_unit": self.time_unit} if self.time_unit else {}
        more |= {"repeated": again} if (again := sum(self.repeats) + self.repeated) else {}
        more |= {"together": True} if self.together else {}
        more |= {"passed": self.passed} if self.passed else {}
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
        self.exported.append(str(about.get("session")))


class _Part:
    """What one file held, in a first look."""

    def __init__(self) -> None:
        self.connections: set[int] = set()
        self.first_ns = self.last_ns = self.lines = 0

    def note(self, connection: int, ns: int) -> None:
        self.lines += 1
        self.connections.add(connection)
        if ns:
            self.first_ns = min(self.first_ns or ns, ns)
            self.last_ns = max(self.last_ns, ns)

    def crosses(self, other: _Part) -> bool:
        """Whether both tell of one connection at the same time."""
        begin, end = max(self.first_ns, other.first_ns), min(self.last_ns, other.last_ns)
        return bool(self.first_ns and other.first_ns and begin < end and self.connections & other.connections)


class Reading:
    """One pass over the files: iterated once. `done`: bytes of them that have been read, `lines`: what was taken."""

    def __init__(self, survey: Survey, watch: Survey) -> None:
        self._survey, self._watch = survey, watch
        self._first = survey is watch
        self._texts: list[Texts] = []
        self._tail = Tail() if self._first and len(survey.paths) > 1 else None
        self.parts: list[_Part] = [_Part() for _ in survey.paths]
        self.merge: Merge | None = None
        self.shapes = Shapes(survey.time_unit)

    @property
    def done(self) -> int:
        """Bytes of the files that have been read."""
        return sum(texts.done for texts in self._texts)

    def __iter__(self) -> Iterator[Taken]:
        self._taking = Taking(self._watch)
        if self._survey.together:
            files = [self._lines(at) for at in range(len(self._survey.paths))]
            self.merge = Merge(files, self._begin)
            for line in self.merge:
                if (taken := self._taking.take(line)) is not None:
                    yield taken
            return
        last = ("", 0)
        for at, path in enumerate(self._survey.paths):
            self._begin(at)
            self._taking.file()
            part, name = self.parts[at], path.name
            several = self._first and len(self.parts) > 1
            for line in self._lines(at):
                taken = self._taking.take(line)
                if taken is not None:
                    if several:
                        if taken.ns and last[0] != name and taken.ns < last[1]:
                            self._watch.backwards.append((name, last[0]))
                        last = (name, taken.ns) if taken.ns else last
                        part.note(line.connection, taken.ns)
                    yield taken

    def _begin(self, at: int) -> None:
        self._watch.reading = self._survey.paths[at].name

    def _lines(self, at: int) -> Iterator[Line]:
        """The file's, without those that it repeats."""
        survey, path = self._survey, self._survey.paths[at]

        def refuse(line: int, why: str) -> None:
            self._begin(at)
            self._watch.refuse(line, why)

        digest = hashlib.sha256() if self._first and not survey.sources[at].text else None
        texts = Texts(path, refuse, digest)
        self._texts.append(texts)
        if len(survey.repeats) == at:
            first = Texts(path, lambda *_: None)
            survey.repeats.append(self._tail.repeated(first) if self._tail is not None else 0)
        pairs: Iterator[tuple[int, bytes]] = islice(texts, survey.repeats[at], None)
        if self._tail is not None and not survey.together:
            pairs = self._tail.noted(pairs)
        for line in lines_of(pairs, self.shapes, refuse, path):
            yield line._replace(connection=(at << 70) + line.connection) if survey.apart else line
        if digest is not None:
            source, text = survey.sources[at], digest.hexdigest()
            survey.sources[at] = source._replace(text=text if text != source.sha256 else "")


def hashed(survey: Survey) -> Iterator[int]:
    """Notes what the files are; yields the bytes read."""
    done = 0
    for path in survey.paths:
        stat, digest = path.stat(), hashlib.sha256()
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                done += len(piece)
                yield done
        survey.sources.append(Source(path, stat.st_size, stat.st_mtime_ns, digest.hexdigest()))


def look(survey: Survey) -> Iterator[int]:
    """Fills the survey; yields after some thousand lines, with the bytes read. UsageError: nothing in it is a frame.

    Where it turns out that the files are to be taken together, it looks once more: `survey.again` says how.
    """
    done = sum(source.bytes for source in survey.sources)
    reading = Reading(survey, survey)
    for number, taken in enumerate(reading):
        if taken.run:
            first, _, closed = survey.runs.get(taken.run, Run(number, number, closed=False))
            survey.runs[taken.run] = Run(first, number, closed=closed or taken.closed is not None)
        survey.lines = number + 1
        survey.first_ns = survey.first_ns or taken.ns
        if number % STEP == 0:
            yield done + reading.done
    survey.sent, survey.passed = reading.shapes.sent, reading.shapes.passed
    if reading.merge is not None:
        survey.repeated, survey.collided = reading.merge.repeated, reading.merge.collided
    survey.crossing = survey.named is None and any(one.crosses(two) for one, two in combinations(reading.parts, 2))
    if not survey.together:
        _nothing_of_another_kind(survey, reading.parts)
    if not survey.frames:
        why = (
            f"; {survey.refused[0].file}, line {survey.refused[0].line}: {survey.refused[0].why}"
            if survey.refused
            else ""
        )
        raise UsageError(f"{', '.join(map(str, survey.paths))}: no websocket frame in it{why}")


def _nothing_of_another_kind(survey: Survey, parts: Sequence[_Part]) -> None:
    """Raises UsageError for a file of which no line could be taken, where it can be told what it is."""
    for path, part, repeated in zip(survey.paths, parts, survey.repeats, strict=True):
        if not (part.lines if len(parts) > 1 else survey.frames) and not repeated:
            head = b"\n".join(text for _, text in islice(Texts(path, lambda *_: None), 3))
            if said := text_of_another_kind(path, head):
                raise UsageError(said)
