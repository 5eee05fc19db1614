"""A receiver of webhooks on loopback: it checks each message with the public library, and can
misbehave.

`manner` answers a request in the place of the usual 204. It runs after the check, so that a message
counts as received whatever the answer is.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


class Post(BaseHTTPRequestHandler):
    """One message."""

    server: "Receiver"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        receiver = self.server
        with receiver.lock:
            receiver.take(body, dict(self.headers))
            manner = receiver.manner
        try:
            manner(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def do_GET(self) -> None:
        self.server.n_gets += 1
        self.answer(200)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


Manner = Callable[[Post], object]


class Receiver(ThreadingHTTPServer):
    """Remembers the verified messages, and the ids of those that did not pass."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Post)
        self.lock = threading.Lock()
        self.secrets: list[str] = []
        """Those that it verifies with; each must sign every message."""
        self.manner: Manner = lambda post: post.answer(204)
        self.messages: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.refused: list[str] = []
        self.n_gets = 0
        self.goodbye = threading.Event()

    def handle_error(self, *_: object) -> None:
        """Nothing: a failed handshake is the sender's to tell."""

    @property
    def host(self) -> tuple[str, int]:
        return "127.0.0.1", int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.host[1]}/hook?team=a"

    @property
    def types(self) -> list[str]:
        return [message["type"] for message in self.messages]

    def take(self, body: bytes, headers: dict[str, str]) -> None:
        lower = {name.lower(): value for name, value in headers.items()}
        try:
            for secret in self.secrets:
                message = Webhook(secret).verify(body, lower)
        except WebhookVerificationError as error:
            self.refused.append(f"{lower['webhook-id']}: {error}")
            return
        self.headers.append(lower)
        self.ids.append(lower["webhook-id"])
        self.messages.append(message if self.secrets else {"type": "unchecked"})


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that answers 204 to what it could verify."""
    receiver = Receiver()
    thread = threading.Thread(target=receiver.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.goodbye.set()
        receiver.shutdown()
        receiver.server_close()
        thread.join()
