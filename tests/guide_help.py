"""What the tests of the logging guide share: its pages, their blocks, and a real log to ask."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "logging.md"
SHARED = Path(os.environ.get("KALSHI_SHARED", ROOT.parent / "shared"))


class Block(NamedTuple):
    """A fenced block, the heading that it stands under and the line before it."""

    heading: str
    caption: str
    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    found, heading, caption = [], "", ""
    lines = iter(page.read_text(encoding="utf-8").splitlines())
    for line in lines:
        if line.startswith("```"):
            text = []
            for inner in lines:
                if inner.startswith("```"):
                    break
                text.append(inner)
            found.append(Block(heading, caption, line.removeprefix("```"), "\n".join(text)))
        elif line.startswith("#"):
            heading = caption = line.lstrip("# ")
        elif line:
            caption = line
    return found


def section(page: Path, heading: str) -> str:
    """The text beneath a heading, up to the next of its kind or higher."""
    text = page.read_text(encoding="utf-8")
    start = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert start, f"{page.name} has no heading {heading!r}"
    rest = text[start.end() :]
    end = re.search(rf"^#{{1,{len(start[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def run_python(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a script in `folder`, as a user would."""
    return run([sys.executable, "-W", "error", "-c", code], folder, PYTHONPATH=str(ROOT), **environment)


def run_shell(command: str, folder: Path) -> list[str]:
    """What a recipe prints; it must say nothing on standard error."""
    done = run(["bash", "-c", command], folder)
    assert done.stderr == ""
    return done.stdout.splitlines()


def run(arguments: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  commands of our own pages
        arguments,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "TZ": "UTC", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


class Ran:
    """A script of our page after its run in a folder of its own; durations in `messages` read 0.00s."""

    def __init__(self, heading: str, folder: Path, **environment: str) -> None:
        (code,) = (block.text for block in blocks(PAGE) if (block.heading, block.language) == (heading, "python"))
        done = run_python(code, folder, **environment)
        assert done.returncode == 0, done.stderr
        self.printed, self.console = done.stdout.splitlines(), done.stderr.splitlines()
        self.folder = folder / "logs"
        (session,) = self.folder.glob("SESSION_*.log")
        self.lines = session.read_text(encoding="utf-8").splitlines()
        columns = [line.split(" | ", 3) for line in self.lines]
        texts = [column[3] for column in columns if len(column) == 4]
        self.messages = [re.sub(r"\d+\.\d\ds", "0.00s", text) for text in texts[1:-1]]
