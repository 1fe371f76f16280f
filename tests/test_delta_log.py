"""Delta lines reach both files; a slow disk costs only them, and says so in one line."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing
from log_help import STAMP, Logs, logs, session_log
from sink_rows import batch
from test_delta_lines import table

from kalshi_trio import log_files
from kalshi_trio.logging_config import LogConfig
from kalshi_trio.observe.delta_log import LOGGER, DeltaLog
from kalshi_trio.protocol.schema import RowBatch

__all__ = ["logs"]
MODULE = "kalshi_trio_tasks_builder.log"


def with_snapshot(lo: int, hi: int) -> RowBatch:
    made = batch(lo, hi)
    return made._replace(tables={"deltas": made.tables["deltas"], "snapshots": table("snapshots", {"frame": lo})})


def count(messages: list[str], beginning: str) -> int:
    return sum(message.startswith(beginning) for message in messages)


def sizes(folder: Path) -> list[int]:
    return [path.stat().st_size for path in folder.iterdir()]


async def written(deltas: DeltaLog) -> None:
    """Waits for the worker thread, for which there is no virtual clock."""
    for _ in range(1_000_000):
        await trio.lowlevel.checkpoint()
        if not deltas._held:
            return


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A log disk that takes no bulk lines until it is set."""
    works, write = threading.Event(), log_files.LogFiles.write_bulk

    def slow(files: log_files.LogFiles, logger: str, text: bytes, number: int) -> None:
        assert works.wait(5)
        write(files, logger, text, number)

    monkeypatch.setattr(log_files.LogFiles, "write_bulk", slow)
    yield works
    works.set()


async def test_every_delta_and_snapshot_is_in_the_sessions_and_the_modules_file(logs: Logs) -> None:
    deltas = DeltaLog()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(deltas.run)
        for lo in (1, 101, 201):
            deltas.offer(with_snapshot(lo, lo + 99))
            await trio.testing.wait_all_tasks_blocked()
        deltas.close()

    messages = logs.messages(MODULE)
    assert (count(messages, "Delta: "), count(messages, "Snapshot ")) == (300, 3)
    assert logs.messages()[1:] == messages
    first = logs.lines(MODULE)[0]
    assert first[19:66] == " | kalshi_trio_tasks_builder      | DEBUG    | "
    assert LOGGER.replace(".", "_") in first
    assert count(logs.messages(f"EVENTS_{STAMP}.log"), "Delta: ") == 0


async def test_past_the_bound_deltas_and_only_they_are_skipped_and_counted(logs: Logs, disk: threading.Event) -> None:
    deltas = DeltaLog(held_rows=250)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(deltas.run)
        one = with_snapshot(1, 100)
        for lo in range(1, 12_001, 100):
            deltas.offer(one._replace(lo=lo, hi=lo + 99))
            await trio.lowlevel.checkpoint()
        disk.set()
        deltas.close()

    messages = logs.messages()
    assert (count(messages, "Delta: "), count(messages, "Snapshot ")) == (200, 120)
    assert logs.console()[-1] == "WARNING  | 11,800 delta lines skipped, frames 201-12000 (log disk too slow)"
    assert count(messages, "11,800 delta lines skipped") == 1


async def test_a_disk_that_keeps_up_again_gets_all_lines_again(logs: Logs, disk: threading.Event) -> None:
    deltas = DeltaLog(held_rows=150)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(deltas.run)
        for lo in (1, 101):
            deltas.offer(batch(lo, lo + 99))
        disk.set()
        await written(deltas)
        deltas.offer(batch(201, 300))
        deltas.close()

    assert count(logs.messages(MODULE), "Delta: ") == 200
    assert "100 delta lines skipped, frames 101-200 (log disk too slow)" in logs.messages()


async def test_a_disk_that_hangs_costs_bounded_memory(logs: Logs, disk: threading.Event) -> None:
    deltas = DeltaLog(held_rows=100)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(deltas.run)
        one = with_snapshot(1, 99)
        for lo in range(1, 100_001, 100):
            deltas.offer(one._replace(lo=lo, hi=lo + 99))
            assert deltas._held <= 200
        await trio.lowlevel.checkpoint()
        disk.set()
        deltas.close()

    assert logs.folder.exists()


async def test_one_batch_past_the_bound_alone_is_written(logs: Logs) -> None:
    deltas = DeltaLog(held_rows=10)
    deltas.offer(batch(1, 100))
    deltas.close()
    await deltas.run()

    assert count(logs.messages(MODULE), "Delta: ") == 100


async def test_above_debug_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogConfig, "FILE_LEVEL", 20)
    deltas = DeltaLog()
    with session_log(tmp_path):
        deltas.offer(batch(1, 100))
        assert not deltas._waiting
        deltas.close()
        await deltas.run()

    assert not (tmp_path / MODULE).exists()


async def test_without_log_files_nothing_is_kept(tmp_path: Path) -> None:
    deltas = DeltaLog()
    deltas.offer(batch(1, 10))
    (tmp_path / "file").touch()
    with session_log(tmp_path / "file"):
        deltas.offer(batch(1, 10))

    assert not deltas._waiting
    await trio.lowlevel.checkpoint()


async def test_bulk_lines_lose_none_at_a_rollover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogConfig, "maxBytes", 5_000)
    monkeypatch.setattr(LogConfig, "backupCount", 100)
    with session_log(tmp_path) as logs:
        deltas = DeltaLog()
        for lo in range(1, 1_001, 100):
            deltas.offer(batch(lo, lo + 99))
        deltas.close()
        await deltas.run()

        assert count(logs.all_messages(MODULE), "Delta: ") == 1_000
        assert count(logs.all_messages(f"SESSION_{STAMP}.log"), "Delta: ") == 1_000
    assert max(sizes(tmp_path)) <= 5_000
