"""Several files as one recording: what the next one repeats of the last, and files that tell of the same time."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from kalshi_trio.foreign import Line
from kalshi_trio.history.imports.taking import Look

TAIL = 200_000
"""Lines of what came before that the beginning of a file is compared with."""
SLACK_NS = 2_000_000_000
"""So much longer a frame waits for one of a lower number that another file may have."""


class Tail:
    """The last lines of what was read, as hashes: a file that begins with them repeats them, byte for byte."""

    def __init__(self) -> None:
        self._lines: deque[int] = deque(maxlen=TAIL)

    def noted(self, texts: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
        """The same lines, remembered."""
        note = self._lines.append
        for pair in texts:
            note(hash(pair[1]))
            yield pair

    def repeated(self, texts: Iterable[tuple[int, bytes]]) -> int:
        """With how many of the last lines these begin."""
        lines = iter(texts)
        first = next(lines, None)
        if first is None or hash(first[1]) not in self._lines:
            return 0
        most = len(self._lines) - self._lines.index(hash(first[1]))
        head = [hash(first[1])]
        head += [hash(text) for (_, text), _ in zip(lines, range(most - 1), strict=False)]
        return _longest(head, self._lines)


def _longest(head: Sequence[int], tail: Iterable[int]) -> int:
    """How many of `head` the tail ends with at most, in one pass (Knuth, Morris, Pratt)."""
    back, same = [0] * len(head), 0
    for at in range(1, len(head)):
        while same and head[at] != head[same]:
            same = back[same - 1]
        same += head[at] == head[same]
        back[at] = same
    same = 0
    for one in tail:
        while same and (same == len(head) or head[same] != one):
            same = back[same - 1]
        same += head[same] == one
    return same


class _Head(NamedTuple):
    line: Line
    ns: int
    sid: tuple[int, int]
    """Connection and sid."""
    seq: int


class Merge:
    """The lines of files that tell of the same time, in one order: by time, and by number within a sid of a connection.

    A frame whose number is not the next one waits for those before it, as long as the clock of the files is not further by
    SLACK_NS. What two files both have is taken once. `repeated` counts what was left out for that, `collided` numbers
    that two files give to different frames: then they are not of one connection.
    """

    def __init__(self, files: Sequence[Iterator[Line]], begin: Callable[[int], None]) -> None:
        """`begin` is told which file the next line is from."""
        self._files, self._begin = files, begin
        self._look = Look()
        self._heads: dict[int, _Head] = {}
        self._due: list[tuple[int, int, int, bool]] = []
        self._at: dict[tuple[tuple[int, int], int], int] = {}
        self._last: dict[tuple[int, int], tuple[int, bytes, int]] = {}
        self._ns = [0] * len(files)
        self.repeated = self.collided = 0

    def __iter__(self) -> Iterator[Line]:
        for file in range(len(self._files)):
            self._advance(file)
        while self._due:
            _, seq, file, held = heapq.heappop(self._due)
            head = self._heads.get(file)
            if head is None or head.seq != seq:
                continue
            if not held and self._is_ahead(head):
                before = self._at.get((head.sid, self._last[head.sid][0] + 1))
                heapq.heappush(self._due, (head.ns + SLACK_NS, seq, file, True))
                if before is None:
                    continue
                file = before
            yield from self._out(file)

    def _out(self, file: int) -> Iterator[Line]:
        """The file's next line, and those that waited for it."""
        found: int | None = file
        while found is not None:
            head = self._heads.pop(found)
            self._at.pop((head.sid, head.seq), None)
            if not self._is_again(head, found):
                self._begin(found)
                yield head.line
            self._advance(found)
            found = self._at.get((head.sid, head.seq + 1)) if head.seq else None
            if found is not None and self._heads[found].ns >= head.ns:
                return

    def _is_ahead(self, head: _Head) -> bool:
        last = self._last.get(head.sid)
        return bool(head.seq and last and head.seq > last[0] + 1)

    def _is_again(self, head: _Head, file: int) -> bool:
        if not head.seq:
            return False
        last = self._last.get(head.sid)
        self._last[head.sid] = head.seq, head.line.frame, file
        if last is None or last[0] != head.seq or last[2] == file:
            return False
        if last[1] == head.line.frame:
            self.repeated += 1
            return True
        self.collided += 1
        return False

    def _advance(self, file: int) -> None:
        line = next(self._files[file], None)
        if line is None:
            return
        ns, sid, seq = line.recv_ns or line.stamp_ns, 0, 0
        if line.frame:
            try:
                peeks = self._look(line.frame)
            except ValueError:
                peeks = []
            if len(peeks) == 1:
                sid, seq = peeks[0].sid, peeks[0].seq
            ns = ns or next((peek.ns for peek in peeks if peek.ns), 0)
        self._ns[file] = ns = ns or self._ns[file]
        head = self._heads[file] = _Head(line, ns, (line.connection, sid), seq)
        if seq:
            self._at[head.sid, seq] = file
        heapq.heappush(self._due, (ns, seq, file, False))
