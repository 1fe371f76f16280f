"""What the exchange really sent, counted frame by frame as it left."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

_KIND = re.compile(rb'"type"\s*:\s*"(\w+)"')
_SID = re.compile(rb'"sid"\s*:\s*(\d+)')
_SEQ = re.compile(rb'"seq"\s*:\s*(\d+)')


def kind_of(frame: bytes) -> str:
    """The frame's `type`, empty if it has none that can be read."""
    found = _KIND.search(frame)
    return found[1].decode() if found else ""


def sid_of(frame: bytes) -> int:
    """The frame's `sid`, that of `subscribed` included; 0 for none."""
    found = _SID.search(frame)
    return int(found[1]) if found else 0


def seq_of(frame: bytes) -> int:
    """The frame's `seq`, 0 for none."""
    found = _SEQ.search(frame)
    return int(found[1]) if found else 0


class Tally:
    """Counts by connection, sid and type, and the highest sequence number of each connection's sids."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[int, int, str]] = Counter()
        self.last_seq: dict[tuple[int, int], int] = {}

    def add(self, connection: int, frames: Iterable[bytes]) -> None:
        """Counts frames that were sent to that connection."""
        for frame in frames:
            sid, seq = sid_of(frame), seq_of(frame)
            self.counts[connection, sid, kind_of(frame)] += 1
            if seq:
                self.last_seq[connection, sid] = max(seq, self.last_seq.get((connection, sid), 0))

    def of_type(self, kind: str) -> int:
        """How many frames of one type were sent to anybody."""
        return sum(count for (_, _, known), count in self.counts.items() if known == kind)

    @property
    def total(self) -> int:
        """How many frames were sent."""
        return self.counts.total()
