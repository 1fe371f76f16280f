"""HTTP/1.1 over any stream of bytes: h11 reads and writes, this carries it to a function that answers.

h11 is what httpx itself speaks through. A server framework (hypercorn) was weighed: it brings an application protocol,
workers and a configuration, and cannot be handed a stream in memory; one endpoint that answers GET needs none of it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import h11
import trio

from kalshi_trio.exchange.listening import listen

IDLE_SECONDS = 60.0
CHUNK = 1 << 16


class Request(NamedTuple):
    """A request without body; `target`: path and query, `headers` by upper-case name."""

    method: str
    target: str
    headers: dict[str, str]


class Response(NamedTuple):
    """What is answered: JSON."""

    status: int
    body: bytes


Answering = Callable[[Request], Awaitable[Response]]


async def serve_http(stream: trio.abc.Stream, answer: Answering) -> None:
    """Answers one client's requests until it goes, misbehaves or is idle; nothing that a client does makes it raise."""
    connection = h11.Connection(h11.SERVER)
    try:
        with suppress(h11.RemoteProtocolError, trio.BrokenResourceError, trio.ClosedResourceError):
            while await _one(connection, stream, answer):
                connection.start_next_cycle()
    finally:
        await trio.aclose_forcefully(stream)


async def _one(connection: h11.Connection, stream: trio.abc.Stream, answer: Answering) -> bool:
    """One request; whether another may follow on the same stream."""
    request: h11.Request | None = None
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            with trio.move_on_after(IDLE_SECONDS) as waiting:
                connection.receive_data(bytes(await stream.receive_some(CHUNK)))
            if waiting.cancelled_caught:
                return False
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            break
        elif isinstance(event, h11.ConnectionClosed):
            return False
    headers = {name.decode().upper(): value.decode(errors="replace") for name, value in request.headers}
    response = await answer(Request(request.method.decode(), request.target.decode(errors="replace"), headers))
    await stream.send_all(_bytes(connection, response, body=request.method != b"HEAD"))
    return connection.our_state is h11.DONE and connection.their_state is h11.DONE


def _bytes(connection: h11.Connection, response: Response, *, body: bool) -> bytes:
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(response.body)))]
    data = h11.Data(response.body if body else b"")
    parts = (h11.Response(status_code=response.status, headers=headers), data, h11.EndOfMessage())
    return b"".join(connection.send(part) or b"" for part in parts)


async def serve_http_tcp(
    answer: Answering, host: str, port: int, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serves clients until cancelled; ready with `http://host:port`. Raises what `listen` does."""
    listeners, number = await listen(host, port)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(trio.serve_listeners, partial(serve_http, answer=answer), listeners))
        task_status.started(f"http://{host}:{number}")


def refused(status: int, code: str) -> Response:
    """An error in the shape that the exchange mostly gives it."""
    return Response(status, json.dumps({"error": {"code": code}}).encode())
