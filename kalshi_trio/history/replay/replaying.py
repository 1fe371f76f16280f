"""`replay`: a recorded session once more through the same builder and sinks."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec
import trio

from kalshi_trio.errors import UsageError
from kalshi_trio.history.commands import sealed
from kalshi_trio.history.imports.importing import import_files
from kalshi_trio.history.replay.choice import Choice
from kalshi_trio.history.replay.replay_sinks import close_all, held_folders, open_all, parse_sinks
from kalshi_trio.history.replay.retelling import Replayed, story_of, tell
from kalshi_trio.history.times import Clock, Point, span
from kalshi_trio.history.workshop import logged, stored_in, work
from kalshi_trio.journal import manifest as manifests
from kalshi_trio.journal.folder import sessions
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.logging_config import get_logger
from kalshi_trio.observe.figures import plural
from kalshi_trio.observe.summary import Ending, say_summary
from kalshi_trio.observe.terminal import Terminal
from kalshi_trio.settings import Settings
from kalshi_trio.tasks.writer import Sink, ask_rows
from kalshi_trio.thread import Door

log = get_logger(__name__)


@dataclass(frozen=True)
class Wish:
    """What of a session is wanted, and how fast; `speed` None: as fast as may be."""

    start: Point | None = None
    end: Point | None = None
    clock: Clock = "receive"
    markets: tuple[str, ...] = ()
    speed: float | None = None


async def replay(settings: Settings, console: Terminal, what: str, wish: Wish, specs: Sequence[str]) -> Replayed:
    """Tells a session (a foreign recording is imported first) to the sinks that `specs` name; without any it is only folded.

    Raises UsageError, ConfigError, NotReachable, InUse, FolderNotWritable, and Stopped: the next time goes on there.
    """
    settings = settings.anchored()
    sinks = parse_sinks(specs, settings)
    folder, manifest = await found(settings, console, what)
    with ExitStack() as stack:
        stack.enter_context(logged(settings, console))
        stack.enter_context(held_folders(specs))
        async with work(f"Replay of {manifest.name}") as session:
            began = time.monotonic()
            story = story_of(folder, manifest, await Door().run(choice_of, folder, manifest, wish))
            try:
                await open_all(sinks)
                proofs = await tell(story, sinks, session, console, wish.speed)
                await ask_rows(sinks, story.session)
            finally:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
                    await close_all(sinks)
            done = Replayed(story, proofs, time.monotonic() - began)
        places = {sink.store.name: spec.partition("=")[2] for sink, spec in zip(sinks, specs, strict=True)}
        _say(done, sinks, places, console)
    return done


async def found(settings: Settings, console: Terminal, what: str) -> tuple[Path, Manifest]:
    """The session that is meant: of this data folder, or a foreign recording's, which becomes one unless it is already.

    Raises UsageError.
    """
    path = Path(what)
    if not await Door().run(path.is_file):
        return sealed(settings, what)
    known = await Door().run(_imported, settings.data_dir, path)
    if known is None:
        only_journal = settings.model_copy(update={"parquet": False, "clickhouse": False})
        known = (await import_files(only_journal, console, [path])).name
    return sealed(settings, known)


def _imported(data: Path, path: Path) -> str | None:
    """The session that was made of this very file, and of no other."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    for folder in sessions(data):
        manifest = manifests.read(folder)
        files = manifest.settings.get("files") if manifest and manifest.verdict != "open" else None
        if isinstance(files, list) and [one.get("sha256") for one in files] == [sha256]:
            return folder.name
    return None


def choice_of(folder: Path, manifest: Manifest, wish: Wish) -> Choice:
    """Blocking: the records and markets that are wished for. Raises UsageError."""
    last = manifest.segments[-1].frames[1] if manifest.segments else 0
    known = {*manifest.markets, *manifest.coverage}
    if strange := [market for market in wish.markets if market not in known]:
        some = ", ".join(sorted(known)[:5])
        raise UsageError(
            f"{manifest.name} has no market {strange[0]} (it has {len(known)}: {some}{', …'[: 3 * (len(known) > 5)]})."
        )
    first, last = span(folder, last, wish.start, wish.end, wish.clock)
    return Choice(first, last, tuple(sorted(set(wish.markets))))


def _say(done: Replayed, sinks: Sequence[Sink], places: dict[str, str], console: Terminal) -> None:
    story, rows = done.story, {proof.table: proof.now for proof in done.proofs}
    manifest = msgspec.structs.replace(
        story.manifest,
        name=story.manifest.name + story.session.removeprefix(story.manifest.session),
        tally=msgspec.structs.replace(story.manifest.tally, rows=rows),
        lateness_ms={},
        fields=story.manifest.fields if story.whole else {},
    )
    part = "" if story.whole else _part(story.choice)
    stored = stored_in(manifest, story.choice.last, sinks, story.session)
    say_summary(Ending(manifest, stored, done.seconds, places=places, part=part), console)
    records = story.choice.records
    log.info("Replayed %d records in %.2fs: %d a second", records, done.seconds, records / max(done.seconds, 1e-9))


def _part(choice: Choice) -> str:
    markets = f", rows of {plural(len(choice.markets), 'market')}" if choice.markets else ""
    return f"records {choice.first:,} to {choice.last:,}{markets}"
