"""Whatever befalls a session: journal → builder → rows, against plain dicts that share no code with them.

`KALSHI_PROPERTY_EXAMPLES=5000` asks for more sessions than CI plays, drawn anew each time; a failure says how to repeat it.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from fed import plain
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from plain_model import Plain
from plain_wire import Row
from scenes import SCENES, Scene
from stage import Stage

from kalshi_trio.fold import Fold
from kalshi_trio.journal import checkpoints
from kalshi_trio.journal.checkpoints import Checkpoint, Spacing
from kalshi_trio.journal.digest import Digests, TableDigest
from kalshi_trio.journal.disk import Disk
from kalshi_trio.journal.index import read_index
from kalshi_trio.journal.names import part_path
from kalshi_trio.journal.reading import Hole, read_around
from kalshi_trio.protocol.builder import Builder, SegmentEnd
from kalshi_trio.protocol.coverage import covered, missing
from kalshi_trio.protocol.schema import ROW_SCHEMAS, RowBatch
from kalshi_trio.protocol.state import State
from kalshi_trio.rebuild import Rebuild

ASKED = os.environ.get("KALSHI_PROPERTY_EXAMPLES")
SETTINGS = settings(
    max_examples=int(ASKED or 120),
    derandomize=not ASKED,
    print_blob=True,
    phases=[Phase.generate, Phase.shrink],
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class Written:
    """A scene's session on disk, damaged as the scene says; and what plain dicts make of it."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        self.folder, self.stage = folder, Stage(scene)
        self.ends: list[tuple[SegmentEnd, Digests]] = []
        self.saved: list[int] = []
        self.fold = Fold("s", self._segment_over, save=self._save, spacing=Spacing(15, 0))
        disk = Disk(folder, {"format": "1", "session": "s", "software": "0"})
        flushes = [flush for flush in self.stage.flushes if flush[1]]
        for segment, some in flushes:
            disk.write([(segment, records) for records in some])
        disk.end()
        harmed = {number % len(flushes) for number in scene.harmed}
        for number in harmed:
            segment, some = flushes[number]
            _harm(part_path(folder, segment, 1), some[0].first)
        self.plain = Plain()
        for number, (_, some) in enumerate(flushes):
            if number in harmed:
                self.plain.lost()
                continue
            for records in some:
                for frame, data in enumerate(records.data, records.first):
                    self.plain.record(
                        *(frame, records.kind, records.connection, records.ts_recv, records.mono_ns), data
                    )

    def _segment_over(self, end: SegmentEnd, rows: Digests) -> None:
        self.ends.append((end, rows))
        self._save(Checkpoint(end.segment + 1, end.last + 1, end.checkpoint, end.latest_ns))

    def _save(self, checkpoint: Checkpoint) -> None:
        self.saved.append(checkpoint.first)
        checkpoints.save(self.folder, checkpoint)

    def rows(self) -> dict[str, list[Row]]:
        """All rows, from the first record on."""
        batches = [b for found in read_around(self.folder, 0, self.stage.last) for b in self.fold.feed(found)]
        self.fold.end()
        return rows_of(batches)


