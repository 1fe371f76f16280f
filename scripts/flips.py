"""Damage, everywhere: each bit of a small open segment flipped, and so on, and each file of a data folder likewise.

    python scripts/flips.py [--every 1] [--other-every 1] [--recover-every 16] [--json]

The open segment: every bit flipped; cut short, and zeros from there on, at every byte; batches swapped, and copied over
each other. Each time its records are read, and every `--recover-every`th time a start mends it, twice. Then a sealed
session with its rows in Parquet: every bit of its index, checkpoints, manifest, sinks.json, README.md, of the sink's files
and progress hint, of recorder.json and status.json; each time it is verified, read, and a start looks at it. Every
`--every`th (`--other-every`th) of these mutations is done. Exit code 1 unless nothing crashed, nothing wrong was told as
true, no batch was lost but the one that was hit, everything was named, and every start went well.

Each campaign runs in a process of its own, which is begun again behind a mutation that kills it.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice, permutations
from pathlib import Path
from typing import NamedTuple
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import verify_help  # noqa: E402

from kalshi_trio.journal import manifest as manifests  # noqa: E402
from kalshi_trio.journal.batches import scan_file  # noqa: E402
from kalshi_trio.journal.disk import Disk  # noqa: E402
from kalshi_trio.journal.folder import holder_of  # noqa: E402
from kalshi_trio.journal.manifest import Manifest  # noqa: E402
from kalshi_trio.journal.reading import Hole, newest_frame, read_around  # noqa: E402
from kalshi_trio.journal.recovery import Recovered, recover  # noqa: E402
from kalshi_trio.observe.health import examine  # noqa: E402
from kalshi_trio.own_hash import json_with_hash  # noqa: E402
from kalshi_trio.protocol.records import Records  # noqa: E402
from kalshi_trio.protocol.schema import ROW_SCHEMAS  # noqa: E402
from kalshi_trio.sinks.parquet import ParquetStore  # noqa: E402
from kalshi_trio.sinks.parquet_rows import ParquetRows  # noqa: E402
from kalshi_trio.sinks.rows import RowDamage  # noqa: E402
from kalshi_trio.startup import left_behind  # noqa: E402

NAME = "SESSION_20261124_050102"
SESSION = "20261124_050102-0011aabb"
BATCHES, EACH = 8, 5
NOW_NS = 1_795_496_462_000_000_000


@dataclass
class Counts:
    """What a campaign came to; all but the first are to be 0."""

    tried: int = 0
    crashes: int = 0
    raised: int = 0
    silent: int = 0
    """Wrong records or rows that were told as true."""
    others_lost: int = 0
    """Batches lost that were not hit."""
    unnamed: int = 0
    not_started: int = 0
    """Starts that did not go well, or came to something else when done again."""
    first_wrong: str = ""

    @property
    def bad(self) -> bool:
        """Whether anything went wrong."""
        return any((self.crashes, self.raised, self.silent, self.others_lost, self.unnamed, self.not_started))


class Mutation(NamedTuple):
    """A file's new bytes; `hit`: where they differ, or may."""

    what: str
    data: bytes
    hit: tuple[int, int]


def flips(data: bytes) -> Iterator[Mutation]:
    """Every bit."""
    for at in range(len(data)):
        for bit in range(8):
            changed = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
            yield Mutation(f"bit {bit} of byte {at}", changed, (at, at + 1))


def segment_mutations(data: bytes, units: list[tuple[int, int]]) -> Iterator[Mutation]:
    """All of the open segment's."""
    yield from flips(data)
    for at in range(len(data)):
        yield Mutation(f"cut at {at}", data[:at], (at, len(data)))
        yield Mutation(f"zeros from {at}", data[:at] + bytes(len(data) - at), (at, len(data)))
        yield Mutation(f"64 zeros at {at}", data[:at] + bytes(len(data[at : at + 64])) + data[at + 64 :], (at, at + 64))
    pieces = [data[start:end] for start, end in units]
    for one, other in permutations(range(len(pieces)), 2):
        both = units[one], units[other]
        hit = min(start for start, _ in both), max(end for _, end in both)
        if one < other:
            swapped = pieces.copy()
            swapped[one], swapped[other] = pieces[other], pieces[one]
            yield Mutation(f"units {one} and {other} swapped", b"".join(swapped), hit)
        copied = pieces.copy()
        copied[other] = pieces[one]
        yield Mutation(f"unit {one} over {other}", b"".join(copied), (units[other][0], len(data)))


