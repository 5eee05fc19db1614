"""Write log lines from a thread, many at once, so that no request waits for its line.

At most `MOST` lines wait: then whoever logs writes them. An error is written at once, with all that
waits before it. An orderly end writes everything; a process that is killed loses what was logged in
its last `PAUSE_SECONDS`.
"""

import logging
import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

PAUSE_SECONDS: Final = 0.02
"""How long lines are collected."""
MOST: Final = 4096


class LogBatches(logging.Handler):
    """Takes the place of a handler that writes each line by itself."""

    def __init__(self, of: "logging.StreamHandler[TextIO]") -> None:
        super().__init__()
        self._stream = of.stream
        self.setFormatter(of.formatter)
        for one in of.filters:
            self.addFilter(one)
        self._waiting: deque[logging.LogRecord] = deque()
        self._writing = threading.RLock()
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = threading.Thread(
            target=self._run, name="log", daemon=True
        )
        os.register_at_fork(after_in_child=self._forked)
        self._thread.start()

    def createLock(self) -> None:  # noqa: N802 - logging's own name
        """None: a record is appended at once, and `_writing` keeps the lines in order."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """As logging does, without a lock: from Python 3.13 on it insists on one."""
        passes = bool(self.filter(record))
        if passes:
            self.emit(record)
        return passes

    def emit(self, record: logging.LogRecord) -> None:
        """Note the record. Its filters have run, in the thread that logs."""
        self._waiting.append(record)
        is_urgent = record.levelno >= logging.ERROR or len(self._waiting) >= MOST
        if is_urgent or self._thread is None:
            self.flush()
        elif not self._wake.is_set():
            self._wake.set()

    def flush(self) -> None:
        """Write all that waits now, in one piece; if that fails, tell it as logging does."""
        with self._writing:
            taken = self._taken()
            lines = [line for line in map(self._line, taken) if line is not None]
            if not lines:
                return
            try:
                self._stream.write("\n".join([*lines, ""]))
                self._stream.flush()
            except Exception:  # noqa: BLE001 - a full disk must end neither the thread nor a request
                self.handleError(taken[-1])

    def close(self) -> None:
        """Write all that waits, and from now on each line by itself."""
        thread, self._thread = self._thread, None
        self._ending.set()
        self._wake.set()
        if thread is not None:
            thread.join()
        self.flush()
        super().close()

    def _taken(self) -> list[logging.LogRecord]:
        """What waits, without what comes meanwhile: else a flush might have no end."""
        return [self._waiting.popleft() for _ in range(len(self._waiting))]

    def _line(self, record: logging.LogRecord) -> str | None:
        try:
            return self.format(record)
        except Exception:  # noqa: BLE001 - as logging does: a bad line must not end anything
            self.handleError(record)
            return None

    def _run(self) -> None:
        while not self._ending.is_set():
            self._wake.wait()
            self._ending.wait(PAUSE_SECONDS)
            self._wake.clear()
            self.flush()

    def _forked(self) -> None:
        """In a child: its parent writes what waited, and it has no thread."""
        self._waiting.clear()
        self._writing = threading.RLock()
        self._thread = None


@contextmanager
def in_batches() -> Iterator[None]:
    """Write this process's log in batches until the block ends."""
    root = logging.getLogger()
    given = root.handlers[:]
    root.handlers[:] = [
        LogBatches(one) if type(one) is logging.StreamHandler else one for one in given
    ]
    try:
        yield
    finally:
        batches, root.handlers[:] = root.handlers[:], given
        for one in set(batches) - set(given):
            one.close()
