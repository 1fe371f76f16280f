"""Sequence numbers as they stand in the frames, counted apart from the builder: what came of each sid, as ranges."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from kalshi_trio.history.verify.findings import Lost, Run
from kalshi_trio.protocol.gaps import TERMINAL
from kalshi_trio.protocol.heads import heads, number_of
from kalshi_trio.protocol.sequence import OWN_IDS

_ENDS = ("unsubscribed", "error")


class _Peek(Struct):
    type: str = ""
    sid: int = 0
    seq: int = 0
    id: int = 0


class Watch:
    """What was in records that are lost: told by the numbers before them and, as they come, those behind.

    `before`: the last number of each sid whose connection was open.
    """

    def __init__(self, before: dict[tuple[int, int], int]) -> None:
        self._before = before
        self._after: dict[tuple[int, int], int] = {}

    def see(self, key: tuple[int, int], seq: int) -> None:
        """A number behind the hole."""
        self._after.setdefault(key, seq)

    def lost(self) -> list[Lost]:
        """By connection and sid; sids that lost nothing are left out."""
        found = []
        for connection, sid in sorted({*self._before, *self._after}):
            first = self._before.get((connection, sid), 0) + 1
            after = self._after.get((connection, sid))
            if after is None or after > first:
                found.append(Lost(connection, sid, first, None if after is None else after - 1))
        return found


class Sequences:
    """Takes the frames of a session in order."""

    def __init__(self) -> None:
        self._runs: dict[tuple[int, int], Run] = {}
        self._over: list[Run] = []
        self._watches: list[Watch] = []
        self._back: dict[tuple[int, int], tuple[int, int]] = {}
        """The lower number that came last on a sid, and where the run stood then."""
        self._decode = msgspec.json.Decoder(_Peek).decode

    def feed(self, connection: int, frames: Sequence[bytes]) -> None:
        """The frames of one read. What cannot be read has no number."""
        for frame in frames:
            try:
                self._see(connection, self._decode(frame), frame)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                for head in heads(frame):
                    self._see(connection, _Peek(head.type, head.sid, head.seq, head.id), head.text)

    def _see(self, connection: int, peek: _Peek, text: bytes) -> None:
        seq = peek.seq
        if seq and peek.sid:
            key = (connection, peek.sid)
            run = self._runs.get(key)
            if run is not None and seq == run.ranges[-1][1] + 1:
                run.ranges[-1][1] = seq
                run.frames += 1
            elif not (peek.type == "orderbook_snapshot" and peek.id >= OWN_IDS):
                self._odd(key, run, seq)
            for watch in self._watches:
                watch.see(key, seq)
        if peek.type in _ENDS:
            self._ended(connection, peek, text)

    def closed(self, connection: int) -> None:
        """The connection is over, and all its sids."""
        for key in [key for key in self._runs if key[0] == connection]:
            self._over.append(self._runs.pop(key))

    def hole(self) -> Watch:
        """Records are lost here; ask the watch, in the end, which numbers those were."""
        watch = Watch({key: run.ranges[-1][1] for key, run in self._runs.items()})
        self._watches.append(watch)
        return watch

    def runs(self) -> list[Run]:
        """All of them, by connection and sid."""
        return sorted([*self._over, *self._runs.values()], key=lambda run: (run.connection, run.sid, run.ranges[0]))

    def _odd(self, key: tuple[int, int], run: Run | None, seq: int) -> None:
        if run is None:
            self._runs[key] = Run(*key, [[seq, seq]], 1)
            return
        run.frames += 1
        last = run.ranges[-1][1]
        if seq > last:
            run.ranges.append([seq, seq])
        elif self._back.get(key) == (seq - 1, last):
            run.ranges.append([seq - 1, seq])
        else:
            run.repeated += 1
            self._back[key] = (seq, last)

    def _ended(self, connection: int, peek: _Peek, text: bytes) -> None:
        """A subscription that is no more: the sid may be given again, from 1."""
        if peek.type == "error":
            (head,) = heads(text)
            if number_of(head.object("msg"), "code", 1_000) not in TERMINAL:
                return
        run = self._runs.pop((connection, peek.sid), None)
        if run is not None:
            self._over.append(run)
