"""A small ClickHouse server for tests: HTTP in front of chDB, in a process of its own, with faults on demand.

It answers what the real clickhouse-connect client sends: queries with parameters, INSERT … FORMAT Arrow with the data
in the body, `query_id`, `system.processes` and `KILL QUERY … SYNC` over the requests under way, basic authentication.
`POST /control` with JSON sets the fault for the next INSERT whose query_id contains `match`:

    cut      the rows are stored, the answer never comes      reset   nothing is stored, the connection is reset
    status   `status` and `code` are answered                 hang    nothing happens until the client goes away
    lost     the connection closes; the insert is invisible for `hidden` s, runs for `running` s, then stores its rows
"""

from __future__ import annotations

import base64
import json
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

USER, PASSWORD = "recorder", "s3cret-of-tests"
_CLIENT_SETTINGS = re.compile(r"param_|(query|query_id|database|wait_end_of_query|client_protocol_version|compress)$")


@dataclass
class Engine:
    """chDB and the requests under way; shared by all connections."""

    connection: Any
    lock: threading.Lock = field(default_factory=threading.Lock)
    running: dict[str, threading.Event] = field(default_factory=dict)
    faults: list[dict[str, Any]] = field(default_factory=list)
    inserts: list[str] = field(default_factory=list)

    def query(self, sql: str, params: dict[str, str]) -> bytes:
        """Runs any statement; raises RuntimeError with ClickHouse's text."""
        ids = ", ".join(f"'{one}'" for one in self.running)
        processes = f"(SELECT arrayJoin(CAST([{ids}] AS Array(String))) AS query_id)"
        if kill := re.match(r"KILL QUERY WHERE (.*) SYNC", sql, re.DOTALL):
            chosen = f"SELECT query_id FROM {processes} WHERE {kill[1]}"  # noqa: S608  a server runs what it is sent
            self._kill(self.query(chosen, params).decode().split())
            return b""
        with self.lock:
            result = self.connection.query(sql.replace("system.processes", processes), "TabSeparated", params=params)
            return bytes(result.bytes() or b"")

    def insert(self, sql: str, settings: str, data: bytes) -> None:
        """INSERT … FORMAT Arrow with the data that came in the body."""
        into, shape = sql.rsplit(" FORMAT ", 1)
        with tempfile.NamedTemporaryFile(suffix=".arrow") as file, self.lock:
            file.write(data)
            file.flush()
            self.connection.query(f"{into} FROM INFILE '{file.name}' SETTINGS {settings} FORMAT {shape}")

    def _kill(self, ids: list[str]) -> None:
        for one in ids:
            if killed := self.running.get(one):
                killed.set()
        while any(one in self.running for one in ids):
            time.sleep(0.005)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes: 40 ms a request otherwise
    engine: Engine

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def do_POST(self) -> None:
        """Control, INSERT, or any other statement."""
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/control":
            self.engine.faults[:] = json.loads(data)
            self._answer(200, json.dumps(self.engine.inserts).encode())
            return
        if not self._welcome():
            self._answer(401, b"Code: 516. DB::Exception: Authentication failed (AUTHENTICATION_FAILED)\n", 516)
            return
        params = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        sql = params.get("query", "")
        try:
            if sql.startswith("INSERT"):
                self._insert(sql, params, data)
            else:
                bound = {name[6:]: value for name, value in params.items() if name.startswith("param_")}
                self._answer(200, self.engine.query(sql + data.decode(), bound))
        except RuntimeError as error:
            code = re.search(r"Code: (\d+)", str(error))
            self._answer(500, str(error).encode(), int(code[1]) if code else 1002)

    do_GET = do_POST  # noqa: N815  http.server's name

    def _insert(self, sql: str, params: dict[str, str], data: bytes) -> None:
        query_id = params.get("query_id", "")
        self.engine.inserts.append(query_id)
        fault = self._fault(query_id)
        kind = fault.get("kind")
        if kind == "reset":
            self._drop(reset=True)
            return
        if kind == "status":
            self._answer(fault["status"], b"as told", fault.get("code", 0))
            return
        if kind == "hang":
            self.connection.recv(1)
            self.close_connection = True
            return
        if kind == "lost":
            self._drop()
            time.sleep(fault["hidden"])
        killed = self.engine.running[query_id] = threading.Event()
        try:
            if not killed.wait(fault.get("running", 0)):
                settings = ", ".join(f"{k} = '{v}'" for k, v in params.items() if not _CLIENT_SETTINGS.match(k))
                self.engine.insert(sql, settings, data)
        finally:
            del self.engine.running[query_id]
        if kind == "cut":
            self._drop()
        elif kind != "lost":
            self._answer(200, b"")

    def _fault(self, query_id: str) -> dict[str, Any]:
        for i, fault in enumerate(self.engine.faults):
            if fault.get("match", "") in query_id:
                return self.engine.faults.pop(i)
        return {}

    def _welcome(self) -> bool:
        expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return self.headers.get("Authorization") == f"Basic {expected}"

    def _drop(self, *, reset: bool = False) -> None:
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        else:
            self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, status: int, body: bytes, code: int = 0) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-ClickHouse-Exception-Code", str(code))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Front:
    """The server's process, seen from the tests."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, __file__, str(folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE)  # noqa: S603  ourselves
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def fault(self, **fault: object) -> list[str]:
        """Sets the next fault (none: no fault); returns the query_ids of all inserts so far."""
        data = json.dumps([fault] if fault else []).encode()
        with urllib.request.urlopen(f"{self.url}/control", data) as answer:  # noqa: S310  our own server
            return [str(one) for one in json.load(answer)]

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate(b"", timeout=20)


def main(folder: str) -> None:
    """Serves until standard input ends; prints the port."""
    import chdb  # noqa: PLC0415  only the server's process loads the engine

    connect: Callable[[str], Any] = chdb.connect
    Handler.engine = Engine(connect(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.shutdown()
    with Handler.engine.lock:
        Handler.engine.connection.close()


if __name__ == "__main__":
    main(sys.argv[1])
