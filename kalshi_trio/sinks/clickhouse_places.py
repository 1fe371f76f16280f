"""Where ClickHouse is: embedded in this process, or a server by URL. Either gives a clickhouse-connect client."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ProgrammingError
from clickhouse_connect.driver.httputil import check_env_proxy
from urllib3 import PoolManager, ProxyManager

from kalshi_trio.errors import ConfigError, FolderNotWritable, InUse, SinkRefused, SinkUnavailable
from kalshi_trio.file_lock import FileLock
from kalshi_trio.sinks.interruptible import interruptible

CONNECT_SECS = 5
ANSWER_SECS = 60


class Place(Protocol):
    """Opens and closes one client at a time."""

    @property
    def remote(self) -> bool:
        """Whether an insert whose answer was lost may still be running."""

    @property
    def secret(self) -> str:
        """What no error may name, empty for nothing."""

    def connect(self) -> Client:
        """A new client; raises what clickhouse-connect raises, or a UserError. Closes the one before."""

    def reconnect(self) -> None:
        """Makes the next question of the client go over a new connection."""

    def interrupt(self) -> None:
        """Makes the call that waits for the network fail, and all later ones of this client; any thread may ask."""

    def close(self) -> None:
        """Closes the client."""


class Embedded:
    """The engine in this process (chDB) on a local folder, held by a lock file beside it.

    chDB knows one folder a process, refuses a second process with a reason on stderr only, and hangs in a forked child.
    clickhouse-connect hands it each insert in a temporary file (`TMPDIR`), which a kill at that moment leaves behind.
    """

    remote = False
    secret = ""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._client: Client | None = None
        self._lock: FileLock | None = None
        self._pid = os.getpid()

    def __repr__(self) -> str:
        return f"Embedded({str(self._folder)!r})"

    def connect(self) -> Client:
        """See Place. Raises InUse or FolderNotWritable; SinkRefused in a forked child."""
        if os.getpid() != self._pid:
            message = "the embedded ClickHouse cannot be used in a forked child: start a new process"
            raise SinkRefused(message)
        self.close()
        self._lock = _hold(self._folder)
        try:
            self._client = clickhouse_connect.get_client(interface="chdb", path=str(self._folder))
        except ProgrammingError as error:
            self.close()
            message = (
                f"{self._folder}: the embedded ClickHouse did not open. Most often another program (a notebook?) has "
                "the same folder open; the engine's own reason is on standard error, above this line."
            )
            raise InUse(message) from error
        return self._client

    def reconnect(self) -> None:
        """See Place: there is none."""

    def interrupt(self) -> None:
        """See Place: an insert here is short, and joined."""

    def close(self) -> None:
        """See Place."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None


@dataclass
class Server:
    """A server by URL: `http[s]://[user[:password]@]host[:port]`; the password is in no repr and no error."""

    url: str
    user: str = ""
    password: str = field(default="", repr=False)
    remote: bool = field(default=True, init=False, repr=False)

    def __post_init__(self) -> None:
        """Takes user and password out of the URL; raises ConfigError for one that is not understood."""
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        self.user = self.user or unquote(parts.username or "")
        self.password = self.password or unquote(parts.password or "")
        bare = self.url.rpartition("@")[2]
        self.url = f"{parts.scheme}://{bare}" if "@" in self.url else self.url
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path not in {"", "/"} or parts.query:
            message = (
                f"CLICKHOUSE_URL {bare!r} is not understood: write http://HOST:8123 or https://HOST:8443, the "
                "database in CLICKHOUSE_DATABASE, user and password in CLICKHOUSE_USER and CLICKHOUSE_PASSWORD"
            )
            raise ConfigError(message)
        self._scheme, self._host = parts.scheme, parts.hostname
        self._port = port or (8443 if parts.scheme == "https" else 8123)
        self._client: Client | None = None
        self._pool = PoolManager()
        self._cut: Callable[[], None] = lambda: None

    @property
    def secret(self) -> str:
        """The password."""
        return self.password

    def connect(self) -> Client:
        """See Place."""
        self.close()
        for name in ("clickhouse_connect", "urllib3"):  # their warnings repeat what our errors say, once for every try
            logging.getLogger(name).setLevel(logging.ERROR)
        proxy = check_env_proxy(self._scheme, self._host, self._port)
        self._pool = ProxyManager(proxy) if proxy else PoolManager()
        self._cut = interruptible(self._pool)
        self._client = clickhouse_connect.get_client(
            interface=self._scheme,
            host=self._host,
            port=self._port,
            username=self.user or None,
            password=self.password,
            pool_mgr=self._pool,
            connect_timeout=CONNECT_SECS,
            send_receive_timeout=ANSWER_SECS,
            autogenerate_session_id=False,  # calls come from several threads, one at a time
            client_name="kalshi_trio",
        )
        return self._client

    def reconnect(self) -> None:
        """See Place."""
        self._pool.clear()

    def interrupt(self) -> None:
        """See Place."""
        self._cut()

    def close(self) -> None:
        """See Place."""
        self._cut()
        self._pool.clear()
        if self._client is not None:
            self._client.close()
            self._client = None


_SCARCE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EIO}
"""What is short now, and may not be in a second."""


def _hold(folder: Path) -> FileLock:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder.with_name(f"{folder.name}.lock"), "DATA_DIR")
    except OSError as error:
        if error.errno in _SCARCE:
            raise SinkUnavailable(f"{folder}: {error.strerror}") from error
        message = f"{folder}: {error.strerror}. Choose a data folder that this user may write (DATA_DIR)."
        raise FolderNotWritable(message) from error
    except InUse as error:
        message = f"{folder}: another process has this embedded ClickHouse open. Stop it or choose another data folder."
        raise InUse(message) from error
