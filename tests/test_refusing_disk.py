"""A data disk that refuses, at whichever call: one line and 73, or a session that is sealed. Never 0 with an open one."""

from __future__ import annotations

import errno
import io
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from kalshi_trio import recording, session
from kalshi_trio.errors import FolderNotWritable, NotSealed, Stopped, UserError
from kalshi_trio.journal import manifest as manifests
from kalshi_trio.journal.folder import DataLock
from kalshi_trio.journal.writer import Journal
from kalshi_trio.recording import Recording, record
from kalshi_trio.settings import Settings
from kalshi_trio.startup import Older
from kalshi_trio.transport.endpoint import Endpoint

NOWHERE = "ws://127.0.0.1:9/"
CALLS = ("io.open", "os.open", "os.mkdir", "os.replace", "os.fsync", "os.fdatasync")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
START, ALL = 21, 60
"""About so many calls are made before the session begins, and until it is sealed (59 are)."""


class Disk:
    """Counts the calls that change something below `folder`, and refuses those of which `refuses(number)` says so."""

    def __init__(self, folder: Path, refuses: Callable[[int], bool], number: int, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.refuses, self.number = str(folder), refuses, number
        self.calls: list[str] = []
        for name in CALLS:
            module, _, function = name.partition(".")
            real = getattr({"io": io, "os": os}[module], function)
            patch.setattr({"io": io, "os": os}[module], function, self._call(function, real))

    def _call(self, function: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(what: Any, *more: Any, **named: Any) -> Any:
            how = more[0] if more else "r"
            looks = function == "open" and (not how & WRITES if isinstance(how, int) else set(how) <= {"r", "b"})
            if not looks and self._ours(what):
                self.calls.append(f"{function} {what}")
                if self.refuses(len(self.calls)):
                    raise OSError(self.number, os.strerror(self.number), str(what))
            return real(what, *more, **named)

        return call

    def _ours(self, what: Any) -> bool:
        if isinstance(what, int):
            what = os.readlink(f"/proc/self/fd/{what}")  # noqa: PTH115  a name, of a file that is open
        return str(what).startswith(self.folder)


def settings(folder: Path) -> Settings:
    places = {"data_dir": folder / "data", "log_dir": folder / "logs"}
    return Settings(markets=("A",), **places, kalshi_ws_url=NOWHERE, clickhouse=False, seconds=0.1)  # type: ignore[arg-type]


def sealed(data: Path) -> bool:
    found = [manifests.read(folder) for folder in (data / "sessions").glob("SESSION_*")]
    return bool(found) and all(one is not None and one.verdict != "open" for one in found)


async def recorded(folder: Path) -> Recording | UserError:
    try:
        return await record(settings(folder), lambda _: Endpoint(NOWHERE))
    except* UserError as group:
        error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, UserError)
    return error


def hurried(patch: pytest.MonkeyPatch) -> None:
    """Whoever cannot end is waited for less long."""
    patch.setattr(recording, "GRACE", 3.0)
    patch.setattr(recording, "LIMIT_GRACE", 3.0)


@pytest.mark.parametrize("first", range(1, ALL))
async def test_a_disk_that_refuses_from_any_call_on_is_one_line(
    first: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        hurried(patch)
        disk = Disk(tmp_path / "data", lambda number: number >= first, errno.ENOSPC, patch)
        done = await recorded(tmp_path)

    if isinstance(done, Recording):
        assert sealed(tmp_path / "data")
        assert first > START
        return
    assert len(disk.calls) >= first
    assert isinstance(done, FolderNotWritable)
    assert done.exit_code == 73
    assert "No space left on device" in str(done)
    assert len(str(done).splitlines()) == 1
    left = list((tmp_path / "data").glob("sessions/*/*"))
    assert bool(left) == ("SESSION_" in str(done))
    if left:
        assert not sealed(tmp_path / "data")
        assert isinstance(await recorded(tmp_path), Recording)
        assert sealed(tmp_path / "data")
    assert not [*tmp_path.rglob("recorder.json*")]  # noqa: ASYNC240  a few names, in a test


@pytest.mark.parametrize("number", [errno.EROFS, errno.EDQUOT, errno.EACCES, errno.EMFILE])
@pytest.mark.parametrize("only", range(1, START))
async def test_one_refused_call_of_the_start_is_one_line_or_no_matter(
    only: int, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        Disk(tmp_path / "data", lambda call: call == only, number, patch)
        done = await recorded(tmp_path)

    if isinstance(done, Recording):
        assert sealed(tmp_path / "data")
    else:
        assert done.exit_code == 73
        assert os.strerror(number) in str(done)
        assert not (tmp_path / "data" / "sessions").exists() or not list((tmp_path / "data" / "sessions").iterdir())
    with DataLock(tmp_path / "data"):
        """It is free again."""


async def test_a_manifest_that_cannot_be_sealed_is_no_good_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def seal(_folder: Path, _manifest: manifests.Manifest) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    with monkeypatch.context() as patch:
        patch.setattr(manifests, "seal", seal)
        done = await recorded(tmp_path)

    assert isinstance(done, FolderNotWritable)
    assert "is not sealed, the next start does it: [Errno 122] Disk quota exceeded" in str(done)
    assert not sealed(tmp_path / "data")


async def test_a_seal_that_leaves_nothing_is_no_good_end_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the reason: what stands on the disk decides."""
    with monkeypatch.context() as patch:
        patch.setattr(manifests, "seal", lambda _folder, _manifest: None)
        done = await recorded(tmp_path)

    assert isinstance(done, NotSealed)
    assert done.exit_code == 1
    assert "is not sealed, the next start does it" in str(done)


async def test_a_recording_that_does_not_end_in_time_says_who_was_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forever(_journal: Journal) -> None:
        await trio.sleep_forever()

    with monkeypatch.context() as patch:
        hurried(patch)
        patch.setattr(Journal, "_end", forever)
        done = await recorded(tmp_path)

    assert isinstance(done, NotSealed)
    assert "it did not end in time (" in str(done)
    assert "journal" in str(done)
    assert isinstance(await recorded(tmp_path), Recording)
    assert sealed(tmp_path / "data")


async def test_a_stop_that_outlasts_the_start_says_that_nothing_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an earlier process left takes so long to mend that the deadline passes."""
    with monkeypatch.context() as patch:
        patch.setattr(recording, "left_behind", slow_start)
        patch.setattr(recording, "open_session", partial(session.open_session, grace=0.1))
        done = await recorded(tmp_path)

    assert isinstance(done, Stopped)
    assert done.exit_code == 130
    assert str(done) == "Stopped by SIGTERM before the recording began: there is nothing to be stored."
    assert not (tmp_path / "data" / "sessions").exists()


def slow_start(_data: Path, _sinks: list[str]) -> list[Older]:
    signal.raise_signal(signal.SIGTERM)
    time.sleep(1.5)
    return []
