"""`import`: foreign recordings become a session of this data folder, stored in the configured sinks."""

from __future__ import annotations

from pathlib import Path

from kalshi_trio.history.importer import Importer
from kalshi_trio.history.survey import Survey, look
from kalshi_trio.history.workshop import all_of, held, store, work
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.logging_config import get_logger
from kalshi_trio.observe.progress import progress
from kalshi_trio.observe.terminal import Terminal
from kalshi_trio.settings import Settings
from kalshi_trio.startup import Older, make_sinks

log = get_logger(__name__)


async def import_files(settings: Settings, console: Terminal, files: list[Path]) -> Manifest:
    """Makes a session of foreign recordings and stores its rows in the configured sinks.

    Raises UsageError for files that hold no frame, Stopped (nothing is kept of a session that is not whole).
    """
    settings = settings.anchored()
    survey = Survey([path.absolute() for path in files])
    with held(settings, console) as name:
        async with work("Import") as session:
            with progress("Looking at lines", None, console) as advance:
                whole = await all_of(look(survey), session, advance)
            importer = Importer(survey, name, settings.journal_segment_records)
            try:
                with progress("Importing lines", survey.lines, console) as advance:
                    whole = whole and await all_of(importer.steps(), session, advance)
            finally:
                importer.abandon()
            if whole:
                _say(survey, importer.manifest)
                older = Older(name.folder, name.session, importer.last)
                await store(older, make_sinks(settings), session, console)
    return importer.manifest


def _say(survey: Survey, manifest: Manifest) -> None:
    for one in survey.refused[:20]:
        log.warning("Refused %s, line %d: %s", *one)
    if survey.refused or survey.private:
        log.warning("Refused %d lines; %d frames of private channels left out", len(survey.refused), survey.private)
    tally, count = manifest.tally, len(manifest.coverage)
    log.info("Imported %d frames of %d markets as %s: %s", tally.received, count, manifest.name, manifest.verdict)