def _harm(path: Path, first: int) -> None:
    index = read_index(path.with_suffix(".index"))
    assert index is not None
    (entry,) = (entry for entry in index.entries if entry.first_frame == first)
    data = bytearray(path.read_bytes())
    data[entry.offset + entry.length // 2] ^= 1
    path.write_bytes(data)


def rows_of(batches: list[RowBatch]) -> dict[str, list[Row]]:
    """Rows as plain values; those of one frame are numbered from 0, and all of a batch came on its date."""
    rows: dict[str, list[Row]] = {name: [] for name in ROW_SCHEMAS}
    for batch in batches:
        for name, table in batch.tables.items():
            assert set(table["ts_recv"].cast(pa.date32()).to_pylist()) == {batch.date}
            rows[name] += plain(table)
    for some in rows.values():
        places = Counter[int]()
        for row in some:
            assert row.pop("row") == places[row["frame"]]
            places[row["frame"]] += 1
    return rows


def by(rows: list[Row], *names: str) -> dict[Any, list[Row]]:
    """Rows in their order, by these columns."""
    found = defaultdict(list)
    for row in rows:
        found[tuple(row[name] for name in names)].append(row)
    return dict(found)


def assert_explained(rows: dict[str, list[Row]], model: Plain) -> None:
    """Each row is one that plain dicts make, and none is missing; where several markets share a frame, in any order."""
    for name in ("deltas", "snapshots", "trades", "tickers", "lifecycle", "sessions"):
        assert rows[name] == model.rows[name]
    assert by(rows["top_of_book"], "market") == by(model.rows["top_of_book"], "market")
    for columns in (("gap_frame", "cause", "expected"), ("event",)):
        assert sets(by(rows["gaps"], *columns)) == sets(by(model.rows["gaps"], *columns))
    for (gap, *_), some in by(rows["gaps"], "gap_frame").items():
        assert some[0]["frame"] == gap
        assert some[0]["event"] == "opened"


def sets(groups: dict[Any, list[Row]]) -> dict[Any, list[str]]:
    """Without the order inside each group."""
    return {group: sorted(repr(sorted(row.items())) for row in rows) for group, rows in groups.items()}


def assert_counted(builder: Builder, model: Plain, rows: dict[str, list[Row]]) -> None:
    """The tally balances, and says what there was."""
    tally = builder.state.tally
    counted = {what: getattr(tally, what) for what in ("received", "control", "refused", "unknown")}
    assert counted == {what: model.tally[what] for what in counted}
    of_rows = len(rows["deltas"]) + len({row["frame"] for row in rows["snapshots"]})
    of_rows += sum(len(rows[name]) for name in ("trades", "tickers", "lifecycle"))
    assert tally.received == of_rows + tally.control + tally.unknown + tally.refused
    assert tally.by_type == {kind: many for kind, many in model.types.items() if many}
    state, gaps = builder.state, model.gaps
    assert (state.gaps_opened, state.gaps_healed, state.gaps_repeated) == (gaps.opened, gaps.healed, gaps.again)


def assert_covered(state: State, model: Plain) -> None:
    """Of every wanted market, what it was at each moment; and the gaps that are open are no longer than the rows say."""
    began, end = model.began or 0, state.last_ns
    for market in model.wanted:
        book = model.books.get(market)
        assert covered(state, market) == (book["cover"].spans(began, max(began, end)) if book else [])
    assert missing(state) == [m for m in model.wanted if m not in model.books or not model.books[m]["had"]]


def assert_books_come_back(rows: dict[str, list[Row]]) -> None:
    """From the rows alone: every size follows from the rows before it, every top is the best of the book then."""
    books: dict[str, dict[str, dict[str, str]]] = defaultdict(lambda: {"yes": {}, "no": {}})
    tops = by([row for row in rows["top_of_book"] if row["valid"]], "book_frame", "market")
    happened = sorted(rows["deltas"] + rows["snapshots"], key=lambda row: row["frame"])
    for (frame, market), some in by(happened, "frame", "market").items():
        book = books[market]
        if "levels" in some[0]:
            book |= {side: {row["price"]: row["size"] for row in some if row["side"] == side} for side in book}
        for row in some:
            if row.get("valid"):
                levels = book[row["side"]]
                assert Decimal(levels.get(row["price"], 0)) + Decimal(row["delta"]) == Decimal(row["size"])
                levels[row["price"]] = row["size"]
        for top in tops.pop((frame, market), ()):
            sides = {s: {p: n for p, n in levels.items() if Decimal(n)} for s, levels in book.items()}
            bid, no = max(sides["yes"], default=None), max(sides["no"], default=None)
            ask = None if no is None else str(1 - Decimal(no))
            assert (top["bid"], top["ask"]) == (bid, ask)
            assert (top["bid_size"], top["ask_size"]) == (sides["yes"].get(bid or ""), sides["no"].get(no or ""))
    assert not tops


@SETTINGS
@given(SCENES)
def test_every_row_is_what_plain_dicts_make_of_the_journal(scene: Scene) -> None:
    with tempfile.TemporaryDirectory() as folder:
        written = Written(scene, Path(folder))
        rows = written.rows()

    assert_explained(rows, written.plain)
    assert_counted(written.fold.builder, written.plain, rows)
    assert_covered(written.fold.builder.state, written.plain)
    assert_books_come_back(rows)


@settings(SETTINGS, max_examples=SETTINGS.max_examples // 3)
@given(SCENES, st.integers(0, 1_000))
def test_rows_from_any_checkpoint_and_in_any_pieces_are_the_rows_from_the_start(scene: Scene, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  test data
    with tempfile.TemporaryDirectory() as folder:
        written = Written(scene, Path(folder))
        rows, last = written.rows(), written.stage.last
        for after in {0, *(first - 1 for first in written.saved), chance.randint(0, last)}:
            rest = {name: [row for row in some if row["frame"] > after] for name, some in rows.items()}
            assert rest == rows_behind(written, after, chance)
        pieces = list(cut_anew(written, chance))

    for end, digests in written.ends:
        for name, (count, digest) in digests.items():
            again = TableDigest(name)
            mine = [
                table for frames, tables in pieces for table in tables.get(name, ()) if end.first <= frames <= end.last
            ]
            for table in mine:
                again.update(table)
            assert (sum(table.num_rows for table in mine), again.hexdigest()) == (count, digest)


def rows_behind(written: Written, after: int, chance: random.Random) -> dict[str, list[Row]]:
    """The rows behind this record, made again from the nearest checkpoint."""
    rebuild, last, batches = Rebuild(written.folder, "s", after), written.stage.last, list[RowBatch]()
    while rebuild.builder.state.frame < last:
        batches += rebuild.piece(chance.randint(rebuild.builder.state.frame + 1, last))
    return rows_of(batches)


def cut_anew(written: Written, chance: random.Random) -> Iterator[tuple[int, dict[str, list[pa.Table]]]]:
    """The same records in other reads and batches; each batch with its last record's number."""
    builder = Builder("s")
    for found in read_around(written.folder, 0, written.stage.last):
        if isinstance(found, Hole):
            builder.lost(found.last)
            continue
        for records in found.records:
            at = 0
            while at < len(records.data):
                size = chance.randint(1, 20)
                builder.feed(records._replace(first=records.first + at, data=records.data[at : at + size]))
                at += size
                if chance.random() < 0.2:
                    for made in builder.take():
                        yield made.hi, {name: [table] for name, table in made.rows().tables.items()}
        for made in builder.take():
            yield made.hi, {name: [table] for name, table in made.rows().tables.items()}


def test_the_sessions_that_are_drawn_have_every_kind_of_gap() -> None:
    causes, depth = Counter[str](), Counter[str]()

    @settings(SETTINGS, max_examples=90)
    @given(SCENES)
    def look(scene: Scene) -> None:
        with tempfile.TemporaryDirectory() as folder:
            model = Written(scene, Path(folder)).plain
        causes.update(row["cause"] for row in model.rows["gaps"] if row["event"] == "healed")
        depth.update("valid" if row["valid"] else "not" for row in model.rows["deltas"] + model.rows["top_of_book"])

    look()

    assert {
        *("sequence", "joined_late", "reconnect", "stall", "impossible_book"),
        *("overflow", "channel_error"),
    } <= set(causes)
    assert {"damage", "crash", "unreadable", "no_book"} <= set(causes)
    assert min(depth.values()) > 300
