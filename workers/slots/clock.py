"""Notice by this process's own clock, which is never set, that the database's was set ahead."""

import logging
import time
from datetime import datetime
from typing import Final

logger = logging.getLogger(__name__)

JUMP_SECONDS: Final = 60.0
"""Usual corrections of a clock are smaller."""
HOLD_SECONDS: Final = 3600.0
"""How long a clock that was set ahead is not trusted; a clock that is set back is trusted again."""


class ClockWatch:
    """Compares two looks at the database's clock with the time that passed between them.

    It cannot know of a jump before its first look.
    """

    def __init__(self) -> None:
        self._last: tuple[datetime, float] | None = None
        self._trusted_at = 0.0

    def was_set_ahead(self, moment: datetime) -> bool:
        """Whether the clock, which now shows `moment`, was set ahead within the last hour."""
        at = time.monotonic()
        if self._last is not None:
            before, seen_at = self._last
            jump = (moment - before).total_seconds() - (at - seen_at)
            if jump > JUMP_SECONDS:
                logger.warning("clock.set_ahead seconds=%.0f hold_seconds=%.0f", jump, HOLD_SECONDS)
                self._trusted_at = at + HOLD_SECONDS
            elif jump < -JUMP_SECONDS:
                self._trusted_at = 0.0
        self._last = moment, at
        return at < self._trusted_at
