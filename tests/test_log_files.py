"""Disks that refuse, and files as whole: said once, and the recording goes on."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

import pytest
from log_help import STAMP, Logs, logs, session_log

from kalshi_trio import log_files
from kalshi_trio.logging_config import LogConfig, flush_logs, get_logger, open_session_log

__all__ = ["logs"]
FULL = OSError(errno.ENOSPC, "No space left on device")


def refuse(_file: int, _data: bytes) -> int:
    raise FULL


def test_a_full_disk_is_one_line_on_the_console_and_no_traceback(
    logs: Logs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flush_logs()
    monkeypatch.setattr(os, "write", refuse)
    for number in range(20):
        get_logger("full").debug("line %d", number)
        flush_logs()

    assert logs.console()[1:] == [
        f"ERROR    | Cannot write log files in {logs.folder}: No space left on device; going on without them"
    ]
    assert capsys.readouterr() == ("", "")


def test_when_there_is_space_again_files_go_on_and_say_what_is_missing(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush_logs()
    with monkeypatch.context() as full:
        full.setattr(os, "write", refuse)
        for number in range(3):
            get_logger("again").info("missing %d", number)
            flush_logs()
    get_logger("again").info("too early")
    flush_logs()
    monkeypatch.setattr(log_files, "RETRY_SECONDS", 0.0)
    opened = open_session_log()
    assert opened is not None
    assert opened.files is not None
    opened.files._retry_at = 0.0
    get_logger("again").info("back")

    assert logs.messages("again.log") == ["back"]
    assert logs.console()[-1] == "WARNING  | Log files are written again after 0s, at most 4 lines missing"


def test_bulk_lines_and_records_share_files_and_rollovers_and_none_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LogConfig, "maxBytes", 3_000)
    monkeypatch.setattr(LogConfig, "backupCount", 100)
    with session_log(tmp_path) as logs:
        opened = open_session_log()
        assert opened is not None
        assert opened.files is not None
        flush_logs()
        for number in range(100):
            get_logger("mixed").debug("record %d", number)
            bulk = "".join(f"t | mixed | DEBUG | bulk {number}.{n}\n" for n in range(20))
            opened.files.write_bulk("mixed", bulk.encode(), 20)
        get_logger("mixed").warning("last")
        session, module = logs.all_messages(f"SESSION_{STAMP}.log")[1:], logs.all_messages("mixed.log")

    records = [f"record {number}" for number in range(100)] + ["last"]
    bulks = [f"bulk {number}.{n}" for number in range(100) for n in range(20)]
    for found in (session, module):
        assert [message for message in found if not message.startswith("bulk")] == records
        assert [message for message in found if message.startswith("bulk")] == bulks
    assert len(list(tmp_path.glob("mixed.log.*"))) > 10


def test_of_events_no_backup_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogConfig, "maxBytes", 200)
    monkeypatch.setattr(LogConfig, "backupCount", 1)
    with session_log(tmp_path) as logs:
        for number in range(60):
            get_logger("events").info("event %d", number)
        assert logs.all_messages(f"EVENTS_{STAMP}.log")[1:] == [f"event {number}" for number in range(60)]
        assert len(list(tmp_path.glob("SESSION_*"))) == 2


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_cannot_be_is_one_line_and_logging_goes_on(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    with session_log(tmp_path / place) as logs:
        get_logger("nowhere").info("on the console")
        shown = logs.console()

    assert shown[0].startswith(f"ERROR    | Cannot write log files in {tmp_path / place}: ")
    assert shown[1:] == [f"INFO     | === SESSION STARTED: {STAMP} ===", "INFO     | on the console"]


def test_two_loggers_of_one_file_name_share_the_file(logs: Logs) -> None:
    get_logger("same.name").info("one")
    get_logger("same_name").info("two")

    assert logs.messages("same_name.log") == ["one", "two"]


def test_a_hostile_logger_name_stays_in_the_folder(logs: Logs) -> None:
    get_logger("../../evil\nname" + "x" * 500).info("here")

    flush_logs()
    (file,) = (path for path in logs.folder.glob("*evil*"))
    assert file.name == ("______evil_name" + "x" * 500)[:100] + ".log"
    assert logging.getLogger("../../evil\nname" + "x" * 500).handlers == []
