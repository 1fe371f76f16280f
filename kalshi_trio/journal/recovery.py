"""After a crash: sessions whose manifest is still open are cut at their last whole batch and get their last record.

What is damaged before that costs its batch alone: the records stay missing, by name, and the file is kept as it was found.

May itself be killed at any point: the next start does it again, with the same result.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import NamedTuple

from kalshi_trio.errors import JournalError
from kalshi_trio.journal import checkpoints
from kalshi_trio.journal import manifest as manifests
from kalshi_trio.journal.batches import (
    NEVER,
    Damage,
    about_segment,
    batches,
    closed_index,
    first_frame,
    last_of_file,
    scan_file,
    tagged,
)
from kalshi_trio.journal.disk import end_segment, rewrite
from kalshi_trio.journal.files import SegmentWriter, open_regular, sync_folder
from kalshi_trio.journal.folder import sessions
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.journal.names import DAMAGED, free_segment, part_path, segment_files, segment_of, strangers
from kalshi_trio.journal.reading import missing_of, newest_frame, read_session, segments_of
from kalshi_trio.journal.scanning import END, plain_scan
from kalshi_trio.journal.segment import encode
from kalshi_trio.logging_config import get_logger
from kalshi_trio.protocol.records import Records

log = get_logger(__name__)


class Recovered(NamedTuple):
    """A session that died: its records are whole again up to `last`, the record that says so."""

    folder: Path
    session: str
    last: int
    """0 if nothing of it had reached the disk, or if that does not give it back now."""
    ended: bool = False
    """Its records are all there, and the last one says that it ended: only its seal is missing."""
    durable: tuple[int, int] = (0, 0)
    """The last record that its recorder wrote, and when the last one that can be read was received (ns, UTC)."""


def recover(data: Path) -> list[Recovered]:
    """Mends every session of `data` whose manifest is open, oldest first. The data folder must be locked by the caller.

    One whose disk refuses stays as it is, which the log says, for the next start; and so does whatever its files contain
    that nobody thought of: the recording that is about to begin is worth more.
    """
    found = []
    for folder in sessions(data):
        about = manifests.read(folder)
        if about is not None and about.verdict != "open":
            continue
        try:
            found.append(_mend(folder, about))
        except Exception as error:  # noqa: BLE001  see above
            what = error if isinstance(error, OSError | JournalError) else f"{type(error).__name__}: {error}"
            log.error("%s cannot be mended now, the next start tries again: %s", folder.name, what)  # noqa: TRY400  the text says it all
            found.append(Recovered(folder, about.session if about else "", 0))
    return found


def _mend(folder: Path, about: Manifest | None) -> Recovered:
    _tidy(folder, about)
    metadata = _metadata(folder, about)
    sealed = {one.file for one in about.segments if one.state == "sealed"} if about else set()
    for parts in segments_of(folder):
        if f"{segment_of(parts[0]):06}.arrows" not in sealed:
            _close(parts, metadata)
    _tell_damage(folder, sealed)
    last_run = _last_run(folder)
    last = newest_frame(folder)  # damaged ones behind the last to be read keep their numbers
    if not last:
        if about is not None:
            about.verdict, about.ended = "cut short", about.started
            manifests.seal(folder, about)
        return Recovered(folder, metadata["session"], 0)
    checkpoints.drop_beyond(folder, last + 1)  # of records that never reached the disk
    event = _event(last_run)
    if last_run is not None and event == "ended":
        return Recovered(folder, metadata["session"], last_run.last, ended=True)
    if last_run is not None and event == "recovered":
        return Recovered(folder, metadata["session"], last_run.last, durable=(last_run.last - 1, last_run.ts_recv))
    appended = _append_recovered(folder, metadata, last_run, last)
    return Recovered(folder, metadata["session"], appended.first, durable=(last, appended.ts_recv))


def _tidy(folder: Path, about: Manifest | None) -> None:
    """Removes what a process left half written, and names what is none of ours: it stays where it is."""
    for leftover in folder.glob("*.tmp"):
        try:
            leftover.unlink()
        except OSError as error:
            log.warning("%s is left alone: %s", leftover, error.strerror)
    for path in strangers(folder):
        log.warning("%s is left alone: it is called like a segment and is none", path)
    path = folder / "manifest.json"
    if about is None and path.is_file():
        keep_as_found(path)
    elif about is None and os.path.lexists(path):
        log.warning("%s is left alone: it is no file", path)


def _metadata(folder: Path, about: Manifest | None) -> dict[str, str]:
    """What the heads of the session's segments say: its id ("" if nobody knows it any more) and the software."""
    if about is not None:
        return {"session": about.session, "software": about.software}
    heads = [head for path in segment_files(folder) if (head := about_segment(path)).get("session")]
    return {"session": "", "software": "", **(heads[0] if heads else {})}


