"""ClickHouse's answers as our two errors: ask later, or somebody has to change something.

Codes: https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError, ProgrammingError

from kalshi_trio.errors import SinkError, SinkRefused, SinkUnavailable

PASSING = frozenset(
    {
        23,  # CANNOT_READ_FROM_ISTREAM
        24,  # CANNOT_WRITE_TO_OSTREAM
        33,  # CANNOT_READ_ALL_DATA
        74,  # CANNOT_READ_FROM_FILE_DESCRIPTOR
        75,  # CANNOT_WRITE_TO_FILE_DESCRIPTOR
        76,  # CANNOT_OPEN_FILE: no descriptor is left, mostly
        77,  # CANNOT_CLOSE_FILE
        95,  # CANNOT_READ_FROM_SOCKET
        96,  # CANNOT_WRITE_TO_SOCKET
        159,  # TIMEOUT_EXCEEDED
        160,  # TOO_SLOW
        172,  # CANNOT_CREATE_DIRECTORY
        173,  # CANNOT_ALLOCATE_MEMORY
        198,  # DNS_ERROR
        201,  # QUOTA_EXCEEDED
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        203,  # NO_FREE_CONNECTION
        204,  # CANNOT_FSYNC
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        216,  # QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING: an earlier try of ours, which is ended before the next
        225,  # NO_ZOOKEEPER
        236,  # ABORTED
        241,  # MEMORY_LIMIT_EXCEEDED
        242,  # TABLE_IS_READ_ONLY
        243,  # NOT_ENOUGH_SPACE
        252,  # TOO_MANY_PARTS
        254,  # NO_ACTIVE_REPLICAS
        272,  # CANNOT_IO_SUBMIT
        273,  # CANNOT_IO_GETEVENTS
        279,  # ALL_CONNECTION_TRIES_FAILED
        285,  # TOO_FEW_LIVE_REPLICAS
        286,  # UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
        298,  # CANNOT_PIPE
        319,  # UNKNOWN_STATUS_OF_INSERT
        364,  # RECEIVED_ERROR_TOO_MANY_REQUESTS
        394,  # QUERY_WAS_CANCELLED
        395,  # FUNCTION_THROW_IF_VALUE_IS_NON_ZERO: the fence of `clickhouse_fence`, and no other throwIf is ours
        402,  # CANNOT_IOSETUP
        411,  # PTHREAD_ERROR
        425,  # SYSTEM_ERROR
        439,  # CANNOT_SCHEDULE_TASK
        460,  # CANNOT_CREATE_TIMER
        473,  # DEADLOCK_AVOIDED
        499,  # S3_ERROR
        573,  # EPOLL_ERROR
        586,  # CANNOT_CREATE_FILE
        677,  # THREAD_WAS_CANCELED
        700,  # USER_SESSION_LIMIT_EXCEEDED
        734,  # CANNOT_WRITE_AFTER_BUFFER_CANCELED
        749,  # TCP_CONNECTION_LIMIT_REACHED
        762,  # HTTP_CONNECTION_LIMIT_REACHED
        777,  # MEMORY_RESERVATION_KILLED
        778,  # MEMORY_RESERVATION_FAILED
        999,  # KEEPER_EXCEPTION
        1000,  # POCO_EXCEPTION
        1001,  # STD_EXCEPTION: also a rename that the disk refused, and memory that ran out
        1002,  # UNKNOWN_EXCEPTION
        1019,  # QUERY_SLOT_ACQUISITION_TIMEOUT
        1020,  # MEMORY_RESERVATION_ACQUISITION_TIMEOUT
    }
)
"""Codes of what passes by itself, if only after somebody has made room."""

ACCESS_DENIED = 497
_ADVICE = {
    81: "The database is not there: make it, or name another one (CLICKHOUSE_DATABASE)",  # UNKNOWN_DATABASE
    164: "This user may only read: give it a profile with readonly = 0, or name another one (CLICKHOUSE_USER)",  # READONLY
    192: "CLICKHOUSE_USER names nobody whom this server knows",  # UNKNOWN_USER
    193: "CLICKHOUSE_PASSWORD is not this user's",  # WRONG_PASSWORD
    194: "Set CLICKHOUSE_PASSWORD",  # REQUIRED_PASSWORD
    291: "This user may not use the database (CLICKHOUSE_USER, CLICKHOUSE_DATABASE)",  # DATABASE_ACCESS_DENIED
    ACCESS_DENIED: "GRANT it to the user of the recorder, or name another one (CLICKHOUSE_USER)",
    516: "Look at CLICKHOUSE_USER and CLICKHOUSE_PASSWORD",  # AUTHENTICATION_FAILED
}
"""What to do about a refusal, where the server's own words do not say it."""


@contextmanager
def translated(secret: str = "") -> Iterator[None]:
    """Raises whatever ClickHouse or its client raises as SinkUnavailable or SinkRefused, never naming `secret`."""
    try:
        yield
    except ClickHouseError as error:
        kind = _kind(error)
        raise kind(_text(error, secret)) from error
    except OSError as error:  # the embedded engine's temporary file; TLS where it is read, and not only opened
        raise SinkUnavailable(_text(error, secret)) from error
    except MemoryError as error:  # pyarrow's is one, too
        raise SinkUnavailable(f"out of memory: {_text(error, secret)}") from error


def refusal(text: str) -> DatabaseError:
    """An exception of ClickHouse that came as the body of an answer that had begun as a good one."""
    return DatabaseError(text, code=code_in(text))


def code_of(error: SinkError) -> int | None:
    """ClickHouse's code of an error that `translated` has raised."""
    return _code(error.__cause__) if error.__cause__ else None


def code_in(text: str) -> int | None:
    """The code in ClickHouse's own words; the last one, since what stands before it may quote another."""
    found = _CODE.findall(text)
    return int(found[-1]) if found else None


def _kind(error: ClickHouseError) -> type[SinkError]:
    if _UNTRUSTED in str(error):
        return SinkRefused
    if isinstance(error, OperationalError):
        return SinkUnavailable
    code = _code(error)
    if code is None:  # an answer that ClickHouse itself did not write: a proxy, 500, 502
        return SinkRefused if isinstance(error, ProgrammingError) else SinkUnavailable
    return SinkUnavailable if code in PASSING else SinkRefused


def _code(error: BaseException) -> int | None:
    return error.code if isinstance(error, DatabaseError) else None


_CODE = re.compile(r"\bCode: (\d+)\b")
_UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"
_UNCONNECTED = re.compile(r"host='([^']+)', port=(\d+)\).*\[Errno -?\d+\] ([\w ]+)")
"""How urllib3 tells that there is no connection, in 300 characters that hide why."""


def _text(error: Exception, secret: str) -> str:
    text = " ".join(str(error).split())
    unconnected = _UNCONNECTED.search(text)
    if unconnected:
        text = "no connection to {}:{}: {}".format(*unconnected.groups())
    elif _UNTRUSTED in text:
        why = text.partition("certificate verify failed: ")[2].partition(" (_ssl")[0]
        text = f"its certificate is not to be trusted: {why}. Where its CA is your own, SSL_CERT_FILE names its file"
    else:
        advice = _ADVICE.get(_code(error) or 0)
        text = text[:400] + (f". {advice}" if advice else "")
    return text.replace(secret, "***") if secret else text
