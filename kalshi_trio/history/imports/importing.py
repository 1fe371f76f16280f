"""`import`: foreign recordings become a session of this data folder, stored in the configured sinks."""

from __future__ import annotations

from pathlib import Path

from kalshi_trio.errors import FolderNotWritable, JournalUnwritable
from kalshi_trio.history.imports.importer import Importer
from kalshi_trio.history.imports.looking import Looking
from kalshi_trio.history.imports.survey import Survey
from kalshi_trio.history.workshop import all_of, held, store, work
from kalshi_trio.journal import manifest as manifests
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.logging_config import get_logger
from kalshi_trio.observe.progress import progress
from kalshi_trio.observe.terminal import Terminal
from kalshi_trio.session import Session
from kalshi_trio.settings import Settings
from kalshi_trio.startup import Older, make_sinks
from kalshi_trio.thread import Door

log = get_logger(__name__)


async def import_files(
    settings: Settings, console: Terminal, files: list[Path], time_unit: str | None = None
) -> Manifest:
    """Makes a session of foreign recordings and stores its rows in the configured sinks.

    The files are one recording, in the order given. `time_unit` is that of times whose keys name none. Raises
    UsageError for files that hold no frame or change meanwhile, FolderNotWritable, Stopped; nothing is kept of a
    session that is not whole. Files that are in the folder already are left out; where all are, the session that has
    them is returned, and nothing is stored.
    """
    settings = settings.anchored()
    looking = Looking([path.absolute() for path in files], time_unit, settings.data_dir)
    size = sum(path.stat().st_size for path in looking.survey.paths)  # noqa: ASYNC240 -- a few names, before there is a loop to hold up
    with held(settings, console) as name:
        importer = None
        async with work("Import") as session:
            with progress("Looking at bytes", 2 * size, console) as advance:
                whole = await all_of(looking.steps(), session, advance)
            survey = looking.survey
            if whole:
                _warn(looking)
            if whole and not survey.paths:
                return await Door().run(_there, settings.data_dir, looking)
            if whole:
                importer = Importer(survey, name, settings.journal_segment_records, settings.shown())
                whole = await _made(importer, session, size, console)
            if importer is not None and whole:
                _say(survey, importer.manifest)
                older = Older(name.folder, name.session, importer.last)
                await store(older, make_sinks(settings), session, console)
                if session.stopping.is_set():
                    log.warning("%s is whole; `rebuild %s` stores the rest of its rows", *2 * (name.folder.name,))
    assert importer is not None  # noqa: S101 -- else `work` has raised Stopped
    return importer.manifest


async def _made(importer: Importer, session: Session, size: int, console: Terminal) -> bool:
    """Whether the session is whole; else nothing of it is left."""
    try:
        with progress("Importing bytes", size, console) as advance:
            return await all_of(importer.steps(), session, advance)
    except JournalUnwritable as error:
        raise FolderNotWritable(str(error)) from error
    finally:
        importer.abandon()


def _warn(looking: Looking) -> None:
    """Of files that are odd as a whole."""
    survey = looking.survey
    for name, before in () if survey.together else survey.backwards:
        log.warning("%s begins before %s ended: files are taken in the order in which they are given", name, before)
    for name, where in looking.left_out:
        log.warning("%s was imported before, as %s: it is left out", name, where)
    for where in looking.exports:
        log.info("This is an export of %s, which is in this folder: a second session is made of it", where)
    if survey.apart:
        log.warning(
            "The files tell of the same time, and their numbers differ: each is taken as a connection of its own"
        )
    elif survey.together:
        log.info("The files tell of the same time of a connection: their frames are put in order by time and number")
    for path, lines in zip(survey.paths, survey.repeats, strict=False):
        if lines:
            log.info("%s begins with %d lines that the file before it ended with: they are left out", path.name, lines)


def _there(data: Path, looking: Looking) -> Manifest:
    """Blocking: the session that has it all already."""
    name = looking.left_out[-1][1]
    manifest = manifests.read(data / "sessions" / name)
    log.warning("Nothing was imported: it is all in %s already. `rebuild %s` stores its rows again", name, name)
    assert manifest is not None  # noqa: S101 -- it was read a moment ago
    return manifest


def _say(survey: Survey, manifest: Manifest) -> None:
    for one in survey.refused:
        log.warning("Refused %s, line %d: %s", *one)
    if survey.refusals > len(survey.refused):
        log.warning("Refused %d more lines", survey.refusals - len(survey.refused))
    if survey.left_out or survey.sent:
        log.warning("Left out: %d frames of private channels, %d that the client sent", survey.left_out, survey.sent)
    if again := survey.repeated + sum(survey.repeats):
        log.info("%d lines are in more than one file: each is taken once", again)
    if survey.timeless:
        log.info("%d frames do not say when they were received: times are the exchange's", survey.timeless)
    tally, gaps = manifest.tally, manifest.gaps
    if not tally.decoded:
        types = ", ".join(name for name in tally.by_type) or "none that can be read"
        log.warning("No frame of it was understood: it makes no row. Types of its frames: %s", types[:200])
    verdict: str = manifest.verdict
    if gaps["opened"]:
        verdict += f" ({gaps['opened']} opened, {gaps['healed']} healed)"
    if survey.refusals or tally.refused:
        verdict += f"; refused {survey.refusals} lines and {tally.refused} frames"
    what = (tally.received, len(survey.markets), len(survey.runs), manifest.name, verdict)
    log.info("Imported %d frames of %d markets from %d connections as %s: %s", *what)
