"""Recordings that others made: what a file's lines are, and what each line says. Nothing here knows of sessions."""

from __future__ import annotations

from kalshi_trio.foreign.shapes import Line, Shapes, lines_of, read_lines
from kalshi_trio.foreign.stamps import PASSED, UNITS
from kalshi_trio.foreign.texts import Refuse, Texts

__all__ = ["PASSED", "UNITS", "Line", "Refuse", "Shapes", "Texts", "lines_of", "read_lines"]