class Said(logging.Handler):
    """Whether anything was said of damage."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps it."""
        self.lines.append(record.getMessage())


class OpenSegment:
    """A session that was killed, with one segment of small batches."""

    def __init__(self, data: Path, recover_every: int) -> None:
        self.data, self.recover_every = data, recover_every
        self.folder = data / "sessions" / NAME
        self.folder.mkdir(parents=True)
        disk = Disk(self.folder, {"session": SESSION, "software": "0"})
        manifests.write(self.folder / "manifest.json", Manifest(SESSION, NAME, "live", "0", "2026-11-24T05:01:02Z"))
        self.path = self.folder / "000001.arrows"
        ends = [0]
        for first in range(1, BATCHES * EACH, EACH):
            frames = [b'{"type":"trade","sid":1,"n":%d,"x":"%s"}' % (n, b"ab" * (n % 7)) for n in range(EACH)]
            disk.write([(1, Records(first, "frame", 1, NOW_NS + first, first, frames))])
            ends.append(self.path.stat().st_size)
        self.whole = self.path.read_bytes()
        self.truth = dict(self._records())
        entries = scan_file(self.path).entries
        self.units = [(entry.offset, entry.offset + entry.length) for entry in entries]
        self.spans = [range(entry.first_frame, entry.last_frame + 1) for entry in entries]
        self.manifest = (self.folder / "manifest.json").read_bytes()

    def mutations(self) -> Iterator[Mutation]:
        """All of its segment's; the head is a unit, too."""
        return segment_mutations(self.whole, [(0, self.units[0][0]), *self.units])

    def _records(self, holes: list[Hole] | None = None) -> Iterator[tuple[int, object]]:
        for found in read_around(self.folder, 0, newest_frame(self.folder)):
            if isinstance(found, Hole):
                if holes is not None:
                    holes.append(found)
                continue
            for run in found.records:
                for place, one in enumerate(run.data):
                    yield run.first + place, (run.kind, run.connection, run.ts_recv, run.mono_ns, bytes(one))

    def judge(self, number: int, mutation: Mutation, counts: Counts) -> None:
        """One mutation: read, and now and then recovered."""
        self.path.write_bytes(mutation.data)
        holes: list[Hole] = []
        found = dict(self._records(holes))
        scan = scan_file(self.path)
        self._compare(found, mutation, counts, named=bool(scan.bad or scan.tail or holes))
        if number % self.recover_every == 0:
            self._recover(mutation, counts, dict(found))

    def _compare(self, found: dict[int, object], mutation: Mutation, counts: Counts, *, named: bool) -> None:
        if any(self.truth.get(n) != record for n, record in found.items()):
            wrong(counts, "silent", mutation)
        start, end = mutation.hit
        for (begin, stop), span in zip(self.units, self.spans, strict=True):
            lost = [n for n in span if n not in found]
            if lost and not (start < stop and begin < end):
                wrong(counts, "others_lost", mutation)
            if lost and len(lost) != len(span):
                wrong(counts, "others_lost", mutation)
        if mutation.data != self.whole and not named and not self._ends_with_a_unit(mutation.data):
            wrong(counts, "unnamed", mutation)

    def _ends_with_a_unit(self, data: bytes) -> bool:
        """Whether what is missing begins where a unit ends, which nobody can see: only a sink that holds more."""
        ends = (0, self.units[0][0], *(end for _, end in self.units))
        return any(data[:end] == self.whole[:end] and not data[end:].strip(b"\0") for end in ends)

    def _recover(self, mutation: Mutation, counts: Counts, before: dict[int, object]) -> None:
        said = Said()
        logging.getLogger("kalshi_trio").addHandler(said)
        results: list[tuple[Recovered, dict[int, object], list[Hole]]] = []
        for _ in range(2):
            one, *_ = recover(self.data) or [results[0][0]]  # of a session without any record the first seals the end
            holes: list[Hole] = []
            found = dict(self._records(holes))
            results.append((one, found, holes))
        logging.getLogger("kalshi_trio").removeHandler(said)
        if results[0] != results[1] or any("cannot be mended" in line for line in said.lines):
            wrong(counts, "not_started", mutation)
        one, found, holes = results[0]
        if one.last and found.pop(one.last, None) is None:
            wrong(counts, "not_started", mutation)
        if found != before:
            wrong(counts, "silent", mutation)
        kept = (self.folder / "000001.arrows.damaged").exists()
        gone = {n for n in range(1, one.last) if n not in found}
        if gone != {n for hole in holes for n in range(hole.first, hole.last + 1)}:
            wrong(counts, "unnamed", mutation)
        if (holes and not kept) or (kept and not said.lines):
            wrong(counts, "unnamed", mutation)
        for path in self.folder.iterdir():
            path.unlink()
        (self.folder / "manifest.json").write_bytes(self.manifest)


