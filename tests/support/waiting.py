"""Wait for a state that nothing announces."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

SECONDS = 60
"""Until a wait fails. A busy machine pauses processes for seconds, so no wait is shorter."""


def wait_until(look: Callable[[], T | None], *, seconds: float = SECONDS) -> T:
    """The first true value of `look`, which is asked more and more rarely, at last every 50 ms."""
    deadline, pause = time.monotonic() + seconds, 0.002
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
    return found
