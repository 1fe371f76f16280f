"""A small ClickHouse server for tests: HTTP in front of chDB, in a process of its own, with faults on demand.

It answers what the real clickhouse-connect client sends: queries with parameters, INSERT … FORMAT Arrow with the data
in the body (also by `input()`), `query_id` (216 if it runs already), `system.processes` and `KILL QUERY … SYNC` over the
requests under way, basic authentication, compressed answers and bodies, TLS. A subquery in a `throwIf` of an insert is
asked when the request has been entered in the list of processes, as a server does. `POST /control` with a list of faults
in JSON: each hits the next INSERT whose query_id contains `match`, or the next other statement that contains `sql`:

    cut      the rows are stored, the answer never comes      reset   nothing is stored, the connection is reset
    status   `status` and `code` are answered                 hang    nothing happens until the client goes away
    lost     the connection closes; the insert is invisible for `hidden` s, runs for `running` s, then stores its rows
    broken   200, then (half of the answer and) the text of an exception, without a header that says so
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import select
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import lz4.frame

USER, PASSWORD = "recorder", "s3cret-of-tests"
BROKEN = "Code: {}. DB::Exception: Memory limit (total) exceeded (MEMORY_LIMIT_EXCEEDED) (version 26.9.2.1)\n"
_BECAME = {"395": "fenced", "394": "killed"}
_CODE = re.compile(r"Code: (\d+)")
_GUARD = re.compile(r"throwIf\(\((SELECT .*?)\) != (\d+)")
_INPUT = re.compile(r"input\('((?:[^'\\]|\\.)*)'\)")
_CLIENT_SETTINGS = re.compile(r"param_|(query|query_id|database|wait_end_of_query|client_protocol_version|compress)$")


@dataclass
class Engine:
    """chDB and the requests under way; shared by all connections."""

    connection: Any
    lock: threading.Lock = field(default_factory=threading.Lock)
    running: dict[str, threading.Event] = field(default_factory=dict)
    faults: list[dict[str, Any]] = field(default_factory=list)
    inserts: list[str] = field(default_factory=list)
    late: list[tuple[str, str]] = field(default_factory=list)
    """Of each insert that came late its query_id and what became of it: `let in`, `fenced`, `killed`."""
    server: str = ""
    cluster: str = ""
    """The cluster of which it says it is a replica; nothing is replicated."""

    def query(self, sql: str, params: dict[str, str]) -> bytes:
        """Runs any statement; raises RuntimeError with ClickHouse's text."""
        ids = ", ".join(f"'{one}'" for one in self.running)
        processes = f"(SELECT arrayJoin(CAST([{ids}] AS Array(String))) AS query_id)"
        if kill := re.match(r"KILL QUERY WHERE (.*) SYNC", sql, re.DOTALL):
            chosen = f"SELECT query_id FROM {processes} WHERE {kill[1]}"  # noqa: S608  a server runs what it is sent
            self._kill(self.query(chosen, params).decode().split())
            return b""
        with self.lock:
            sql = self._ours(sql.replace("system.processes", processes))
            result = self.connection.query(sql, "TabSeparated", params=params)
            return bytes(result.bytes() or b"")

    def _ours(self, sql: str) -> str:
        """The embedded engine has a UUID of zeros."""
        sql = sql.replace("toString(serverUUID())", f"'{self.server}'")
        if self.cluster:
            engine = "if(engine LIKE '%MergeTree', concat('Replicated', engine), engine) AS engine"
            sql = sql.replace("system.clusters", f"(SELECT '{self.cluster}' AS cluster)")
            sql = sql.replace("system.tables", f"(SELECT * REPLACE ({engine}) FROM system.tables)")  # noqa: S608  its own
            sql = sql.replace(f" ON CLUSTER `{self.cluster}`", "").replace("ENGINE = Replicated", "ENGINE = ")
        return sql.replace("hostName()", f"'server-{self.server[:4]}'")

    def run(self, query_id: str, sql: str, settings: str, data: bytes, running: float) -> None:
        """An insert as a server does it: entered in the list of processes first, then its guard is asked, then it runs.

        Raises RuntimeError with ClickHouse's text.
        """
        if query_id in self.running:
            raise RuntimeError(
                "Code: 216. DB::Exception: Query is already running (QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING)"
            )
        killed = self.running[query_id] = threading.Event()
        try:
            admitted = self.admitted(sql)
            if killed.wait(running):
                raise RuntimeError("Code: 394. DB::Exception: Query was cancelled (QUERY_WAS_CANCELLED)")
            self.insert(admitted, settings, data)
        finally:
            del self.running[query_id]

    def insert(self, sql: str, settings: str, data: bytes) -> None:
        """INSERT … FORMAT Arrow with the data that came in the body."""
        into, shape = self._ours(sql).rsplit(" FORMAT ", 1)
        with tempfile.NamedTemporaryFile(suffix=".arrow") as file, self.lock:
            file.write(data)
            file.flush()
            if found := _INPUT.search(into):
                source = f"file('{file.name}', '{shape}', '{found[1]}')"
                self.connection.query(f"{into[: found.start()]}{source}{into[found.end() :]} SETTINGS {settings}")
            else:
                self.connection.query(f"{into} FROM INFILE '{file.name}' SETTINGS {settings} FORMAT {shape}")

    def admitted(self, sql: str) -> str:
        """The insert with its guard's question answered, as a server does it when the query begins."""

        def answered(found: re.Match[str]) -> str:
            return f"throwIf({self.query(found[1], {}).decode().strip()} != {found[2]}"

        return _GUARD.sub(answered, sql)

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
            if data:
                self.engine.faults[:] = json.loads(data)
            seen = {"inserts": self.engine.inserts, "late": self.engine.late}
            self._answer(200, json.dumps(seen).encode())
            return
        if not self._welcome():
            self._answer(401, b"Code: 516. DB::Exception: Authentication failed (AUTHENTICATION_FAILED)\n", 516)
            return
        params = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        sql = params.get("query", "")
        try:
            if sql.startswith("INSERT"):
                self._insert(sql, params, self._unpacked(data))
            else:
                self._query(sql + self._unpacked(data).decode(), params)
        except RuntimeError as error:
            code = _CODE.search(str(error))
            self._answer(500, str(error).encode(), int(code[1]) if code else 1002)

    do_GET = do_POST  # noqa: N815  http.server's name

    def _query(self, sql: str, params: dict[str, str]) -> None:
        bound = {name[6:]: value for name, value in params.items() if name.startswith("param_")}
        fault = self._fault("sql", sql)
        if fault.get("kind") == "status":
            self._fail(fault)
            return
        answer = self.engine.query(sql, bound)
        if fault.get("kind") == "broken":
            part = answer[: int(len(answer) * fault.get("part", 0.5))]
            self._answer(200, part + BROKEN.format(fault.get("code", 241)).encode())
            return
        packed = params.get("enable_http_compression", "1") == "1"
        self._answer(200, answer, packed=self.headers.get("Accept-Encoding", "") if packed else "")

    def _unpacked(self, data: bytes) -> bytes:
        return _UNPACK[self.headers.get("Content-Encoding", "identity")](data)

    def _insert(self, sql: str, params: dict[str, str], data: bytes) -> None:
        engine, query_id = self.engine, params.get("query_id", "")
        engine.inserts.append(query_id)
        fault = self._fault("match", query_id)
        kind = fault.get("kind")
        if kind in {"reset", "status", "broken", "hang"}:
            self._fail(fault)
            return
        if kind == "lost":
            self._drop()
            time.sleep(fault["hidden"])
        became = "let in"
        try:
            engine.run(query_id, sql, self._settings(params), data, fault.get("running", 0))
        except RuntimeError as error:
            if kind != "lost":
                raise
            code = _CODE.search(str(error))
            became = _BECAME.get(code[1] if code else "", str(error))
        if kind == "lost":
            engine.late.append((query_id, became))
        elif kind == "cut":
            self._drop()
        else:
            self._answer(200, b"")

    def _settings(self, params: dict[str, str]) -> str:
        return ", ".join(f"{k} = '{v}'" for k, v in params.items() if not _CLIENT_SETTINGS.match(k))

    def _fail(self, fault: dict[str, Any]) -> None:
        if fault["kind"] == "reset":
            self._drop(reset=True)
        elif fault["kind"] == "status":
            self._answer(fault["status"], fault.get("body", "as told").encode(), fault.get("code", 0))
        elif fault["kind"] == "broken":
            self._answer(200, BROKEN.format(fault.get("code", 241)).encode())
        else:
            self.connection.recv(1)
            self.close_connection = True

    def _fault(self, where: str, text: str) -> dict[str, Any]:
        for i, fault in enumerate(self.engine.faults):
            if ("sql" in fault) == (where == "sql") and fault.get(where, "") in text:
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

    def _answer(self, status: int, body: bytes, code: int = 0, packed: str = "") -> None:
        self.send_response(status)
        for encoding in packed.split(","):
            if pack := _PACK.get(encoding.strip()):
                self.send_header("Content-Encoding", encoding.strip())
                body = pack(body)
                break
        if code:
            self.send_header("X-ClickHouse-Exception-Code", str(code))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


