"""Kalshi's REST over httpx on Trio: one GET at a time, signed where there is a key, paced, its answer bounded in bytes.

A GET costs 10 tokens of a bucket that fills with 200 a second in the lowest tier. One every 100 ms takes half of that,
and after a failure (429 among them, which comes without Retry-After) waits grow from 1 s to 30 s.
"""

from __future__ import annotations

import logging
import random
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import NamedTuple, Self

import httpx
import trio

from kalshi_trio.errors import ConfigError, RestError
from kalshi_trio.protocol.auth import Signer
from kalshi_trio.protocol.retry import waits

EVERY = 0.1
SECONDS = 10.0
"""How long one request may take, its answer included."""
CLOSE_SECONDS = 1.0
LIMIT_BYTES = 8 << 20
"""The longest answer taken: 100 books of 100 levels a side have half a megabyte."""

logging.getLogger("httpx").setLevel(logging.WARNING)  # its INFO line a request is not for our users' terminals


class Reply(NamedTuple):
    """An answer of whatever status, whole. `sent_ns`, `answered_ns`: wall clock just before and after."""

    status: int
    body: bytes
    sent_ns: int
    answered_ns: int


class Rest:
    """A client for one task; to be entered with `async with`. `url` ends in `/trade-api/v2`: else ConfigError."""

    def __init__(
        self,
        url: str,
        signer: Signer | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        wall_ns: Callable[[], int] = time.time_ns,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._base = _checked(url)
        self._signer = signer
        self._wall_ns = wall_ns
        self._random = random
        self._pauses: Iterator[float] = waits(random)
        self._next_at = 0.0
        self._client = httpx.AsyncClient(  # as the websocket: the system's certificates, and no proxy
            transport=transport,
            verify=ssl.create_default_context(),
            trust_env=False,
            timeout=SECONDS,
            headers={"Accept-Encoding": "identity"},
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        with trio.move_on_after(CLOSE_SECONDS, shield=True):
            await self._client.__aexit__(kind, error, where)

    @property
    def shown(self) -> str:
        """The address as it may be recorded and logged."""
        return str(self._base.copy_with(username=None, password=None))

    async def turn(self) -> None:
        """Waits until a request may go out."""
        await trio.sleep_until(max(self._next_at, trio.current_time()))

    async def get(self, path: str, params: Sequence[tuple[str, str]] = ()) -> Reply:
        """Sends one GET now (`turn` first). RestError if there is no whole answer; nothing is tried again by itself.

        Safe to cancel: the connection is closed then.
        """
        url = self._base.copy_with(path=self._base.path + path, params=list(params))
        self._next_at = trio.current_time() + EVERY
        sent_ns = self._wall_ns()
        headers = self._signer.headers("GET", url.path, sent_ns // 1_000_000) if self._signer else []
        try:
            with trio.fail_after(SECONDS):
                async with self._client.stream("GET", url, headers=headers) as response:
                    body = await _read(response)
        except (httpx.HTTPError, trio.TooSlowError, RestError) as error:
            self._failed()
            raise RestError(f"{self.shown}{path}: {str(error) or type(error).__name__}") from error
        if response.status_code == httpx.codes.OK:
            self._pauses = waits(self._random)
        else:
            self._failed()
            if self._signer:  # what refuses a key may quote its id, and this is recorded
                body = body.replace(self._signer.key_id.encode(), "…".encode())
        return Reply(response.status_code, body, sent_ns, self._wall_ns())

    def _failed(self) -> None:
        self._next_at = trio.current_time() + next(self._pauses)


async def _read(response: httpx.Response) -> bytes:
    """All of it; what is too long is cancelled, which httpx's nested generators take, as they do not take a `break`."""
    body = bytearray()
    with trio.CancelScope() as enough:
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > LIMIT_BYTES:
                enough.cancel(reason="too long")
    if len(body) > LIMIT_BYTES:
        raise RestError(f"its answer is longer than {LIMIT_BYTES:,} bytes")
    return bytes(body)


def _checked(url: str) -> httpx.URL:
    try:
        base = httpx.URL(url.rstrip("/"))
        usable = base.scheme in ("http", "https") and bool(base.host) and not base.query
    except httpx.InvalidURL:
        usable = False
    if not usable:
        raise ConfigError("The address of REST must look like https://host[:port]/trade-api/v2: see KALSHI_REST_URL")
    return base
