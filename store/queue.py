"""The doorbell: it wakes a worker early, and a lost ring loses nothing."""

import os
import threading
from contextlib import suppress
from typing import Protocol


class Queue(Protocol):
    """Tells workers that a job is queued. The row in the database is the queue; this is a hint."""

    def send(self, job_id: str, queue: str) -> None:
        """Ring for a job of that queue, after the transaction that queued it has ended.

        Never waits for a network.
        """
        ...


class LocalQueue:
    """The doorbell within one process: a worker thread waits on it between looks at the rows."""

    def __init__(self) -> None:
        self._rung = threading.Event()
        self._closed = False

    def send(self, job_id: str, queue: str) -> None:  # noqa: ARG002  the worker looks itself
        """Wake the waiting worker."""
        self._rung.set()

    def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds; return whether it was rung since the last wait.

        Returns False at once when closed. Look for work after this returns, not before: a ring
        during the look then ends the next wait at once.
        """
        if self._closed:
            return False
        rung = self._rung.wait(timeout)
        self._rung.clear()
        return rung and not self._closed

    def close(self) -> None:
        """End the present wait and all later ones at once."""
        self._closed = True
        self._rung.set()


class PipeQueue:
    """The doorbell between processes of one server; made before they are forked."""

    def __init__(self) -> None:
        self._read_end, self._write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._write_end, False)

    def send(self, job_id: str, queue: str) -> None:  # noqa: ARG002  the worker looks itself
        """Ring in the process that forwards."""
        with suppress(BlockingIOError):  # full of rings that nobody has heard yet
            os.write(self._write_end, b"1")

    def forward(self, queue: Queue) -> None:
        """Ring `queue` for each ring from another process, in a thread, as long as this lives."""

        def run() -> None:
            while os.read(self._read_end, 1 << 16):
                queue.send("", "")

        threading.Thread(target=run, name="doorbell", daemon=True).start()
