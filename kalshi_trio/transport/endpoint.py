"""Where to connect, and what opens the bytes to there."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

import trio

from kalshi_trio.errors import ConfigError

SHORTEST_SECRET = 4
"""What is shorter is not masked: half of every text would go with it."""
PIECE = 8
"""Letters of a secret in a row that tell something of it."""


class Endpoint(NamedTuple):
    """A websocket's URL and the headers to ask for it with; its repr shows neither headers nor credentials."""

    url: str
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def __repr__(self) -> str:
        return f"Endpoint({self.shown!r})"

    @property
    def parts(self) -> SplitResult:
        """The URL in parts; ConfigError where it is no websocket's."""
        try:
            parts = urlsplit(self.url)
            usable = parts.scheme in ("ws", "wss") and bool(parts.hostname) and parts.port != 0
            usable = usable and self.url.isascii() and self.url.isprintable() and " " not in self.url
        except ValueError:
            usable = False
        if not usable:
            raise ConfigError("The websocket's URL must look like wss://host[:port]/path: see KALSHI_WS_URL")
        return parts

    @property
    def secure(self) -> bool:
        """Whether TLS is wanted."""
        return self.parts.scheme == "wss"

    @property
    def host(self) -> str:
        """The name or address to connect to."""
        return self.parts.hostname or ""

    @property
    def port(self) -> int:
        """The port to connect to."""
        return self.parts.port or (443 if self.secure else 80)

    @property
    def host_header(self) -> str:
        """`Host`, with the port where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.parts.port in (None, 80, 443) else f"{host}:{self.parts.port}"

    @property
    def path(self) -> str:
        """What is signed: the path without the query."""
        return self.parts.path or "/"

    @property
    def resource(self) -> str:
        """What is asked for: path and query."""
        return self.path + (f"?{self.parts.query}" if self.parts.query else "")

    def masked(self, text: str) -> str:
        """`text`, which the peer may have written, without what our headers hold: key id, time stamp, signature."""
        for _, value in self.headers:
            if len(value) >= SHORTEST_SECRET:
                text = _without(text, value.decode("ascii"))
        return text

    @property
    def shown(self) -> str:
        """The URL as it may be recorded and logged: without user, password and query."""
        return f"{self.parts.scheme}://{self.host_header}{self.path}"


def _without(text: str, secret: str) -> str:
    """`text` with "…" for `secret`, and for each piece of it of PIECE letters or more, in whatever case."""
    text = text.replace(secret, "…")
    plain, hidden = ("".join(c.lower() if c.isascii() else c for c in one) for one in (text, secret))
    kept, at = [], 0
    while at < len(text):
        end = at + PIECE
        if end > len(text) or plain[at:end] not in hidden:
            kept.append(text[at])
            at += 1
            continue
        while end < len(text) and plain[at : end + 1] in hidden:
            end += 1
        kept.append("…")
        at = end
    return "".join(kept)


def check_cleartext(setting: str, url: str) -> None:
    """ConfigError where signed requests to this URL could be read, and repeated for some seconds, by others on the way.

    TLS and addresses of this machine are safe; `setting` is where the URL comes from.
    """
    parts = urlsplit(url)
    if parts.scheme in ("ws", "http") and not _here(parts.hostname or ""):
        raise ConfigError(
            f"{setting} sends signed requests in cleartext to {parts.hostname}: use {_SECURE[parts.scheme]}://, or set "
            "ALLOW_CLEARTEXT=1 if nobody can listen on the way"
        )


_SECURE = {"ws": "wss", "http": "https"}


def _here(host: str) -> bool:
    """Whether it is this machine, without asking anybody: a name other than `localhost` may mean anything."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


Dial = Callable[[Endpoint], Awaitable[trio.abc.Stream]]
"""Opens the byte stream to an endpoint, TLS included; raises OSError, ssl.SSLError or what Trio says of broken streams.

Cancelling it leaves nothing open.
"""
