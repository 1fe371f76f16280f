"""What an earlier process left behind never keeps a recording from beginning, or from going on."""

from __future__ import annotations

from pathlib import Path

import pytest

from kalshi_trio.journal import manifest
from kalshi_trio.journal.manifest import Manifest, Verdict
from kalshi_trio.startup import Older, left_behind, seal_dead
from kalshi_trio.thread import Door


def unreadable(data: Path, verdict: Verdict) -> Path:
    """A session whose disk gives EIO, as this file of the kernel does at its first byte."""
    folder = data / "sessions" / "SESSION_20261124_050102"
    folder.mkdir(parents=True)
    (folder / "000001.arrows").symlink_to("/proc/self/mem")
    manifest.write(folder / "manifest.json", Manifest("s", folder.name, "live", "0", "", verdict=verdict))
    return folder


async def test_a_dead_session_that_cannot_be_read_is_sealed_another_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = unreadable(tmp_path, "open")

    await seal_dead(Older(folder, "s", 5, unsealed=True, died=True), Door())

    about = manifest.read(folder)
    assert about is not None
    assert about.verdict == "open"
    assert "Session s cannot be sealed: [Errno 5] Input/output error" in caplog.text


@pytest.mark.parametrize(("verdict", "died"), [("complete", []), ("open", ["s"])])
def test_a_session_that_cannot_be_read_waits_for_the_next_start(
    verdict: Verdict, died: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = unreadable(tmp_path, verdict)

    found = left_behind(tmp_path, ["parquet"])

    assert [(one.session, one.last, one.unsealed) for one in found if one.died] == [(name, 0, False) for name in died]
    assert len(found) == len(died)
    assert f"{folder.name} cannot be" in caplog.text