def _close(parts: list[Path], metadata: dict[str, str]) -> None:
    """Makes an open segment a closed one: torn end cut off, its parts put together where they overlap.

    What is damaged in it is named in the new file, and the old one kept beside it.
    """
    if len(parts) == 1 and closed_index(parts[0]) is not None:
        return
    whole, before = part_path(parts[0].parent, segment_of(parts[0]), 1), sum(path.stat().st_size for path in parts)
    if not tagged(whole):
        log.warning("%s: an older version recorded it, its open end has no checksums and is read as it stands", whole)
    missing = missing_of(whole)
    for path in parts:
        if left_out(path):
            keep_as_found(path)
    if not missing and not any(map(last_of_file, parts)):  # nothing whole was ever in it
        for path in parts:
            path.unlink()
        return
    closed = rewrite(whole, metadata, missing)
    log.info("Segment %s: records %d-%d kept (%d bytes before)", whole, closed.first, closed.last, before)


def _tell_damage(folder: Path, sealed: set[str]) -> None:
    """What was lost, and where it is kept as it was found: from the files, so that each start says the same."""
    for path in sorted(folder.glob(f"*{DAMAGED}")):
        log.error("%s: not all of its bytes are what was written; this is the file as it was found", path)
    for path, *_ in segments_of(folder):
        for one in missing_of(path) if path.name not in sealed else ():
            log.error("%s: records %d-%d are lost: %s", path, *one)


def left_out(path: Path) -> bool:
    """Whether a file without a fitting index has bytes that are, or may have been, of whole batches and are none now."""
    if closed_index(path) is not None:
        said: list[Damage] = []
        for _ in batches(path, 0, NEVER, said.append, fields=(0,)):
            pass
        return any(not one.named for one in said)
    if tagged(path):
        found = scan_file(path)
        return bool(found.bad or (found.tail and not found.torn))
    with open_regular(path) as file:
        entries = plain_scan(file)
        file.seek(entries[-1].offset + entries[-1].length if entries else 0)
        rest = file.read()
        return bool(rest.strip(b"\0")) and rest != END


def keep_as_found(path: Path) -> None:
    """The file under a second name, once: who is killed behind this and begins again must not keep the mended one."""
    target = path.with_name(path.name + DAMAGED)
    if target.exists():
        return
    try:
        target.hardlink_to(path)
    except OSError:  # a filesystem without such links
        temporary = target.with_name(target.name + ".tmp")
        shutil.copyfile(path, temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    sync_folder(path.parent)


def _last_run(folder: Path) -> Records | None:
    """The last records of all that can be read; None if there are none."""
    run = None
    for path in reversed(segment_files(folder)):
        first = first_frame(path)
        for frames in read_session(folder, first - 1, damage=_passed_over) if first != NEVER else ():
            run = frames.records[-1]
        if run is not None:
            break
    return run


def _passed_over(_damage: Damage) -> None:
    """`_tell_damage` has said it."""


def _event(last_run: Records | None) -> str:
    if last_run is None or last_run.kind != "session":
        return ""
    found = json.loads(last_run.data[-1])
    return str(found.get("event", "")) if isinstance(found, dict) else ""


def _append_recovered(folder: Path, metadata: dict[str, str], last_run: Records | None, last: int) -> Records:
    """Writes the session's last record, behind record `last`, in a segment of its own, and returns it."""
    path = part_path(folder, free_segment(folder), 1)
    event = {"event": "recovered", "verdict": "cut short", "last_frame": last, "at_ns": time.time_ns()}
    # Stamped as the record before it: nothing is known of later, and its rows fall on the same day each time.
    stamps = (last_run.ts_recv, last_run.mono_ns) if last_run else (time.time_ns(), 0)
    record = Records(last + 1, "session", 0, *stamps, [json.dumps(event).encode()])
    writer = SegmentWriter(path.with_suffix(".arrows.tmp"), metadata)
    writer.append(encode([record]))
    end_segment(writer, path)
    return record
