"""Which session a folder is of, by the votes of all that say so: any one of them may be damaged."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from pathlib import Path

from kalshi_trio.journal.batches import about_segment
from kalshi_trio.journal.files import read_regular
from kalshi_trio.journal.manifest import Manifest
from kalshi_trio.journal.names import segment_files

_NAMED = re.compile(r"^Session `([^`]+)`", re.MULTILINE)


def session_id(folder: Path, manifest: Manifest | None) -> str:
    """The id that manifest, README.md and the heads of the segments have, "" if none of them has one."""
    votes = Counter(_heads(folder))
    votes.update(_NAMED.findall(_text(folder / "README.md"))[:1])
    votes.update([manifest.session] if manifest else [])
    return votes.most_common(1)[0][0] if votes else ""


def _heads(folder: Path) -> list[str]:
    found = []
    for path in segment_files(folder):
        with suppress(OSError):
            found.append(about_segment(path).get("session", ""))
    return list(filter(None, found))


def _text(path: Path) -> str:
    try:
        return read_regular(path).decode(errors="replace")
    except OSError:
        return ""
