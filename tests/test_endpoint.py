"""Where to connect, read from a URL."""

from __future__ import annotations

import pytest

from kalshi_trio.errors import ConfigError
from kalshi_trio.transport.endpoint import Endpoint


@pytest.mark.parametrize(
    ("url", "secure", "host", "port", "header"),
    [
        ("wss://external-api-ws.kalshi.com/trade-api/ws/v2", True, "external-api-ws.kalshi.com", 443, None),
        ("ws://127.0.0.1:8080/trade-api/ws/v2", False, "127.0.0.1", 8080, "127.0.0.1:8080"),
        ("ws://localhost", False, "localhost", 80, None),
        ("wss://[::1]:9000/x", True, "::1", 9000, "[::1]:9000"),
    ],
)
def test_a_url_says_where_to_connect(url: str, secure: bool, host: str, port: int, header: str | None) -> None:
    endpoint = Endpoint(url)

    assert (endpoint.secure, endpoint.host, endpoint.port, endpoint.host_header) == (secure, host, port, header or host)


@pytest.mark.parametrize(
    ("url", "path", "resource"),
    [("ws://h", "/", "/"), ("ws://h/a/b", "/a/b", "/a/b"), ("ws://h/a?b=c&d", "/a", "/a?b=c&d")],
)
def test_the_path_to_sign_leaves_out_the_query_that_is_asked_for(url: str, path: str, resource: str) -> None:
    assert (Endpoint(url).path, Endpoint(url).resource) == (path, resource)


def test_nothing_secret_is_shown() -> None:
    endpoint = Endpoint("wss://user:password@host/path?token=secret", ((b"KALSHI-ACCESS-SIGNATURE", b"signature"),))

    assert repr(endpoint) == "Endpoint('wss://host/path')"
    assert f"{endpoint} {endpoint!s}" == "Endpoint('wss://host/path') Endpoint('wss://host/path')"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host",
        "https://host/",
        "ws://",
        "ws:///path",
        "wss://host:port/",
        "ws://host:0",
        "ws://host:70000",
        "ws://[h",
        "ws://host/a b",
        "ws://host/ü",
        "ws://host/\n",
    ],
)
def test_a_url_of_no_websocket_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="KALSHI_WS_URL"):
        _ = Endpoint(url).parts
