"""Share connections evenly between the processes that listen on one socket.

The kernel wakes all of them for a new connection, and whoever comes first takes it. Left to itself
one process takes a whole burst. So each notes how many connections it has in memory that all of
them see, and takes a new one at once only if nobody has fewer; the others wait a moment, and then
take it too: whoever has the fewest may be busy or hang.
"""

import mmap
from typing import Final

YIELD_SECONDS: Final = 0.003
"""How long a process with more connections leaves a new one to the others."""

_DEAD: Final = (1 << 63) - 1
_BYTES: Final = 8


class Shares:
    """The number of connections of each of n processes; made before they are forked."""

    def __init__(self, n: int) -> None:
        self._counts = memoryview(mmap.mmap(-1, n * _BYTES)).cast("q")
        for number in range(n):
            self.of(number).note_dead()  # until it listens

    def of(self, number: int) -> "Share":
        """The share of one process, counted from 0."""
        return Share(self._counts, number)


class Share:
    """One process's share of the connections."""

    def __init__(self, counts: memoryview, number: int) -> None:
        self._counts = counts
        self._number = number

    def note(self, n_open: int) -> None:
        """Say how many connections this process has."""
        self._counts[self._number] = n_open

    def note_dead(self) -> None:
        """Nobody need wait for this process: it does not listen, or has ended."""
        self._counts[self._number] = _DEAD

    def is_dead(self) -> bool:
        """Whether nobody waits for this process."""
        return self._counts[self._number] == _DEAD

    def is_least(self) -> bool:
        """Whether no other process has fewer connections."""
        return bool(self._counts[self._number] <= min(self._counts))
