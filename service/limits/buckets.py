"""Token buckets by the generic cell rate algorithm: one number for each key.

The number is the moment at which the key's bucket will be full again. A bucket that is full is not
kept at all.
"""

import math
from typing import Final

EXACT: Final = 1e-6
"""Seconds that rounding may be off."""


class Bucket:
    """The buckets of all keys of a tenant for one class of requests."""

    __slots__ = ("burst_seconds", "full_at", "per_second", "seconds_each")

    def __init__(self, per_second: float, burst_seconds: float) -> None:
        """per_second: what flows in. burst_seconds: how long it takes to fill an empty one."""
        self.per_second = per_second
        self.seconds_each = 1.0 / per_second
        # One request always fits.
        self.burst_seconds = max(burst_seconds, self.seconds_each)
        self.full_at: dict[str, float] = {}

    @property
    def burst(self) -> int:
        """What a full bucket holds."""
        return int(self.burst_seconds * self.per_second + EXACT)

    def take(self, key: str, cost: float, at: float, paid: float = 0.0) -> float:
        """Take `cost` out of the key's bucket, or nothing and return the seconds to wait.

        at: the present, on a clock that only runs forwards. paid: what of the cost the request has
        paid before; it is lost if the rest is not there. What costs more than a bucket holds is let
        through by a full one, which is then empty for so much longer.
        """
        paid *= self.seconds_each
        full_at = self.full_at.get(key, at) - paid
        if full_at < at:
            full_at = at
        needed = cost * self.seconds_each
        if needed < self.burst_seconds:
            wait = full_at + needed - at - self.burst_seconds
        else:
            wait = full_at - at
        if wait > EXACT:
            return wait + paid
        self.full_at[key] = full_at + needed
        return 0.0

    def left(self, key: str, at: float) -> tuple[int, int]:
        """What the key's bucket holds now, and the seconds until it is full, rounded up."""
        full_in = self.full_at.get(key, at) - at
        if full_in <= 0.0:
            return self.burst, 0
        held = int((self.burst_seconds - full_in) * self.per_second + EXACT)
        return (held if held > 0 else 0), math.ceil(full_in - EXACT)

    def forget_full(self, at: float) -> None:
        """Drop what says nothing any more."""
        for key, full_at in list(self.full_at.items()):
            if full_at <= at:
                self.full_at.pop(key, None)
