"""The manifest against the journal: all that can be worked out again is, and must be what was sealed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec

from kalshi_trio.history.verify.findings import Finding
from kalshi_trio.history.verify.journal_walk import Ended, Walk
from kalshi_trio.journal.digest import session_digest
from kalshi_trio.journal.files import read_regular
from kalshi_trio.journal.manifest import Manifest, Rows, Segment, Verdict
from kalshi_trio.journal.tags import FORMAT
from kalshi_trio.sealing import conclude, introduce, verdict_of

MOST = 5
"""Differences that are told one by one."""
_NOT_KNOWN = ("format", "lateness_ms", "previous", "clock", "segments", "name")
"""Fields that no record tells: measured live, or looked at elsewhere."""
_HASH = re.compile(r"SHA-256 of `manifest.json`: `([0-9a-f]{64})`")


def damage(where: str, what: str, frames: tuple[int, int] | None = None) -> Finding:
    """A finding about the manifest."""
    return Finding("damage", "manifest", where, what, frames)


def inner(manifest: Manifest, folder: Path) -> Iterator[Finding]:
    """What does not agree with itself, or with the note of its SHA-256 in the session's README.md."""
    tally = manifest.tally
    told = tally.decoded + tally.control + tally.unknown + tally.refused
    if not tally.received == tally.journalled == told:
        yield damage("tally", f"received {tally.received}, journalled {tally.journalled}, accounted for {told}")
    if manifest.format not in (1, FORMAT) or manifest.clock not in ("receive", "exchange"):
        yield damage("format", f"format {manifest.format}, clock {manifest.clock!r}")
    if manifest.name != folder.name:
        yield damage("name", f"{manifest.name!r} in the folder {folder.name!r}")
    ends = [segment.frames for segment in manifest.segments]
    for (_, last), (first, _) in pairwise([(0, 0), *ends]):
        if first != last + 1:
            yield damage("segments", f"record {first} after {last}")
    for table, rows in _summed(manifest.segments).items():
        if tally.rows.get(table, Rows()) != rows:
            yield damage(f"tally.rows.{table}", "not what the segments' rows come to")
    found = _HASH.search(_text(folder / "README.md"))
    if found and found[1] != hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest():
        yield damage("manifest.json", "SHA-256 differs from the one in README.md: one of the two was changed")


def segment(entry: Segment, ended: Ended) -> Iterator[Finding]:
    """What the seal of a segment says, against the rows and frames that the journal has in it."""
    if entry.frames != (ended.first, ended.last):
        yield damage(entry.file, f"frames {entry.frames} sealed", (ended.first, ended.last))
    if entry.by_type != ended.by_type:
        yield damage(entry.file, "frames by type are not those of the journal", entry.frames)
    made = {table: Rows(*rows) for table, rows in ended.rows.items()}
    for table in sorted({*made, *entry.rows}):
        ours, sealed = made.get(table, Rows()), entry.rows.get(table, Rows())
        if ours != sealed:
            what = f"{table}: {sealed.made} rows sealed, the journal makes {ours.made}"
            same = f"{table}: the digest sealed is not that of the journal"
            yield damage(entry.file, same if ours.made == sealed.made else what, entry.frames)


def whole(manifest: Manifest, walk: Walk, session: str, rows: dict[str, Rows]) -> Iterator[Finding]:
    """What the seal says of the whole session, against what its records come to."""
    state = walk.state
    verdict: Verdict = "cut short" if walk.last_event == "recovered" else verdict_of(state)
    again = Manifest(session or manifest.session, manifest.name, "", "", "")
    introduce(again, state)
    conclude(again, state, verdict, rows)
    ours, sealed = msgspec.to_builtins(again), msgspec.to_builtins(manifest)
    for name in _NOT_KNOWN:
        del ours[name], sealed[name]
    told = list(_differences(ours, sealed, ""))
    for path, one, other in told[:MOST]:
        yield damage(path, f"sealed as {_short(other)}, the journal makes it {_short(one)}")
    if len(told) > MOST:
        yield damage("manifest.json", f"{len(told) - MOST} more such differences")


def _summed(segments: list[Segment]) -> dict[str, Rows]:
    tables: dict[str, list[Rows]] = {}
    for one in segments:
        for table, rows in one.rows.items():
            tables.setdefault(table, []).append(rows)
    return {table: Rows(sum(rows.made for rows in parts), _digest(parts)) for table, parts in sorted(tables.items())}


def _digest(parts: list[Rows]) -> str:
    try:
        return session_digest(rows.digest for rows in parts)
    except ValueError:
        return ""  # one of them is no digest any more


def _differences(ours: object, sealed: object, path: str) -> Iterator[tuple[str, object, object]]:
    if isinstance(ours, dict) and isinstance(sealed, dict):
        for key in sorted({*ours, *sealed}):
            yield from _differences(ours.get(key), sealed.get(key), f"{path}.{key}" if path else str(key))
    elif ours != sealed:
        yield path, ours, sealed


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _text(path: Path) -> str:
    try:
        return read_regular(path).decode(errors="replace")
    except OSError:
        return ""
