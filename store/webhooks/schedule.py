"""When a delivery is tried again, and when an endpoint has failed too long."""

import random
from typing import Final

DELAYS_SECONDS: Final = (
    *(0.0, 5.0, 300.0, 1800.0, 7200.0),
    *(18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0),
)
"""The pause before each attempt, the first at once: 76 hours in all."""
JITTER: Final = 0.1
"""The share by which a pause varies, so that what failed together does not come back together."""
LONGEST_PAUSE_SECONDS: Final = 86_400.0 * (1 + JITTER)
MOST_RETRY_AFTER_SECONDS: Final = 86_400.0
"""A receiver may ask for a pause of up to a day."""
FAILING_DAYS: Final = 5
"""After so many days of failures alone an endpoint is disabled."""
KEPT_DAYS: Final = 30
"""How long messages and attempts can be read and replayed."""


def pause(n_tried: int, *, retry_after: float | None = None) -> float | None:
    """Seconds until the next attempt after `n_tried` have failed; None if none is left."""
    if n_tried >= len(DELAYS_SECONDS):
        return None
    usual = DELAYS_SECONDS[n_tried] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
    return max(usual, min(retry_after or 0.0, MOST_RETRY_AFTER_SECONDS))
