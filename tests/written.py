"""Records written as a session on disk, sealed, with as many checkpoints as a test wants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import groupby, islice
from pathlib import Path

from kalshi_trio.fold import Fold
from kalshi_trio.journal import checkpoints
from kalshi_trio.journal.checkpoints import Checkpoint, Spacing
from kalshi_trio.journal.digest import Digests
from kalshi_trio.journal.disk import Disk, rewrite
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.journal.window import Frames, cut
from kalshi_trio.protocol.builder import Builder, SegmentEnd
from kalshi_trio.protocol.records import Records
from kalshi_trio.sealing import Sealer, verdict_of

READS = 300


def write(data: Path, records: Iterable[Records], *, segment: int = 10_000, every: int = 1_000) -> Path:
    """The folder of a session of these records: so many a segment, so many between two checkpoints."""
    folder = data / "sessions" / "SESSION_20261124_050102"
    name = "20261124_050102-00000001"
    disk, sealer = (
        Disk(folder, {"format": "1", "session": name}),
        Sealer(folder, Manifest(name, folder.name, "", "", "")),
    )
    some = list(records)
    last = some[-1].last

    def ended(end: SegmentEnd, rows: Digests) -> None:
        sealer.segment(end, rows, more=end.last < last)

    disk.open()
    checkpoints.save(folder, Checkpoint(1, 1, Builder(name).dump(), 0))
    fold = Fold(name, ended, save=partial(checkpoints.save, folder), spacing=Spacing(every, 0))
    for frames in segments(some, segment):
        disk.write([(frames.segment, run) for run in frames.records])
        fold.feed(frames)
    disk.end()
    fold.end()
    state = fold.builder.state
    sealer.begun(state)
    closed = [rewrite(folder / one.file, disk.metadata) for one in disk.closed]
    sealer.finish(state, verdict_of(state), closed, {})
    return folder


def segments(some: Iterable[Records], most: int) -> Iterator[Frames]:
    """The records, cut so that each segment has `most`, some hundred reads at a time."""
    for segment, runs in groupby(_cut(some, most), key=lambda run: (run.first - 1) // most + 1):
        while piece := list(islice(runs, READS)):
            yield Frames(segment, piece)


def _cut(some: Iterable[Records], most: int) -> Iterator[Records]:
    for run in some:
        while run.last > (end := -(-run.first // most) * most):
            yield run._replace(data=run.data[: end + 1 - run.first])
            run = cut(run, end)  # noqa: PLW2901  what is left of it
        yield run
