"""Slow down whoever guesses keys: so many wrong ones a minute from one address."""

import time
from typing import Final

A_MINUTE: Final = 10
"""Wrong keys that one address may send a minute."""
MOST: Final = 10_000
"""Addresses that are remembered; where there are more, the count begins anew."""

_SECONDS_EACH: Final = 60.0 / A_MINUTE


class Guesses:
    """For each address the moment by which its wrong keys are forgiven."""

    def __init__(self) -> None:
        self._forgiven_at: dict[str, float] = {}

    def seconds_to_wait(self, address: str) -> float:
        """How long the address must wait before it may send an unknown key; 0: not at all."""
        ahead = self._forgiven_at.get(address, 0.0) - time.monotonic()
        return max(ahead - 60.0 + _SECONDS_EACH, 0.0)

    def note_wrong(self, address: str) -> None:
        """Count a wrong key."""
        if len(self._forgiven_at) >= MOST:
            self._forgiven_at.clear()
        at = time.monotonic()
        self._forgiven_at[address] = max(self._forgiven_at.get(address, 0.0), at) + _SECONDS_EACH