_PACK: dict[str, Callable[[bytes], bytes]] = {"lz4": lz4.frame.compress, "gzip": gzip.compress}
_UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lz4.frame.decompress,
    "gzip": gzip.decompress,
    "identity": bytes,
}


class Front:
    """The server's process, seen from the tests; `tls`: files with its certificate's chain and its key."""

    def __init__(self, folder: Path, tls: tuple[Path, Path] | None = None, cluster: str = "") -> None:
        command = [sys.executable, __file__, str(folder), cluster, *map(str, tls or ())]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE)  # noqa: S603  ourselves
        assert self._process.stdout is not None
        self.port, control = map(int, self._process.stdout.readline().split())
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._control = f"http://127.0.0.1:{control}/control"

    def fault(self, **fault: object) -> list[str]:
        """Sets the next fault (none: no fault); returns the query_ids of all inserts so far."""
        return self.faults([fault] if fault else [])

    def faults(self, faults: Sequence[dict[str, object]]) -> list[str]:
        """Sets the next faults; returns the query_ids of all inserts so far."""
        return [str(one) for one in self._ask(json.dumps(faults).encode())["inserts"]]

    def late(self) -> list[tuple[str, str]]:
        """What became of each insert that came late: query_id and `let in`, `fenced` or `killed`."""
        return [(query_id, became) for query_id, became in self._ask(b"")["late"]]

    def _ask(self, data: bytes) -> dict[str, Any]:
        with urllib.request.urlopen(self._control, data) as answer:  # noqa: S310  our own server
            return dict(json.load(answer))

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate(b"", timeout=20)


