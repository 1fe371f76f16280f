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
        74,  # CANNOT_READ_FROM_FILE_DESCRIPTOR
        75,  # CANNOT_WRITE_TO_FILE_DESCRIPTOR
        76,  # CANNOT_OPEN_FILE
        159,  # TIMEOUT_EXCEEDED
        160,  # TOO_SLOW
        201,  # QUOTA_EXCEEDED
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        236,  # ABORTED
        241,  # MEMORY_LIMIT_EXCEEDED
        242,  # TABLE_IS_READ_ONLY
        243,  # NOT_ENOUGH_SPACE
        252,  # TOO_MANY_PARTS
        279,  # ALL_CONNECTION_TRIES_FAILED
        319,  # UNKNOWN_STATUS_OF_INSERT
        394,  # QUERY_WAS_CANCELLED
        425,  # SYSTEM_ERROR
        439,  # CANNOT_SCHEDULE_TASK
        473,  # DEADLOCK_AVOIDED
        499,  # S3_ERROR
        999,  # KEEPER_EXCEPTION
        1000,  # POCO_EXCEPTION
        1001,  # STD_EXCEPTION: also a rename that the disk refused
        1002,  # UNKNOWN_EXCEPTION
    }
)
"""Codes of what passes by itself, if only after somebody has made room."""


@contextmanager
def translated(secret: str = "") -> Iterator[None]:
    """Raises whatever ClickHouse or its client raises as SinkUnavailable or SinkRefused, never naming `secret`."""
    try:
        yield
    except ClickHouseError as error:
        raise _kind(error)(_text(error, secret)) from error
    except OSError as error:  # the embedded engine's temporary file
        raise SinkUnavailable(_text(error, secret)) from error


def _kind(error: ClickHouseError) -> type[SinkError]:
    if isinstance(error, OperationalError):
        return SinkUnavailable
    code = error.code if isinstance(error, DatabaseError) else None
    if code is None:  # an answer that ClickHouse itself did not write: a proxy, 500, 502
        return SinkRefused if isinstance(error, ProgrammingError) else SinkUnavailable
    return SinkUnavailable if code in PASSING else SinkRefused


_UNCONNECTED = re.compile(r"host='([^']+)', port=(\d+)\).*\[Errno -?\d+\] ([\w ]+)")
"""How urllib3 tells that there is no connection, in 300 characters that hide why."""


def _text(error: Exception, secret: str) -> str:
    text = " ".join(str(error).split())
    unconnected = _UNCONNECTED.search(text)
    text = "no connection to {}:{}: {}".format(*unconnected.groups()) if unconnected else text[:400]
    return text.replace(secret, "***") if secret else text
