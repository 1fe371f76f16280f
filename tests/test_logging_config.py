"""`logging_config`: what is set up, what it goes by, and what reaches which file."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from log_help import STAMP, Logs, logs, session_log

from kalshi_trio.errors import ConfigError
from kalshi_trio.logging_config import (
    LogConfig,
    close_session_logger,
    flush_logs,
    get_logger,
    open_session_log,
    register_secret,
    setup_session_logger,
)

__all__ = ["logs"]


def run(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A script of its own, as a user writes one."""
    return subprocess.run(  # noqa: S603  our own code
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder,
        env={"PYTHONPATH": str(Path(__file__).parent.parent), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_importing_and_get_logger_make_no_file_and_no_handler(tmp_path: Path) -> None:
    code = "import logging, kalshi_trio.session; from kalshi_trio.logging_config import get_logger; get_logger('a.b')"
    done = run(f"{code}; print(logging.getLogger().handlers, logging.getLogger('a.b').handlers)", tmp_path)

    assert (done.stdout, done.stderr) == ("[] []\n", "")
    assert list(tmp_path.iterdir()) == []


def test_a_plain_script_gets_files_and_an_end_without_asking(tmp_path: Path) -> None:
    code = "from kalshi_trio.logging_config import *; log = get_logger('my.script'); "
    done = run(code + "setup_session_logger(); log.info('one'); log.debug('two')", tmp_path)

    assert (done.returncode, done.stdout) == (0, "")
    assert "INFO     | one" in done.stderr.splitlines()
    (session,) = (tmp_path / "logs").glob("SESSION_*.log")
    assert re.fullmatch(r"SESSION_\d{8}_\d{6}\.log", session.name)
    assert re.search(
        r"INFO     \| === SESSION ENDED: \d{8}_\d{6} after \d+\.\d\ds, errors 0, warnings 0 ===\n$", session.read_text()
    )
    assert [line[22:] for line in (tmp_path / "logs/my_script.log").read_text().splitlines()] == [
        "my_script                      | INFO     | one",
        "my_script                      | DEBUG    | two",
    ]


def test_every_line_of_a_tight_loop_arrives(tmp_path: Path) -> None:
    code = "from kalshi_trio.logging_config import *; log = get_logger('tight'); setup_session_logger('logs')\n"
    done = run(code + "for n in range(30_000): log.debug('line %d', n)", tmp_path, LOG_MAX_BYTES="500000")

    assert done.returncode == 0
    kept = [line for path in (tmp_path / "logs").glob("tight.log*") for line in path.read_text().splitlines()]
    assert sorted(int(line.rpartition(" ")[2]) for line in kept) == list(range(30_000))


@pytest.mark.usefixtures("logs")
def test_set_up_twice_the_first_decides(tmp_path: Path) -> None:
    opened = open_session_log()

    assert setup_session_logger(tmp_path / "elsewhere", "20300101_000000").name == "SESSION"
    assert open_session_log() is opened
    assert not (tmp_path / "elsewhere").exists()


def test_closed_and_set_up_again_it_takes_a_name_that_is_free(tmp_path: Path) -> None:
    for number in (1, 2):
        with session_log(tmp_path):
            get_logger("again").info("number %d", number)

    assert {path.name for path in tmp_path.glob("SESSION_*")} == {f"SESSION_{STAMP}.log", f"SESSION_{STAMP}_2.log"}
    assert "number 2" in (tmp_path / f"EVENTS_{STAMP}_2.log").read_text()


def test_after_closing_nothing_is_left_behind(tmp_path: Path) -> None:
    before = logging.getLogger().level, logging.getLogger().handlers[:]
    with session_log(tmp_path):
        assert {thread.name for thread in threading.enumerate()} >= {"log console", "log files"}

    assert (logging.getLogger().level, logging.getLogger().handlers) == before
    assert not {thread.name for thread in threading.enumerate()} & {"log console", "log files"}
    assert open_session_log() is None
    close_session_logger()
    flush_logs()


def test_the_ended_line_counts_errors_and_warnings_and_gives_the_verdict(tmp_path: Path) -> None:
    with session_log(tmp_path):
        get_logger("count").error("e")
        get_logger("count").warning("w1")
        logging.getLogger("somebody.else").warning("w2")
        close_session_logger("known gaps")

    last = (tmp_path / f"SESSION_{STAMP}.log").read_text().splitlines()[-1]
    pattern = rf"=== SESSION ENDED: {STAMP} after 0\.\d\ds, errors 1, warnings 2, verdict known gaps ==="
    assert re.fullmatch(pattern, last.split(" | ", 3)[3])


def test_levels_decide_what_goes_where(logs: Logs) -> None:
    log = get_logger("levels.here")
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        log.log(level, logging.getLevelName(level))

    assert logs.messages("levels_here.log") == ["DEBUG", "INFO", "WARNING", "ERROR"]
    assert logs.messages()[1:] == ["DEBUG", "INFO", "WARNING", "ERROR"]
    assert logs.messages(f"EVENTS_{STAMP}.log")[1:] == ["INFO", "WARNING", "ERROR"]
    assert logs.console()[1:] == ["INFO     | INFO", "WARNING  | WARNING", "ERROR    | ERROR"]


def test_other_libraries_are_heard_from_info_up_and_have_no_file(logs: Logs) -> None:
    other = logging.getLogger("trio-websocket-like")

    assert not other.isEnabledFor(logging.DEBUG)
    other.info("heard")
    assert logs.messages()[1:] == ["heard"]
    assert not (logs.folder / "trio-websocket-like.log").exists()


def test_another_process_writes_only_session_files(logs: Logs) -> None:
    code = "from kalshi_trio.logging_config import *; log = get_logger('neighbour'); "
    done = run(code + f"setup_session_logger({str(logs.folder)!r}, {STAMP!r}); log.info('here')", logs.folder)

    assert done.returncode == 0
    assert "here" in (logs.folder / f"SESSION_{STAMP}_2.log").read_text()
    assert not (logs.folder / "neighbour.log").exists()


def test_a_forked_child_starts_without_a_session_log(tmp_path: Path) -> None:
    code = """
import os
from kalshi_trio.logging_config import *
setup_session_logger("logs")
if os.fork() == 0:
    get_logger("child").error("lost on purpose")
    raise SystemExit(0 if open_session_log() is None else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    assert run(code, tmp_path).returncode == 0
    (session,) = (tmp_path / "logs").glob("SESSION_*.log")
    assert session.read_text().count("=== SESSION ENDED") == 1


def test_secrets_are_masked_in_messages_tracebacks_and_urls(logs: Logs) -> None:
    register_secret("pass/word-1")
    register_secret("-----BEGIN KEY-----\nMIIEvQIBADANBgkq\n-----END KEY-----")
    register_secret("abc")
    log = get_logger("secrets")
    log.info("%s http://u:%s@h/ MIIEvQIBADANBgkq abc", "pass/word-1", "pass%2Fword-1")
    log.error("failed", exc_info=ValueError("pass/word-1"))

    text = "\n".join(logs.lines() + logs.console())
    assert "**** http://u:****@h/ **** abc" in logs.messages("secrets.log")
    assert "ValueError: ****" in text
    assert not any(secret in text for secret in ("pass/word", "pass%2F", "MIIE"))


def test_the_environment_outranks_the_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogConfig, "CONSOLE_LEVEL", logging.DEBUG)
    monkeypatch.setenv("LOG_CONSOLE_LEVEL", "error")
    monkeypatch.setenv("LOG_FILE_LEVEL", "20")
    monkeypatch.setenv("LOG_DIR", str(tmp_path / "from_environment"))
    setup_session_logger(session_time=STAMP)
    get_logger("ranks").debug("no")
    get_logger("ranks").info("file")
    opened = open_session_log()
    close_session_logger()

    assert opened is not None
    assert list(opened.console.recent) == []
    assert "file" in (tmp_path / "from_environment/ranks.log").read_text()


@pytest.mark.parametrize(
    ("variable", "value"),
    [("LOG_CONSOLE_LEVEL", "LOUD"), ("LOG_FILE_LEVEL", "-1"), ("LOG_MAX_BYTES", "10MB"), ("LOG_BACKUP_COUNT", "-3")],
)
def test_a_senseless_setting_is_named(
    variable: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigError, match=f"{variable} is '{value}'"):
        setup_session_logger(tmp_path)
    assert open_session_log() is None


def test_a_format_that_cannot_be_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogConfig, "DETAILED_FORMAT", "%(nonsense)s")

    with pytest.raises(ConfigError, match="nonsense"):
        setup_session_logger(tmp_path)
