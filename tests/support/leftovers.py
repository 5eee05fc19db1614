"""Find what a test has left: processes, listening sockets, threads, files outside its own folder.

The test process adopts the orphans among its descendants (`adopt_orphans`), so that a process whose
parent has ended is still found. Servers that many tests share are named with `share`.
"""

import ctypes
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import thread
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.places import ROOT, WATCHED

GRACE_SECONDS = 20.0
"""How long what is ending may take. Nothing waits so long but a test that fails."""

ZYGOTE = "service.ingest.isolate.zygote"
_PR_SET_CHILD_SUBREAPER = 36
_REAP_SECONDS = 0.05
_shared: set[int] = set()
_own: set[int] = set()  # started by this process: the starter waits for their end


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends, in the place of process 1.

    As process 1 does, a thread reads their exit status, or they would look as if they still ran.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    execute = subprocess.Popen._execute_child  # type: ignore[attr-defined]

    def noted(self: subprocess.Popen[bytes], *arguments: object) -> None:
        execute(self, *arguments)
        _own.add(self.pid)

    fork = os.fork

    def noted_fork() -> int:
        pid = fork()
        _own.add(pid)
        return pid

    subprocess.Popen._execute_child = noted  # type: ignore[attr-defined]
    os.fork = noted_fork
    threading.Thread(target=_reap_orphans, name="reaper of orphans", daemon=True).start()


def _reap_orphans() -> None:
    before: set[int] = set()
    while True:
        ended = {pid for pid in _children(os.getpid()) if pid not in _own and not _runs(pid)}
        for pid in ended & before:  # seen twice: one that starts just now is not yet known as own
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        before = ended
        time.sleep(_REAP_SECONDS)


def share(pid: int) -> None:
    """Name a server that outlives the test that started it, with all its own processes."""
    _shared.add(pid)


def unshare(pid: int) -> None:
    _shared.discard(pid)


def running(pid: int | None = None) -> set[int]:
    """The processes below this one (or `pid`) that run: no zombies, no shared servers."""
    found: set[int] = set()
    parent = os.getpid() if pid is None else pid
    for child in _children(parent):
        if child in _shared:
            continue
        if _runs(child) and not _is_zygote(child, parent):
            found.add(child)
        found |= running(child)
    return found


def _children(pid: int) -> Iterator[int]:
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in _names(f"/proc/{pid}/task"):
            with suppress(FileNotFoundError, ProcessLookupError):
                yield from map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())


def _runs(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1] not in b"ZX"
    return False


def _is_zygote(pid: int, parent: int) -> bool:
    """Whether it forks the processes that decode a server's uploads: it comes and ends with that.

    One that has lost its server is a child of this process, and none of ours.
    """
    return pid == _zygote() if parent == os.getpid() else ZYGOTE in _command(pid)


def _zygote() -> int | None:
    """The zygote of the apps inside the tests' process; it serves them all."""
    sandbox = sys.modules.get("service.ingest.isolate.sandbox")
    if sandbox is None or not sandbox._zygote.cache_info().currsize:
        return None
    pid: int | None = sandbox._zygote().pid
    return pid


@dataclass(frozen=True)
class State:
    """What there is at one moment."""

    processes: frozenset[int]
    listeners: frozenset[str]
    threads: frozenset[threading.Thread]
    files: frozenset[str]

    @classmethod
    def now(cls) -> "State":
        return cls(
            frozenset(running()),
            frozenset(_listeners()),
            frozenset(one for one in threading.enumerate() if not _is_of_a_pool(one)),
            frozenset(f"{folder}/{name}" for folder in _folders() for name in _names(folder)),
        )

    def left_since(self, before: "State") -> list[str]:
        """What there is now and was not before, in words."""
        return [
            *(f"process {pid}: {_command(pid)}" for pid in self.processes - before.processes),
            *(f"listening {one}" for one in self.listeners - before.listeners),
            *(f"thread {one.name}" for one in self.threads - before.threads if one.is_alive()),
            *(f"file {name}" for name in self.files - before.files if not _is_expected(name)),
        ]


def left_since(before: State) -> list[str]:
    """What a test has left, once what was ending had its time."""
    deadline = time.monotonic() + GRACE_SECONDS
    while (left := State.now().left_since(before)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def _is_of_a_pool(one: threading.Thread) -> bool:
    """Daemons, and the idle threads of a pool: they end with it, which a module may share."""
    return one.daemon or one.name == "AnyIO worker thread" or one in thread._threads_queues


def _names(folder: str | Path) -> list[str]:
    return os.listdir(folder)  # noqa: PTH208  runs four times a test, and paths are slow to make


def _folders() -> Iterator[Path]:
    yield ROOT
    yield from WATCHED


def _is_expected(name: str) -> bool:
    """What tools make once and keep, or remove when the process ends."""
    return Path(name).name.startswith((".", "__pycache__", "torchinductor_", "sklearn_testing_"))


def _listeners() -> Iterator[str]:
    """This process's listening sockets; those of others end with their process."""
    for name in _names("/proc/self/fd"):
        with suppress(OSError):
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            with socket.socket(fileno=os.dup(int(name))) as one:
                if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    yield f"{one.getsockname()}"


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()[:200]
    return "has ended"
