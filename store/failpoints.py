"""Failpoints: named lines at which a test makes a process die, wait or meet an error.

Whoever starts the process arms one with `name:kill`, `name:sleep=SECONDS` or `name:enospc`; until
then `reach` does nothing. A failpoint acts once in a process: what comes after is the recovery.
"""

import errno
import os
import signal
import time

_armed: tuple[str, str] | None = None


def arm(text: str) -> None:
    """Have the failpoint that `text` names act when it is reached; an empty text disarms."""
    global _armed
    name, _, action = text.partition(":")
    _armed = (name, action) if name else None


def reach(name: str) -> None:
    """Act if this failpoint is armed."""
    if _armed is None or _armed[0] != name:
        return
    action, _, seconds = _armed[1].partition("=")
    arm("")
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "sleep":
        time.sleep(float(seconds))
    elif action == "enospc":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
