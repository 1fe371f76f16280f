"""The chain of a data folder's manifests: each names the one sealed before it, with its SHA-256."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from kalshi_trio.history.verify.findings import Finding
from kalshi_trio.history.verify.identity import session_id
from kalshi_trio.journal import manifest as manifests
from kalshi_trio.journal.files import read_regular
from kalshi_trio.journal.folder import sessions


class Link(NamedTuple):
    """Something that is wrong, and the session's folder that it is about."""

    folder: str
    finding: Finding


def chain(data: Path) -> list[Link]:
    """Links that are broken, and manifests that are not what their successors name."""
    found = []
    folders = sessions(data)
    read = {folder: manifests.read_as_it_stands(folder)[0] for folder in folders}
    named = {session_id(folder, about): folder for folder, about in read.items()}
    for folder, about in read.items():
        if about is None or about.previous is None:
            continue
        before = named.get(about.previous.session)
        if before is None:
            what = f"names session {about.previous.session} before it, which is not here"
            found.append(Link(folder.name, Finding("damage", "chain", f"{folder.name}/manifest.json", what)))
        elif _sha256(before / "manifest.json") != about.previous.sha256:
            what = f"SHA-256 differs from the one that {folder.name} names: one of the two was edited after its seal"
            found.append(Link(before.name, Finding("damage", "chain", f"{before.name}/manifest.json", what)))
    return found


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(read_regular(path)).hexdigest()
    except OSError:
        return ""
