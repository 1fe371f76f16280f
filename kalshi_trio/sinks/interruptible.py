"""Ending a blocking HTTP call from outside: a thread cannot be cancelled, but its socket can be shut down."""

from __future__ import annotations

import socket
from collections.abc import Callable
from weakref import WeakSet

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError


def interruptible(manager: PoolManager) -> Callable[[], None]:
    """Returns a call, for any thread, after which every request of `manager` fails at once, those under way too.

    A request that is still connecting fails when it has, within its own time limit.
    """
    sockets: WeakSet[socket.socket] = WeakSet()
    cut = False

    def watch(connection: HTTPConnection) -> None:
        if isinstance(connection.sock, socket.socket):
            sockets.add(connection.sock)
        if cut:
            connection.close()
            raise NewConnectionError(connection, "interrupted")

    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            watch(self)

    class Tls(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            watch(self)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    manager.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}

    def interrupt() -> None:
        nonlocal cut
        cut = True
        for one in list(sockets):
            try:
                # The plain call even on TLS: SSLSocket.shutdown drops its TLS state under the thread that reads.
                socket.socket.shutdown(one, socket.SHUT_RDWR)
            except OSError:
                continue  # already closed

    return interrupt
