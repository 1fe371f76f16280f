"""Pictures: one look for all of them, drawn without a display, written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from kalshi_trio.errors import FolderNotWritable, UsageError
from kalshi_trio.fileio import whole

BID, ASK = "#1a9c5b", "#d3423f"
GREY, GRID, FACE = "#5b6470", "#dfe3e8", "#ffffff"
FORMATS = (".png", ".svg")
DPI = 150

LOOK: dict[Any, Any] = {
    "font.size": 10,
    "font.family": "DejaVu Sans",  # the one that comes with matplotlib: the same picture everywhere
    "axes.edgecolor": GRID,
    "axes.labelcolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "svg.hashsalt": "kalshi_trio",
}


def new_figure(width: float, height: float) -> Figure:
    """An empty one, in inches; draw on it inside `rc_context(LOOK)`."""
    return Figure(figsize=(width, height), dpi=DPI, facecolor=FACE, layout="constrained")


def title(axes: Axes, main: str, aside: str, below: str) -> None:
    """A bold line with something aside at its right end, and one in grey under it."""
    axes.set_title(main, loc="left", fontweight="bold", fontsize=13, pad=22)
    axes.set_title(aside, loc="right", color=GREY, fontsize=9, pad=22)
    text = axes.annotate(below, (0, 1), (0, 7), "axes fraction", "offset points", color=GREY, fontsize=9)
    text.set_in_layout(False)  # a long one must not make the axes narrow


DOLLARS = FuncFormatter(lambda e4, _: f"${e4 / 10_000:.4f}".removesuffix("00"))
"""For an axis that holds 1/10,000 dollars."""


def check_format(path: Path) -> None:
    """Raises UsageError for a kind of picture that is not drawn, FolderNotWritable where there is no such folder."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path}: pictures are drawn as {' or '.join(FORMATS)}.")
    if not path.absolute().parent.is_dir():
        raise FolderNotWritable(f"{path.parent}: no such folder.")


def write(figure: Figure, path: Path) -> None:
    """Writes it; FolderNotWritable where that is refused."""
    check_format(path)
    with rc_context(LOOK):
        save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Writes it as it is, whole or not at all and always the same bytes; FolderNotWritable where that is refused."""
    form = path.suffix.lower()
    try:
        with whole(path) as temporary:
            figure.savefig(temporary, format=form[1:], metadata={"Date": None} if form == ".svg" else None)
    except OSError as error:
        raise FolderNotWritable(f"{path}: {error.strerror or error}.") from error
