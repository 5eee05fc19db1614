"""Serve the app by a real uvicorn in a thread of the test's process."""

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from fastapi import FastAPI

from service.server import Server
from tests.support.waiting import wait_until


@dataclass(frozen=True)
class Running:
    """A server that listens at `url`."""

    server: Server
    thread: threading.Thread
    url: str

    def stop(self) -> None:
        self.server.handle_exit(signal.SIGTERM, None)


@contextmanager
def serve(app: FastAPI, **bounds: Any) -> Iterator[Running]:
    """The app, served until the block ends; bounds: of `Server`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_config=None, access_log=False)
        server = Server(config, stopping=app.state.services.stopping, **bounds)
        thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
        thread.start()
        scheme = "https" if bounds.get("certificate") else "http"
        found = Running(server, thread, f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")
        try:
            wait_until(lambda: server.started)
            yield found
        finally:
            found.stop()
            thread.join(60)
            assert not thread.is_alive()
