"""The pace: how many requests may be under way, found out as TCP does.

One more after each good round, half as many after a refusal. Rate-limit headers differ and lie, so
only refusals and `Retry-After` count.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_FIRST: Final = 2.0


class Pace:
    """Bounds the requests of one job to one provider; safe among threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._allowed = min(_FIRST, float(most))
        self._n_under_way = 0
        self._resumes_at = 0.0
        self._changed = threading.Condition()
        self._is_stopped = False

    @property
    def allowed(self) -> float:
        return self._allowed

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn and hold it during the block. Raises Stopped."""
        with self._changed:
            while not self._is_stopped:
                pause = self._resumes_at - time.monotonic()
                if pause <= 0 and self._n_under_way < int(self._allowed):
                    break
                self._changed.wait(pause if pause > 0 else None)
            if self._is_stopped:
                raise Stopped
            self._n_under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._n_under_way -= 1
                self._changed.notify_all()

    def went_well(self) -> None:
        with self._changed:
            self._allowed = min(float(self._most), self._allowed + 1 / self._allowed)
            self._changed.notify_all()

    def was_refused(self, retry_after: float | None) -> None:
        """Halve the pace; no request starts before `retry_after` seconds have passed."""
        with self._changed:
            self._allowed = max(1.0, self._allowed / 2)
            if retry_after is not None:
                resumes_at = time.monotonic() + retry_after
                self._resumes_at = max(self._resumes_at, resumes_at)

    def stop(self) -> None:
        """Let no request start any more."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()


class Stopped(Exception):  # noqa: N818  it is no error
    """The caller stopped the work."""
