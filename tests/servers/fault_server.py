"""An embedding server on loopback that misbehaves as it is told to.

It speaks OpenAI's dialect over real HTTP. Without a fault in line it answers as it should.
"""

import hashlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

WIDTH = 8


def vector(text: str, width: int = WIDTH) -> list[float]:
    """What the server makes of a text: always the same."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    found: list[float] = np.random.default_rng(seed).normal(size=width).round(6).tolist()
    return found


class Request(BaseHTTPRequestHandler):
    """One request; `fault(request, body)` answers it if it likes to, and says whether it did."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            server.requests.append((self.path, dict(self.headers), body))
            server.n_under_way += 1
            server.most_under_way = max(server.most_under_way, server.n_under_way)
            fault = server.faults.popleft() if server.faults else server.always
        try:
            if fault is None or not fault(self, body):
                self.embeddings(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with server.lock:
                server.n_under_way -= 1

    def embeddings(self, body: dict[str, Any], width: int = WIDTH) -> None:
        data = [
            {"object": "embedding", "index": index, "embedding": vector(text, width)}
            for index, text in enumerate(body["input"])
        ]
        self.answer(200, {"data": data, "usage": {"prompt_tokens": sum(map(len, body["input"]))}})

    def answer(self, status: int, content: Any, **headers: str) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


Fault = Callable[[Request, dict[str, Any]], bool]


class Server(ThreadingHTTPServer):
    """Remembers what it was asked, and has faults in line."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.lock = threading.Lock()
        self.faults: deque[Fault] = deque()
        self.always: Fault | None = None
        """The fault of each request for which none is in line."""
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.n_under_way = self.most_under_way = 0
        self.released = threading.Event()
        """Ends the wait of those that hang."""

    @property
    def host(self) -> tuple[str, int]:
        return ("127.0.0.1", self.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def texts(self) -> list[str]:
        """All texts that were asked for, in order, repeated where they were."""
        return [text for _, _, body in self.requests for text in body["input"]]


def status(code: int, content: Any = None, **headers: str) -> Fault:
    """Answers with an HTTP status."""

    def fault(request: Request, body: dict[str, Any]) -> bool:
        request.answer(code, content if content is not None else {}, **headers)
        return True

    return fault


def hang(request: Request, body: dict[str, Any]) -> bool:
    """Says nothing until it is released."""
    request.server.released.wait(60)
    request.close_connection = True
    return True


def trickle(request: Request, body: dict[str, Any]) -> bool:
    """Sends a header's byte now and then, for ever."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not request.server.released.wait(0.05):
        request.wfile.write(b"a")
    return True


def half(request: Request, body: dict[str, Any]) -> bool:
    """Closes in the middle of the body."""
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    request.wfile.write(b'{"data": [')
    request.close_connection = True
    return True


def edited(edit: Callable[[list[dict[str, Any]]], Any]) -> Fault:
    """Answers with a list of embeddings that was changed."""

    def fault(request: Request, body: dict[str, Any]) -> bool:
        data = [{"index": i, "embedding": vector(text)} for i, text in enumerate(body["input"])]
        request.answer(200, {"data": edit(data)})
        return True

    return fault


def at_most(n_items: int, message: str = "batch size exceeds the maximum") -> Fault:
    """Refuses more texts than these, as a server with a cap does."""

    def fault(request: Request, body: dict[str, Any]) -> bool:
        if len(body["input"]) <= n_items:
            return False
        request.answer(400, {"error": {"message": message}})
        return True

    return fault


def when(
    is_wrong: Callable[[list[str]], bool], code: int, content: Any = None, **headers: str
) -> Fault:
    """Answers with an HTTP status, but only where the texts are of a kind."""

    def fault(request: Request, body: dict[str, Any]) -> bool:
        if not is_wrong(body["input"]):
            return False
        return status(code, content, **headers)(request, body)

    return fault


@contextmanager
def serving() -> Iterator[Server]:
    """A server on a port of its own, in a thread."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
