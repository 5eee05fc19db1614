"""The home of a child's first steps: a script that ties it to its parent, then becomes the command.

Usage: `python -I -S leash.py PARENT_PID NICENESS MEMORY_LIMIT COMMAND...`; the limit is in bytes, 0
for none. It is a script of its own because `Popen(preexec_fn=...)` may deadlock in a process with
threads; it imports the standard library alone and costs some 15 ms.
"""

import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
PARENT_GONE = 113  # exit status; nobody is left to read it


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above, which then waits for ever
        os._exit(PARENT_GONE)


def limit(niceness: int, memory_limit: int) -> None:
    """Lower this process's claims on the machine, below those of its parent."""
    os.nice(niceness)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the user's data
    if memory_limit:
        # RLIMIT_DATA, not RLIMIT_AS: libraries and memory-mapped data sets are not what runs out.
        resource.setrlimit(resource.RLIMIT_DATA, (memory_limit, memory_limit))
    with contextlib.suppress(OSError):  # when memory runs out, training is to go, not the service
        Path("/proc/self/oom_score_adj").write_text("1000")


def main() -> None:
    parent, niceness, memory_limit = map(int, sys.argv[1:4])
    command = sys.argv[4:]
    die_with(parent)
    limit(niceness, memory_limit)
    # Ignored and blocked signals are inherited; SIGTERM has to work, however we were started.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main()
