"""`export`: a session, or a part of it, as files that other tools read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kalshi_trio.errors import FolderNotWritable
from kalshi_trio.history.exports.makers import FORMATS, Maker, Wanted
from kalshi_trio.history.exports.target import Target
from kalshi_trio.history.replay.replaying import Wish, choice_of, found
from kalshi_trio.history.workshop import all_of, logged, work
from kalshi_trio.journal.reading import Hole, read_around
from kalshi_trio.journal.window import Frames
from kalshi_trio.logging_config import get_logger
from kalshi_trio.observe.progress import progress
from kalshi_trio.observe.terminal import Terminal
from kalshi_trio.session import Session
from kalshi_trio.settings import Settings
from kalshi_trio.thread import Door

log = get_logger(__name__)


class Exported(NamedTuple):
    """What came of it; `notes` says what the format does not carry."""

    session: str
    format: str
    out: str
    records: tuple[int, int]
    written: int
    unit: str
    notes: list[str]


async def export(
    settings: Settings, console: Terminal, what: str, wish: Wish, form: str, out: Path, table: str | None
) -> Exported:
    """Writes a session that is over (a foreign recording is imported first) to `out`, which must not exist yet.

    Raises UsageError, FolderNotWritable, and Stopped: then nothing is left of it.
    """
    settings = settings.anchored()
    folder, manifest = await found(settings, console, what)
    with logged(settings, console):
        choice = await Door().run(choice_of, folder, manifest, wish)
        target = Target(out.absolute())  # noqa: ASYNC240 -- no more than a name
        wanted = Wanted(folder, manifest, choice, target.path, table)
        try:
            maker = await Door().run(FORMATS[form], wanted, target)
            async with work(f"Export of {manifest.name}") as session:
                if await _make(maker, wanted, session, console):
                    target.keep()
        finally:
            target.abandon()
        span, notes = (choice.first, choice.last), maker.notes
        done = Exported(manifest.name, form, str(out), span, maker.written, maker.unit, notes)
        log.info("Exported %d %s of %s to %s", done.written, done.unit, done.session, done.out)
        for note in done.notes:
            log.debug("Not carried: %s", note)
    return done


async def _make(maker: Maker, wanted: Wanted, session: Session, console: Terminal) -> bool:
    """Whether it is whole."""
    try:
        with progress("Exporting records", wanted.choice.last - maker.after, console) as advance:
            return await all_of(_steps(maker, wanted), session, advance)
    except OSError as error:
        raise FolderNotWritable(f"{wanted.out}: {error.strerror or error}. Choose another --out.") from error
    finally:
        maker.close()


def _steps(maker: Maker, wanted: Wanted) -> Iterator[int]:
    """Blocking: how many records are done."""
    first, last = wanted.choice.first, wanted.choice.last
    for records in read_around(wanted.folder, maker.after, first - 1):
        maker.pass_over(records)
        yield _last(records) - maker.after
    for records in read_around(wanted.folder, first - 1, last):
        maker.take(records)
        yield _last(records) - maker.after
    for _ in maker.end():
        yield last - maker.after


def _last(records: Frames | Hole) -> int:
    return records.last if isinstance(records, Hole) else records.records[-1].last
