"""A proxy between our client and the S3 server, which breaks what it is told to break."""

import http.client
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast


class Fault(Enum):
    """What becomes of a request."""

    ERROR = "error 500 before the server hears of it"
    HANG = "the server never hears of it, nor do we hear of the server"
    SLOW = "the answer comes byte by byte"
    CUT = "the answer ends in the middle of its body"
    LOST = "the server does it, and its answer is lost"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What came in."""

    method: str
    path: str
    headers: dict[str, str]

    @property
    def is_conditional(self) -> bool:
        return "if-none-match" in self.headers


Match = Callable[[Request], bool]


@dataclass(kw_only=True)
class _Rule:
    matches: Match
    fault: Fault | None = None
    hook: Callable[[Request], None] | None = None
    n_left: int


@dataclass
class Proxy:
    """Passes HTTP on to `port`; `requests` has what came, `fail` and `before` plan what happens."""

    port: int
    requests: list[Request] = field(default_factory=list)
    forgotten_headers: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()
        self._is_closing = threading.Event()
        self._server: _Server | None = None
        self._own_port = 0
        self.open()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._own_port}"

    def open(self) -> None:
        """Listen, after `close` on the same port as before."""
        self._is_closing.clear()
        self._server = _Server(("127.0.0.1", self._own_port), _Handler)
        self._server.proxy = self
        self._own_port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Refuse connections from now on."""
        self._is_closing.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.cut_all()

    def fail(self, fault: Fault, matches: Match = lambda _: True, *, times: int = 10**9) -> None:
        """Break the next `times` requests that match."""
        self._rules.append(_Rule(matches=matches, fault=fault, n_left=times))

    def before(self, matches: Match, hook: Callable[[Request], None]) -> None:
        """Run `hook` before the next request that matches is passed on."""
        self._rules.append(_Rule(matches=matches, hook=hook, n_left=1))

    def heal(self) -> None:
        """Break nothing more, and end what hangs."""
        self._rules.clear()

    def count(self, method: str, part: str = "") -> int:
        """How many requests of that method came whose path has that part."""
        return sum(one.method == method and part in one.path for one in self.requests)

    def take(self, request: Request) -> Fault | None:
        """Note the request, run its hook, and say how it is to be broken."""
        with self._lock:
            self.requests.append(request)
            rule = next((one for one in self._rules if one.n_left and one.matches(request)), None)
            if rule is not None:
                rule.n_left -= 1
        if rule is not None and rule.hook is not None:
            rule.hook(request)
        return rule.fault if rule is not None else None

    def hang(self) -> None:
        """Return when the proxy closes."""
        self._is_closing.wait(60)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False
    proxy: Proxy

    def __init__(self, *args: Any) -> None:
        self._connections: set[socket.socket] = set()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def cut_all(self) -> None:
        for connection in list(self._connections):
            self.shutdown_request(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Our client closes connections that it has lost patience with."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        proxy = cast(_Server, self.server).proxy
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        fault = proxy.take(Request(method=self.command, path=self.path, headers=headers))
        if fault is Fault.ERROR:
            return self._answer(500, {}, b"<Error><Code>InternalError</Code></Error>")
        if fault is Fault.HANG:
            proxy.hang()
            return self._cut()
        sent = {k: v for k, v in headers.items() if k not in proxy.forgotten_headers | {"expect"}}
        upstream = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)
        with closing(upstream):
            upstream.request(self.command, self.path, body=body, headers=sent)
            answer = upstream.getresponse()
            content = answer.read()
        if fault is Fault.LOST:
            return self._cut()
        return self._answer(answer.status, dict(answer.getheaders()), content, fault=fault)

    def _answer(
        self, status: int, headers: dict[str, str], body: bytes, *, fault: Fault | None = None
    ) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                self.send_header(name, value)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command == "HEAD":
            return None
        if fault is Fault.CUT:
            self.wfile.write(body[: len(body) // 2])
            return self._cut()
        if fault is Fault.SLOW:
            proxy = cast(_Server, self.server).proxy
            for i in range(len(body)):
                self.wfile.write(body[i : i + 1])
                self.wfile.flush()
                if proxy._is_closing.wait(0.02):
                    return self._cut()
            return None
        self.wfile.write(body)
        return None

    def _cut(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        pass

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle  # noqa: N815  as the library names them
