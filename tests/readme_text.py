"""The README, taken apart for the tests that hold it true."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def shape(line: str) -> str:
    """A line without its figures, times, names of sessions and folders."""
    line = re.sub(r"(KX[A-Z0-9.-]+|'[^']*'|data/\S+)", "X", line)
    return " ".join(re.sub(r"[\d,.:_]+(-[0-9a-f]{8})?|\s-(?=\s|$)", " # ", line).split()).replace("# #", "#")
