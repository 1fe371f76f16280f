"""manifest.json and sinks.json: what a session says of itself. The manifest is sealed once; the sinks' report is not."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from kalshi_trio.fileio import write_whole
from kalshi_trio.journal.files import read_regular
from kalshi_trio.journal.tags import FORMAT
from kalshi_trio.own_hash import json_and_hash, json_with_hash

Verdict = Literal["open", "complete", "known gaps", "cut short", "nothing recorded"]


class Rows(Struct):
    """A table's rows: how many were made, and their digest."""

    made: int = 0
    digest: str = ""


class TallyReport(Struct):
    """received = journalled = decoded + control + unknown + refused."""

    received: int = 0
    journalled: int = 0
    decoded: int = 0
    control: int = 0
    unknown: int = 0
    refused: int = 0
    by_type: dict[str, int] = field(default_factory=dict)
    rows: dict[str, Rows] = field(default_factory=dict)
    audits: dict[str, int] = field(default_factory=dict)
    """Verdict → how many."""

    @property
    def balanced(self) -> bool:
        """Whether the equation holds: each number was counted by another part."""
        found = self.decoded + self.control + self.unknown + self.refused
        return self.received == self.journalled == found


class Segment(Struct):
    """One segment's file and what is in it."""

    file: str
    frames: tuple[int, int]
    bytes: int = 0
    sha256: str = ""
    by_type: dict[str, int] = field(default_factory=dict)
    rows: dict[str, Rows] = field(default_factory=dict)
    state: Literal["open", "sealed"] = "open"


class Coverage(Struct):
    """What a market's book was, from when to when.

    A span: two RFC 3339 texts with nanoseconds, `whole`, `gap` or `closed`, and, of a gap, its cause.
    """

    whole_seconds: float = 0.0
    gap_seconds: float = 0.0
    spans: list[tuple[str, ...]] = field(default_factory=list)

    @property
    def whole_percent(self) -> float | None:
        """How much of the time in which it was open and wanted its book was whole; None if there was no such time."""
        known = self.whole_seconds + self.gap_seconds
        return 100 * (self.whole_seconds / known) if known else None


class Previous(Struct):
    """The manifest that was sealed last in the same data folder before this one."""

    session: str
    sha256: str


class Manifest(Struct):
    """The shape that others read: see `contracts`."""

    session: str
    name: str
    source: str
    software: str
    started: str
    format: int = FORMAT
    clock: str = "receive"
    ended: str | None = None
    verdict: Verdict = "open"
    missing: list[str] = field(default_factory=list)
    """Wanted markets that never had a book."""
    markets: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    tally: TallyReport = field(default_factory=TallyReport)
    gaps: dict[str, int] = field(default_factory=lambda: {"opened": 0, "healed": 0})
    coverage: dict[str, Coverage] = field(default_factory=dict)
    fields: dict[str, int] = field(default_factory=dict)
    lateness_ms: dict[str, dict[str, float]] = field(default_factory=dict)
    previous: Previous | None = None
    segments: list[Segment] = field(default_factory=list)


def write(path: Path, thing: object) -> None:
    """Puts JSON at `path`, whole and for good, or not at all; with its own hash."""
    write_whole(path, json_with_hash(thing))


def read(folder: Path) -> Manifest | None:
    """The manifest of a session's folder; None if there is none that can be read, or it is not what was written.

    Those of format 1 have no hash of their own.
    """
    found, intact = read_as_it_stands(folder)
    return found if intact else None


def read_as_it_stands(folder: Path) -> tuple[Manifest | None, bool]:
    """The same, believed though it was changed, and whether it is what was written: for those who look for the change."""
    try:
        fields, fits = json_and_hash(read_regular(folder / "manifest.json"))
        found = msgspec.convert(_renewed(fields), Manifest)
    except (OSError, ValueError, TypeError, RecursionError):
        return None, False
    return found, found.format < FORMAT if fits is None else fits


def _renewed(about: Any) -> Any:
    """The words of 1.0's first manifests as those of today: a verdict, and coverage that knew no gaps and no closing."""
    if not isinstance(about, dict):
        return about
    if about.get("verdict") == "known holes":
        about["verdict"] = "known gaps"
    covered = about.get("coverage")
    for one in covered.values() if isinstance(covered, dict) else ():
        if isinstance(one, dict) and "valid_seconds" in one:
            whole, seconds, valid = (one.pop(name, None) for name in ("valid_seconds", "seconds", "valid"))
            one["whole_seconds"], one["gap_seconds"] = whole, max(seconds - whole, 0.0)
            one["spans"] = [[*span, "whole"] for span in valid]
    return about


def seal(folder: Path, manifest: Manifest) -> None:
    """Writes the final manifest, chained to the one that was sealed last in the same data folder."""
    manifest.previous = _last_sealed(folder)
    write(folder / "manifest.json", manifest)


def _last_sealed(folder: Path) -> Previous | None:
    """The end of the chain: of the sealed manifests beside this one, the newest that none of them names.

    It is looked up, not kept apart: whoever is killed between two files would leave a chain with a link missing.
    """
    sealed = [(other, found) for other in sorted(folder.parent.glob("SESSION_*")) if (found := read(other))]
    sealed = [(other, found) for other, found in sealed if other != folder and found.verdict != "open"]
    named = {found.previous.session for _, found in sealed if found.previous}
    ends = [(found.ended or "", other, found) for other, found in sealed if found.session not in named]
    if not ends:
        return None
    _, other, found = max(ends, key=lambda end: end[:2])
    return Previous(found.session, hashlib.sha256((other / "manifest.json").read_bytes()).hexdigest())
