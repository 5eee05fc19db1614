"""Give a serial test the machine to itself: the other processes of a parallel run wait."""

import fcntl
from pathlib import Path


class Turns:
    """One file lock that every test holds: shared, or alone where it is marked `serial`.

    The gate in front of it makes the lock fair: a test that waits to be alone stands in the gate,
    and no other passes. One object per process; all of them lock files of the same folder.
    """

    def __init__(self, folder: Path) -> None:
        self._gate = (folder / "gate.lock").open("w")
        self._floor = (folder / "floor.lock").open("w")
        self._is_alone = False

    def take(self, *, alone: bool) -> None:
        """Wait until a test may run. A turn that was kept from the test before goes on."""
        if self._is_alone:
            return
        fcntl.flock(self._gate, fcntl.LOCK_EX)
        fcntl.flock(self._floor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(self._gate, fcntl.LOCK_UN)
        self._is_alone = alone

    def give(self) -> None:
        """End the turn."""
        fcntl.flock(self._floor, fcntl.LOCK_UN)
        self._is_alone = False

    def close(self) -> None:
        self._gate.close()
        self._floor.close()
