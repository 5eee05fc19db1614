"""The app behind a true uvicorn, in a thread of the test's process."""

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from fastapi import FastAPI

from service.server import Server


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
        found = Running(server, thread, f"http://127.0.0.1:{listener.getsockname()[1]}")
        try:
            until(lambda: server.started)
            yield found
        finally:
            found.stop()
            thread.join(10)
            assert not thread.is_alive()


def until(is_so: Callable[[], bool]) -> None:
    """Wait for a state that nothing announces, at most ten seconds."""
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)