class Balancer:
    """One address for several servers: each connection goes to the next of them."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = deque(ports)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._socket.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._ports[0]))
            self._ports.rotate(-1)
            threading.Thread(target=_pump, args=(near, far), daemon=True).start()

    def turn_to(self, *ports: int) -> None:
        """Connections from now on go to these."""
        self._ports = deque(ports)

    def close(self) -> None:
        """Ends it; connections end with their clients."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def _pump(near: socket.socket, far: socket.socket) -> None:
    other = {near: far, far: near}
    with near, far:
        while True:
            for one in select.select([near, far], [], [])[0]:
                data = one.recv(1 << 16)
                if not data:
                    return
                other[one].sendall(data)


def main(folder: str, cluster: str, *tls: str) -> None:
    """Serves until standard input ends; prints its port, and the one for control (the same, without TLS)."""
    import chdb  # noqa: PLC0415  only the server's process loads the engine

    connect: Callable[[str], Any] = chdb.connect
    Handler.engine = Engine(connect(folder), server=str(uuid.uuid5(uuid.NAMESPACE_URL, folder)), cluster=cluster)
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler)]
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        servers[0].socket = context.wrap_socket(servers[0].socket, server_side=True)
    for server in servers:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{servers[0].server_port} {servers[-1].server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    for server in servers:
        server.shutdown()
    with Handler.engine.lock:
        Handler.engine.connection.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
