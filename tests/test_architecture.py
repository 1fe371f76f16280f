"""The architecture, read from the code: which part may import which, and what every file keeps to."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from kalshi_trio import errors

ROOT = Path(__file__).parent.parent / "kalshi_trio"
FILES = sorted(ROOT.rglob("*.py"))

LOGGING = {"logging_config", "workflow_logger", *(path.stem for path in ROOT.glob("log_*.py"))}
BASE = {"errors", "file_lock", "fileio", "own_hash", "protocol", "thread", *LOGGING}
MAY: dict[str, set[str]] = {
    "early_signals": set(),
    "errors": set(),
    "file_lock": {"errors"},
    "own_hash": set(),
    "fileio": set(),
    "heap": set(),
    "protocol": {"errors"},
    "thread": set(),
    **{name: {"errors", "file_lock", *LOGGING} for name in LOGGING},
    "journal": {*BASE, "observe"},
    "sinks": BASE,
    "transport": BASE,
    "rest": BASE,
    "session": BASE,
    "observe": {*BASE, "journal", "session"},
    "row_window": BASE,
    "fold": {*BASE, "journal"},
    "rebuild": {*BASE, "journal", "row_window", "fold"},
    "tasks": {*BASE, "fold", "journal", "sinks", "transport", "observe", "row_window"},
    "session_readme": {*BASE, "journal"},
    "sealing": {*BASE, "journal", "session_readme"},
    "settings": {"errors", "protocol"},
    "pipeline": {*BASE, "journal", "sinks", "tasks", "observe", "row_window", "rebuild", "sealing", "session"},
    "startup": {*BASE, "fold", "journal", "sinks", "tasks", "observe", "row_window", "rebuild", "sealing", "settings"},
    "feeding": {*BASE, "journal", "observe", "rest", "session", "settings", "tasks", "transport"},
    "foreign": {"errors"},
    "exchange": {*BASE, "foreign"},
}
"""Part → what of ours it may import beside itself. Parts above these (recording, demo, commands, cli) may import all."""
TOP = {"recording", "demo", "commands", "history", "cli_history", "cli_options", "run", "cli", "__main__", "__init__"}
IMPURE = {"trio", "time", "os", "socket", "logging", "random", "pathlib", "threading", "subprocess", "rich"}


def part(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Modules that a file imports, by their whole names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows_point_one_way(path: Path) -> None:
    here = part(path)
    if here in TOP:
        return
    ours = {name.split(".")[1] for name in imports(path) if name.startswith("kalshi_trio.")}

    assert ours - {here} <= MAY[here]


def test_tasks_never_import_tasks() -> None:
    for path in (ROOT / "tasks").glob("*.py"):
        assert not [name for name in imports(path) if name.startswith("kalshi_trio.tasks")], path.name


def test_the_protocol_is_pure() -> None:
    for path in (ROOT / "protocol").glob("*.py"):
        assert not {name.partition(".")[0] for name in imports(path)} & IMPURE, path.name


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_says_what_it_is_and_is_one_idea_long(path: Path) -> None:
    text = path.read_text()

    assert ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= 500


WALL_CLOCK = {
    *("cli.py", "history/workshop.py", "journal/recovery.py", "recording.py", "rest.py", "transport/seam.py"),
    *("observe/health.py", "pipeline.py", "tasks/writer.py"),
    *("logging_config.py", "log_lines.py"),
}
"""Where the wall clock is read: for stamps, signatures, names of sessions, ages that people look at."""


def reads_the_wall_clock(node: ast.AST) -> bool:
    if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name | ast.Attribute):
        return False
    of = node.value.attr if isinstance(node.value, ast.Attribute) else node.value.id
    return (of, node.attr) in {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow")}


def test_the_wall_clock_is_read_for_stamps_alone() -> None:
    """It may be set at any moment: whatever waits, ends or repeats goes by the monotonic one. Judge each new place."""
    found = {
        str(path.relative_to(ROOT))
        for path in FILES
        if part(path) != "exchange" and any(map(reads_the_wall_clock, ast.walk(ast.parse(path.read_text()))))
    }

    assert found <= WALL_CLOCK


WRITES_FILES = {"fileio.py", *(f"journal/{name}.py" for name in ("batches", "disk", "files", "index", "recovery"))}
"""Where files are brought to disk and renamed; the journal's own, since what a failed fsync means there is told at each."""
MOVES_LOGS = "log_rotation.py"
"""Moves files that are written in place; none of them becomes whole by it."""
BOOK_SIDES = {"yes", "no"}
"""Have a `replace` of one argument, too."""


def brings_to_disk(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    of = node.func.value
    name = of.id if isinstance(of, ast.Name) else of.attr if isinstance(of, ast.Attribute) else ""
    if name in ("os", "shutil"):
        return node.func.attr in ("fsync", "fdatasync", "rename", "renames", "replace", "link", "move")
    if name in BOOK_SIDES or len(node.args) != 1 or node.keywords:
        return False
    return node.func.attr in ("replace", "rename")


def test_whole_files_are_written_in_one_place() -> None:
    """One way to write a file that is whole or absent after a power cut: an fsync or a rename elsewhere is another one."""
    found = {
        str(path.relative_to(ROOT))
        for path in FILES
        if part(path) != "protocol" and any(map(brings_to_disk, ast.walk(ast.parse(path.read_text()))))
    }

    assert found <= {*WRITES_FILES, MOVES_LOGS}
    assert {"fileio.py", MOVES_LOGS} <= found


def test_threads_for_calls_have_one_door() -> None:
    assert [path.name for path in FILES if "to_thread" in path.read_text()] == ["thread.py"]


def test_file_locks_have_one_door() -> None:
    assert [path.name for path in FILES if "fcntl" in path.read_text()] == ["file_lock.py"]


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    drawn: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^([│├└─ ]*)([A-Z]\w+)", line)
        if found and hasattr(errors, found[2]):
            depth = len(found[1]) // 4
            above[depth:] = [found[2]]
            drawn[found[2]] = above[depth - 1] if depth else "Exception"

    real = {
        k: v.__bases__[0].__name__ for k, v in vars(errors).items() if isinstance(v, type) and issubclass(v, Exception)
    }
    assert drawn == real
