"""One tree of errors; each says what was wrong, where, and what to do.

KalshiTrioError
├── UserError             a mistake that its user can mend; printed without a traceback
│   ├── UsageError            2   arguments that make no sense together
│   ├── NotReachable         69   a server that does not answer
│   ├── FolderNotWritable    73   a folder that cannot be written
│   │   └── LocksUnsupported 73   a folder whose file system gives no locks
│   ├── InUse                75   a data folder or port that somebody else holds
│   ├── KeyRefused           77   the exchange refused the API key
│   ├── NotSealed             1   a recording that did not end in time: the next start seals it
│   ├── Stopped             130   what had an end or a beginning of its own and was stopped before it
│   └── ConfigError          78   settings missing or wrong
├── WireError             a frame that cannot be read; it is safe in the journal
├── FeedLost              a connection that ended; a new one can cure it
├── RestError             a request by REST that got no answer, or none that can be taken
├── JournalError
│   ├── JournalUnwritable     the journal's disk refuses; nothing may be read from the socket
│   └── JournalDamaged        bytes on disk that are not what was written
└── SinkError
    ├── SinkUnavailable       the sink does not answer now; ask later, then ask what it holds
    ├── SinkRefused           the sink answered no (schema, permission); asking again will not help
    └── RowsDamaged           rows in a sink that are not what was written
"""

from __future__ import annotations

from typing import TypeVar


class KalshiTrioError(Exception):
    """Whatever this package raises on purpose; `exit_code` is what the process ends with."""

    exit_code = 1


class UserError(KalshiTrioError):
    """A mistake that its user can mend: shown as text, never as a traceback."""


class UsageError(UserError):
    """Arguments that make no sense together."""

    exit_code = 2


class NotReachable(UserError):
    """A server that does not answer, for a command that does not wait for it."""

    exit_code = 69


class FolderNotWritable(UserError):
    """A folder that cannot be created or written."""

    exit_code = 73


class LocksUnsupported(FolderNotWritable):
    """A folder whose file system gives no locks: two processes there could not notice each other."""


class InUse(UserError):
    """A data folder or a port that another process holds."""

    exit_code = 75


class KeyRefused(UserError):
    """The exchange refused the API key for good (not merely for its time stamp)."""

    exit_code = 77


class NotSealed(UserError):
    """A recording did not end in time, so its manifest is still open: the next start seals it."""

    exit_code = 1


class Stopped(UserError):
    """Somebody stopped what had an end of its own, or a recording before it began."""

    exit_code = 130


class ConfigError(UserError):
    """Settings that are missing, malformed or contradict what is stored."""

    exit_code = 78


class WireError(KalshiTrioError):
    """A frame that cannot be read: the text says why; the frame itself is in the journal."""


class FeedLost(KalshiTrioError):
    """The connection is over, and only a new one can cure that.

    `cause` is what the hole's row says of it, `wait` the least number of seconds before the next try.
    """

    def __init__(self, text: str, *, cause: str = "reconnect", wait: float = 0.0) -> None:
        super().__init__(text)
        self.cause = cause
        self.wait = wait


class RestError(KalshiTrioError):
    """A request by REST that got no answer, or none that can be taken."""


class JournalError(KalshiTrioError):
    """The journal cannot do what it promises."""


class JournalUnwritable(JournalError):
    """The journal's own disk refuses: nothing more may be taken from the socket."""


class JournalDamaged(JournalError):
    """Bytes on disk differ from what was written; the text names the file and the frames."""


class SinkError(KalshiTrioError):
    """A sink did not store a batch, or does not give it back."""


class SinkUnavailable(SinkError):
    """The sink does not answer now, or its answer was lost: ask it later what it holds."""


class SinkRefused(SinkError):
    """The sink answered no, and the same question will get the same answer."""


class RowsDamaged(SinkError):
    """Rows in a sink differ from what was written; the text names the place and the frames."""


Error = TypeVar("Error", bound=Exception)


def first_of(group: BaseExceptionGroup[Error]) -> Error:
    """One of the errors in a group, however deep: the one to be shown."""
    found = group.exceptions[0]
    return first_of(found) if isinstance(found, BaseExceptionGroup) else found
