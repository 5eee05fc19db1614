"""Home of the failpoints: named lines at which a test lets a process die, wait or meet an error.

`NMTUNE_FAILPOINT=name:kill`, `name:sleep=SECONDS` or `name:enospc`. Without the variable a
failpoint does nothing. It acts once in a process: what comes after is the recovery.
"""

import errno
import os
import signal
import time
from functools import cache


def reach(name: str) -> None:
    """Do at this line what the environment says of it."""
    where, action = _wanted()
    if where != name:
        return
    _wanted.cache_clear()
    os.environ.pop("NMTUNE_FAILPOINT", None)
    what, _, seconds = action.partition("=")
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "sleep":
        time.sleep(float(seconds))
    elif what == "enospc":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@cache
def _wanted() -> tuple[str, str]:
    """Where, and what to do there."""
    where, _, action = os.environ.get("NMTUNE_FAILPOINT", "").partition(":")
    return where, action
