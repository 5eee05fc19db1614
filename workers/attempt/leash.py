"""A child's first steps: this script ties it to its parent, then becomes the command.

Usage: `python -I -S leash.py PARENT_PID NICENESS MEMORY_LIMIT COMMAND...`; the limit is in bytes, 0
means no limit. It is a script because `Popen(preexec_fn=...)` can deadlock in a process with
threads; it imports only the standard library and costs some 15 ms.
"""

import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
PARENT_GONE = 113  # exit status, though nobody is left to read it


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above, which then has no effect
        os._exit(PARENT_GONE)


def limit(niceness: int, memory_limit: int) -> None:
    """Lower this process's priority and limits below those of its parent."""
    os.nice(niceness)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the user's data
    if memory_limit:
        # RLIMIT_DATA, not RLIMIT_AS: libraries and mapped datasets do not exhaust memory.
        resource.setrlimit(resource.RLIMIT_DATA, (memory_limit, memory_limit))
    with contextlib.suppress(OSError):  # when memory runs out, kill the training, not the service
        Path("/proc/self/oom_score_adj").write_text("1000")


def main() -> None:
    parent, niceness, memory_limit = map(int, sys.argv[1:4])
    command = sys.argv[4:]
    die_with(parent)
    limit(niceness, memory_limit)
    # Ignored and blocked signals are inherited, but SIGTERM must always work.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main()
