"""The parent of several processes: it forks them, starts dead ones again, and stops them together.

It has one thread and does nothing else. All that its children need is imported before the first
fork, so that they share those pages; a page is copied only where a child writes to it. If the
parent is killed, the kernel kills the children, and the port is free.
"""

import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from standalone import PROGRAM
from standalone.process import StartError
from store.errors import StoreError
from workers.attempt.leash import die_with

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS: Final = 0.1
"""The pause before a process that died is started again; it doubles with each quick death."""
LONGEST_PAUSE_SECONDS: Final = 30.0
QUICK_SECONDS: Final = 60.0
"""A process that lived longer is started again after the first pause."""
LOOK_SECONDS: Final = 0.05
"""How often the parent looks whether the processes are ready, while it starts them."""

_SIGNALS: Final = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}

Ready = Callable[[], None]
"""A process calls it once it does its work."""


@dataclass(frozen=True, kw_only=True)
class Role:
    """What one process does: `run` returns when SIGTERM or SIGINT told it to stop."""

    name: str
    run: Callable[[Ready], None]


class _Child:
    """The present process of a role, or the time at which it is started again."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.pid: int | None = None
        self.began = 0.0
        self.start_at = 0.0
        self.n_quick = 0

    def is_due(self) -> bool:
        return self.pid is None and time.monotonic() >= self.start_at

    def note_death(self) -> float:
        """Forget the process; the seconds until it is started again."""
        is_quick = time.monotonic() - self.began < QUICK_SECONDS
        pause = min(FIRST_PAUSE_SECONDS * 2 ** min(self.n_quick, 10), LONGEST_PAUSE_SECONDS)
        pause = pause if is_quick else FIRST_PAUSE_SECONDS
        self.n_quick = self.n_quick + 1 if is_quick else 1
        self.pid, self.start_at = None, time.monotonic() + pause
        return pause


class Parent:
    """Keeps one process for each role until it is told to stop."""

    def __init__(self, roles: Sequence[Role], *, on_death: Callable[[str], None]) -> None:
        """on_death: told the role of a process that ended, before that is started again."""
        self._children = [_Child(role) for role in roles]
        self._on_death = on_death
        self._waited_for = {role.name for role in roles}
        self._ready, self._tell_ready = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._is_stopping = False
        self._has_failed = False

    def run(self, on_ready: Callable[[], None], *, on_stop: Callable[[], None]) -> None:
        """Start the processes, and return when all have ended.

        on_ready: called once when all are ready. on_stop: called when they are told to stop.
        Raises StartError if one ends before all were ready.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            while self._go_on():
                patience = LOOK_SECONDS if self._waited_for else self._patience()
                found = signal.sigtimedwait(_SIGNALS, patience)
                self._reap()
                if self._waited_for and not self._is_stopping and self._all_are_ready():
                    on_ready()
                if self._has_failed and not self._is_stopping:
                    self._stop(signal.SIGTERM, on_stop)
                elif found is not None and found.si_signo != signal.SIGCHLD:
                    self._stop(found.si_signo, on_stop)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(self._ready)
            os.close(self._tell_ready)
        if self._has_failed:
            raise StartError("A process did not start. The log above has the reason.")

    def _go_on(self) -> bool:
        """Start what is due; whether there is anything to wait for."""
        if self._is_stopping:
            return any(child.pid is not None for child in self._children)
        for child in self._children:
            if child.is_due():
                self._start(child)
        return True

    def _patience(self) -> float:
        """Seconds until the next process is due."""
        at = [child.start_at for child in self._children if child.pid is None]
        return max(min(at, default=float("inf")) - time.monotonic(), 0.0) if at else 3600.0

    def _start(self, child: _Child) -> None:
        child.began = time.monotonic()
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._be(child.role, parent)
        child.pid = pid

    def _be(self, role: Role, parent: int) -> NoReturn:
        """Be the process of a role; never returns into the parent's code."""
        status = 1
        try:
            os.setpgid(0, 0)  # Ctrl-C reaches the parent alone, which tells each child once
            die_with(parent)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            role.run(lambda: self._note_ready(role.name))
            status = 0
        except (StartError, StoreError, OSError) as error:
            print(f"{PROGRAM}: {error}", file=sys.stderr)
        except KeyboardInterrupt:
            status = 130
        except BaseException:  # noqa: BLE001 - nothing may reach the loop that this is a copy of
            traceback.print_exc()
        finally:
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _note_ready(self, name: str) -> None:
        os.write(self._tell_ready, f"{name}\n".encode())

    def _all_are_ready(self) -> bool:
        try:
            names = os.read(self._ready, 1 << 16).decode().split()
        except BlockingIOError:
            return False
        self._waited_for -= set(names)
        return not self._waited_for

    def _reap(self) -> None:
        for child in self._children:
            if child.pid is None:
                continue
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if not pid:
                continue
            code = os.waitstatus_to_exitcode(status)
            pause = child.note_death()
            self._on_death(child.role.name)
            if self._is_stopping:
                continue
            if self._waited_for:
                self._has_failed = True
                logger.error("process.not_started name=%s status=%s", child.role.name, code)
                continue
            logger.warning(
                *("process.ended name=%s pid=%s status=%s", child.role.name, pid, code),
            )
            logger.info("process.restart name=%s in_seconds=%.1f", child.role.name, pause)

    def _stop(self, number: int, on_stop: Callable[[], None]) -> None:
        """Tell all to stop: gently at first, and at the second Ctrl-C at once."""
        if not self._is_stopping:
            self._is_stopping = True
            on_stop()
            number = signal.SIGTERM
        for child in self._children:
            if child.pid is not None:
                os.kill(child.pid, number)