class Sealed:
    """A sealed session with its rows in Parquet, whose files are damaged one by one."""

    def __init__(self, data: Path, recover_every: int) -> None:
        del recover_every
        self.data = data
        self.folder = verify_help.recorded(data, verify_help.records(60))
        self.about = verify_help.manifest_of(self.folder)
        ParquetStore(data / "parquet").progress(self.about.session, self.about.segments[-1].frames[1])
        status = {"session": self.about.session, "at_ns": NOW_NS, "running": 5.0, "feed": {"state": "connected"}}
        status["feed"] |= {"error": "", "last_frame": 0.1, "last_pong": None}  # type: ignore[operator]  # a dict
        status |= {"journal": {"last_frame": 5, "durable_frame": 5, "last_fsync": 0.1, "error": ""}, "sinks": {}}
        status |= {"builder": {"wanted": 2, "closed": 0, "not_whole": {}, "not_whole_count": 0}}
        (data / "status.json").write_bytes(json_with_hash(status))
        (data / "recorder.json").write_bytes(json_with_hash({"pid": 4321, "session": "s", "addresses": []}))
        self.files = {path: path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file()}
        self.records = self._records()
        self.rows = self._rows()
        self.status = examine(data, NOW_NS)
        if verify_help.checked(data).exit_code:
            raise RuntimeError("the session was not whole to begin with")

    def mutations(self) -> Iterator[Mutation]:
        """Every bit of every file but the segments': `tests/test_journal_damage.py` has those."""
        for path, data in self.files.items():
            if path.suffix != ".arrows":
                for one in flips(data):
                    yield one._replace(what=f"{path.relative_to(self.data)}: {one.what}")
                for at in {0, len(data) // 2, max(len(data) - 1, 0)}:
                    yield Mutation(f"{path.relative_to(self.data)}: cut at {at}", data[:at], (at, len(data)))

    def judge(self, number: int, mutation: Mutation, counts: Counts) -> None:
        """One mutation: verified, read, and looked at by a start."""
        del number
        path = self.data / mutation.what.partition(": ")[0]
        path.write_bytes(mutation.data)
        if not self._named(path):
            wrong(counts, "unnamed", mutation)
        if self._records() != self.records or not self._rows().items() <= self.rows.items():
            wrong(counts, "silent", mutation)
        said = Said()
        logging.getLogger("kalshi_trio").addHandler(said)
        left_behind(self.data, ["parquet"])
        logging.getLogger("kalshi_trio").removeHandler(said)
        if any("cannot be" in line for line in said.lines) or self._records() != self.records:
            wrong(counts, "not_started", mutation)
        self._put_back(path)

    def _named(self, path: Path) -> bool:
        """By `verify`; what only says how a running recorder is, by who reads it: it is right, or said to be wrong."""
        if path.name == "status.json":
            found = examine(self.data, NOW_NS)
            return found == self.status or bool(found[1])
        if path.name == "recorder.json":
            return holder_of(self.data) in (0, 4321)
        if path.parent.name == "_progress":
            return ParquetStore(self.data / "parquet").hint(self.about.session) >= 0
        return verify_help.checked(self.data).exit_code == 4

    def _put_back(self, path: Path) -> None:
        for other in self.data.rglob("*"):
            if other.is_file() and other not in self.files:
                other.unlink()
        for other, data in self.files.items():
            if not other.exists() or other == path or other.parent == self.folder:
                other.write_bytes(data)

    def _records(self) -> list[object]:
        return [
            found if isinstance(found, Hole) else found.records
            for found in read_around(self.folder, 0, self.about.segments[-1].frames[1])
        ]

    def _rows(self) -> dict[tuple[str, int, int], str]:
        source, found = ParquetRows(self.data / "parquet"), {}
        damaged: list[RowDamage] = []
        for table in ROW_SCHEMAS:
            for rows in source.batches(table, self.about.session, report=damaged.append):
                for row in rows.to_pylist():
                    found[table, row["frame"], row["row"]] = repr(row)
        return found


def wrong(counts: Counts, what: str, mutation: Mutation) -> None:
    """Counts it."""
    setattr(counts, what, getattr(counts, what) + 1)
    counts.first_wrong = counts.first_wrong or f"{what}: {mutation.what}"


CAMPAIGNS: dict[str, Callable[[Path, int], OpenSegment | Sealed]] = {"open segment": OpenSegment, "sealed": Sealed}


def worker(name: str, every: int, recover_every: int, start: int, notes: Path) -> None:
    """One campaign from mutation `start` on; what it has come to stands in `notes` all the time."""
    logging.getLogger("kalshi_trio").propagate = False
    logging.getLogger("kalshi_trio").addHandler(logging.NullHandler())
    counts = Counts()
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  a folder of our own in it
    with (
        tempfile.TemporaryDirectory(dir=base) as folder,
        mock.patch("os.fsync"),
        mock.patch("os.fdatasync"),
        notes.open("r+b", buffering=0) as file,
    ):
        campaign = CAMPAIGNS[name](Path(folder) / "data", recover_every)
        total = sum(1 for _ in campaign.mutations()) if not start else 0
        for number, mutation in islice(enumerate(campaign.mutations()), start, None, every):
            text = json.dumps({"number": number, "what": mutation.what, "total": total, **asdict(counts)})
            file.seek(0)
            file.write(text.encode().ljust(1000))
            counts.tried += 1
            try:
                campaign.judge(number // every, mutation, counts)
            except Exception as error:  # noqa: BLE001  what is counted
                wrong(counts, "raised", mutation)
                counts.first_wrong += f" ({type(error).__name__}: {error})" if counts.raised == 1 else ""
                campaign = CAMPAIGNS[name](Path(folder) / f"data{number}", recover_every)
        file.seek(0)
        file.write(json.dumps({"number": -1, "what": "", "total": total, **asdict(counts)}).encode().ljust(1000))


def run(name: str, every: int, recover_every: int, *, quiet: bool) -> Counts:
    """One campaign in processes of its own."""
    whole = Counts()
    start, total, began = 0, 0, time.monotonic()
    with tempfile.NamedTemporaryFile(suffix=".json") as notes:
        while True:
            notes.seek(0)
            notes.truncate()
            notes.flush()
            command = [
                sys.executable,
                __file__,
                "--worker",
                name,
                str(every),
                str(recover_every),
                str(start),
                notes.name,
            ]
            child = subprocess.Popen(command)
            while child.poll() is None:
                time.sleep(0.5)
                text = Path(notes.name).read_text()
                if text.strip() and not quiet:
                    _show(name, json.loads(text), total, time.monotonic() - began)
            said = json.loads(Path(notes.name).read_text())
            total = total or said["total"]
            for field in ("tried", "raised", "silent", "others_lost", "unnamed", "not_started"):
                setattr(whole, field, getattr(whole, field) + said[field])
            whole.first_wrong = whole.first_wrong or said["first_wrong"]
            if child.returncode == 0:
                return whole
            whole.crashes, whole.tried = whole.crashes + 1, whole.tried + 1
            whole.first_wrong = whole.first_wrong or f"crash {child.returncode}: {said['what']}"
            start = said["number"] + every


def _show(name: str, said: dict[str, int], total: int, seconds: float) -> None:
    total, at = total or said["total"], said["number"]
    if at > 0 and total and sys.stderr.isatty():
        left = seconds * (total - at) / at
        print(f"\r{name}: {at:,} of {total:,}, {left:.0f}s left   ", end="", file=sys.stderr)


def main() -> None:
    """Runs both, prints what they came to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--other-every", type=int, default=1)
    parser.add_argument("--recover-every", type=int, default=16)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = {
        "open segment": run("open segment", asked.every, asked.recover_every, quiet=asked.json),
        "sealed": run("sealed", asked.other_every, 1, quiet=asked.json),
    }
    if asked.json:
        print(json.dumps({name: asdict(counts) for name, counts in found.items()}))
    else:
        for name, counts in found.items():
            print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in asdict(counts).items()))
    sys.exit(any(counts.bad for counts in found.values()))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]), Path(sys.argv[6]))
    else:
        main()
