"""Slow down whoever guesses keys: so many wrong ones a minute from one address.

The count is in memory that the processes of a server share, if it has several: otherwise whoever
guesses would have as many counts as there are processes.
"""

import hashlib
import mmap
import secrets
import time
from typing import Final

A_MINUTE: Final = 10
"""Wrong keys that one address may send a minute."""

_SECONDS_EACH: Final = 60.0 / A_MINUTE
_PLACES: Final = 1 << 14
"""Addresses that are remembered; beyond, the one that is forgiven first is forgotten."""
_NEAR: Final = 16
"""An address is looked for in so many places, from the one that its hash names."""
_BYTES: Final = 8


class Guesses:
    """For each address the moment by which its wrong keys are forgiven.

    A table of hashes beside a table of moments, without a lock: two processes that count at the
    same instant may count once, which lets one guess more through.
    """

    def __init__(self) -> None:
        """Make it before the processes that are to share it are forked."""
        self._secret = secrets.token_bytes(16)  # so that nobody can choose colliding addresses
        self._hashes = memoryview(mmap.mmap(-1, _PLACES * _BYTES)).cast("Q")
        self._forgiven_at = memoryview(mmap.mmap(-1, _PLACES * _BYTES)).cast("d")

    def seconds_to_wait(self, address: str) -> float:
        """How long the address must wait before it may send an unknown key; 0: not at all."""
        place = self._place(self._hash(address))
        if place is None:
            return 0.0
        ahead = self._forgiven_at[place] - time.monotonic()
        return max(ahead - 60.0 + _SECONDS_EACH, 0.0)

    def note_wrong(self, address: str) -> None:
        """Count a wrong key."""
        hashed, at = self._hash(address), time.monotonic()
        place = self._place(hashed)
        if place is None:  # takes the place of whoever is forgiven first
            place = min(_places(hashed), key=self._forgiven_at.__getitem__)
            self._hashes[place], self._forgiven_at[place] = hashed, 0.0
        self._forgiven_at[place] = max(self._forgiven_at[place], at) + _SECONDS_EACH

    def _hash(self, address: str) -> int:
        digest = hashlib.blake2b(address.encode(), digest_size=_BYTES, key=self._secret).digest()
        return int.from_bytes(digest, "little") | 1  # 0 is an empty place

    def _place(self, hashed: int) -> int | None:
        return next((place for place in _places(hashed) if self._hashes[place] == hashed), None)


def _places(hashed: int) -> list[int]:
    return [((hashed >> 1) + step) % _PLACES for step in range(_NEAR)]
