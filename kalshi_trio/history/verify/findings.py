"""What `verify` finds, as plain structures: its report for programs is these, encoded."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from kalshi_trio.journal.manifest import Coverage

Level = Literal["damage", "gap", "pending", "note"]
"""`damage` ends in exit code 4, `gap` (all that is known to be missing, or not known to be there) in 3; `pending` (rows not
stored yet) and `note` change nothing."""


class Lost(Struct, frozen=True):
    """Sequence numbers of one sid that were in lost records; `last` None: to the end of its connection."""

    connection: int
    sid: int
    first: int
    last: int | None
    channel: str = ""


class Finding(Struct):
    """One thing that is not as it should be: where (a file, a part, a table), what, and whom it concerns."""

    level: Level
    place: str
    """`journal`, `manifest`, `chain`, or a sink as in log lines."""
    where: str
    what: str
    frames: tuple[int, int] | None = None
    sequences: list[Lost] = field(default_factory=list)
    markets: list[str] = field(default_factory=list)


class Run(Struct):
    """The sequence numbers that were received on one sid of one connection, as ranges; a lower one is a run begun again."""

    connection: int
    sid: int
    ranges: list[list[int]]
    frames: int = 0
    repeated: int = 0

    @property
    def missing(self) -> int:
        """Numbers that were left out, those before a late start included."""
        steps = zip([[0, 0], *self.ranges], self.ranges, strict=False)
        return sum(max(after[0] - before[1] - 1, 0) for before, after in steps)


class Hole(Struct):
    """A gap that the recording knows of. `healed` counts the `markets` that are whole again; times in RFC 3339."""

    frame: int
    connection: int
    cause: str
    channel: str | None
    expected: int | None
    got: int | None
    markets: list[str]
    opened_at: str
    healed_at: str | None = None
    seconds: float = 0.0
    """Until it was healed for its last market, or until the session's end."""
    healed: int = 0


class Book(Struct):
    """What came for one market, and how its book fared."""

    snapshots: int
    deltas: int
    unanchored: int
    """Deltas without a snapshot before them."""
    lost: int
    """How often the book stopped being whole."""
    negative: int
    """Deltas after which a level would have been impossible."""
    crossed: int
    """Instants of the exchange that ended with bid above ask."""


class Held(Struct):
    """What one place holds of a table. All zero and "": nothing."""

    rows: int = 0
    digest: str = ""
    missing: int = 0
    double: int = 0
    foreign: int = 0
    changed: int = 0
    pending: int = 0


class Table(Struct):
    """A table's rows as sealed, as the journal makes them, and as each sink holds them."""

    made: int = 0
    sealed: str = ""
    journal: str = ""
    sinks: dict[str, Held] = field(default_factory=dict)


class Unchecked(Struct):
    """A sink or folder that could not be looked at; `pid` is who holds it, 0 if nobody or nobody knows."""

    place: str
    why: str
    pid: int = 0


class Covered(Coverage):
    """A market's coverage with its percentage, and how long its book was not to be trusted."""

    percent: float = 0.0
    stale_seconds: float = 0.0


class SessionReport(Struct):
    """All about one session."""

    session: str
    name: str
    verdict: str
    records: int = 0
    started: str = ""
    ended: str | None = None
    tally: dict[str, int] = field(default_factory=dict)
    segments: int = 0
    retired: list[int] = field(default_factory=list)
    older: bool = False
    """Sealed by rules that made other rows: these were not made again."""
    tables: dict[str, Table] = field(default_factory=dict)
    sequences: list[Run] = field(default_factory=list)
    gaps: list[Hole] = field(default_factory=list)
    books: dict[str, Book] = field(default_factory=dict)
    coverage: dict[str, Covered] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 clean, 3 known gaps, cut short or nothing recorded, 4 damage."""
        return code_of(self.findings)


class Report(Struct):
    """All that one call of `verify` found; `findings` are those of no single session."""

    data: str
    exit_code: int = 0
    not_checked: list[Unchecked] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    sessions: list[SessionReport] = field(default_factory=list)

    def close(self) -> None:
        """Sets the exit code."""
        self.exit_code = max([code_of(self.findings), *(one.exit_code for one in self.sessions)])


def code_of(findings: list[Finding]) -> int:
    """The exit code that these come to."""
    levels = {finding.level for finding in findings}
    return 4 if "damage" in levels else 3 if "gap" in levels else 0
