"""From a record to its lines: masked, escaped, laid out. No file, no handler, no thread here.

A record is one line, whatever text a stranger put into it: what cannot be printed (newlines, escape codes, control
characters, bidirectional marks) is shown as an escape, and a traceback's lines are indented, so nobody can forge one.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

MASK = "****"
SHORTEST_SECRET = 4
"""Shorter texts are not masked: they would take half of every line with them."""

_secrets: set[str] = set()


class Line(NamedTuple):
    """A record as it is written."""

    level: int
    logger: str
    file: str
    """The lines for the files, without the last newline."""
    console: str
    site: tuple[str, int]
    """Path and number of the source line that logged it."""


def register_secret(text: str) -> None:
    """From now on shows `text` as `****` in every record, also as it stands in a URL, and each long line of it alone.

    Texts of fewer than four characters are not masked.
    """
    parts = [text, text.strip(), quote(text, safe="")]
    if "\n" in text:
        parts += [line for line in text.split("\n") if len(line) > 8 and not line.startswith("-----")]
    _secrets.update(part for part in parts if len(part) >= SHORTEST_SECRET)


def mask(text: str) -> str:
    """`text` without the registered secrets."""
    for secret in sorted(_secrets, key=len, reverse=True) if len(_secrets) > 1 else _secrets:
        if secret in text:
            text = text.replace(secret, MASK)
    return text


def escape(text: str) -> str:
    """`text` on one line of printable characters; a backslash stays as it is."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def file_name(logger: str) -> str:
    """The name of a logger as lines and file names show it: dots, and all that is no plain letter, as underscores.

    `__main__` goes by the name of the script, or of the module, that is run.
    """
    if logger == "__main__":
        logger = _script()
    return "".join(c if c.isascii() and (c.isalnum() or c == "-") else "_" for c in logger)[:100]


def _script() -> str:
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name != "__main__":
        return str(spec.name).removesuffix(".__main__")
    path = Path(getattr(main, "__file__", None) or "__main__")
    return (path.parent.name or "__main__") if path.stem == "__main__" else path.stem


class Layout:
    """Formats records by two %-formats over the attributes of `logging.LogRecord`.

    Raises ValueError, KeyError or TypeError where a format cannot be used.
    """

    def __init__(self, file_format: str, console_format: str, date_format: str) -> None:
        self._file_format, self._console_format, self._date_format = file_format, console_format, date_format
        self._cached = (-1, "")
        self.line(logging.LogRecord("name", logging.INFO, "path", 1, "message", None, None))

    def line(self, record: logging.LogRecord) -> Line:
        """Never raises for what is wrong with the record itself."""
        text = escape(mask(_message(record)))
        fields = record.__dict__ | {
            "message": text,
            "asctime": self.asctime(int(record.created)),
            "name": file_name(record.name),
        }
        console = fields
        if workflow := record.__dict__.get("workflow"):
            named = escape(mask(_text(workflow))).replace("|", "_")
            console = fields | {"message": f"{named}: {text}"} if record.__dict__.get("among") else fields
            fields = fields | {"name": f"{fields['name']}[{named}]"}
        file = self._file_format % fields
        if record.exc_info or record.exc_text or record.stack_info:
            file += "".join("\n    " + escape(line) for line in mask(_attached(record)).splitlines())
        return Line(record.levelno, record.name, file, self._console_format % console, (record.pathname, record.lineno))

    def asctime(self, second: int) -> str:
        """Local time of a second since 1970, made once a second."""
        cached, text = self._cached
        if second != cached:
            text = time.strftime(self._date_format, time.localtime(second))
            self._cached = (second, text)
        return text

    def around(self, logger: str, level: int, second: int) -> tuple[str, str]:
        """What stands before and behind the message in a file's line: for whoever writes lines in bulk."""
        mark = "\0"
        record = logging.LogRecord(logger, level, "", 0, "", None, None).__dict__
        fields = record | {"message": mark, "asctime": self.asctime(second), "name": file_name(logger)}
        before, _, behind = (self._file_format % fields).partition(mark)
        return before, behind


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001  any argument's __str__ runs here; a bad one must not stop the caller
        return f"{_text(record.msg)} (cannot be formatted: {type(error).__name__}: {_text(error)})"


def _text(thing: object) -> str:
    try:
        return str(thing)
    except Exception as error:  # noqa: BLE001  as above
        return f"{type(thing).__name__} without a text: {type(error).__name__}"


def _attached(record: logging.LogRecord) -> str:
    """The traceback and the stack of a record, if any."""
    parts = [record.exc_text or ""]
    if record.exc_info and not record.exc_text:
        try:
            parts = traceback.format_exception(*record.exc_info)
        except Exception as error:  # noqa: BLE001  as above: a foreign exception's __str__ may raise
            parts = [f"(no traceback: {type(error).__name__})"]
    return "".join(parts) + (record.stack_info or "")
