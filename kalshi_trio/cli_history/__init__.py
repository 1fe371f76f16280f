"""The command line's second half: commands over sessions that were recorded or imported, one a file."""

from __future__ import annotations

from kalshi_trio.cli_history import book, chart, diff, export, import_, rebuild, replay, verify

COMMANDS = tuple(module.command for module in (book, chart, diff, export, import_, rebuild, replay, verify))
