"""Supervise a subprocess: start it, listen to it, stop it, and never leave it behind."""

import enum
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.1  # the longest time between two looks at `should_stop`
NICENESS = 10
GRACE_SECONDS = 2.0  # between SIGTERM and SIGKILL
READ_BYTES = 1 << 16
MAX_READS = 64  # in a row: a child that talks without end must still be stopped
LINE_BYTES = 1 << 22  # a longer line cannot be a message
LOG_BYTES = 1 << 20
LOG_TAIL_BYTES = 1 << 13
LEASH = Path(__file__).with_name("leash.py")


class Ending(enum.StrEnum):
    """How a subprocess ended: by itself (done, failed) or because we stopped it."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LEASE_LOST = "lease_lost"
    STOPPING = "stopping"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The end of one subprocess.

    `exit_code` is the negative number of a signal; `log_tail` is the end of its stderr.
    """

    ending: Ending
    exit_code: int
    log_tail: str

    @property
    def killed(self) -> bool:
        """Whether somebody else sent SIGKILL: nearly always the kernel, for memory."""
        return self.ending is Ending.FAILED and self.exit_code == -signal.SIGKILL


def supervise(
    command: Sequence[str],
    *,
    receive: Callable[[dict[str, Any]], None],
    should_stop: Callable[[], Ending | None],
    log_path: Path,
    environment: Mapping[str, str] | None = None,
    niceness: int = NICENESS,
    memory_limit: int | None = None,
    grace_seconds: float = GRACE_SECONDS,
    waiting: subprocess.Popen[bytes] | None = None,
) -> Outcome:
    """Run `command` in a process group of its own, until it ends or `should_stop` gives a reason.

    `command` begins with an absolute path. `waiting` is a process that this thread started ahead;
    it is then supervised in place of a new one. `receive` gets each JSON object that the child
    writes on a line of its stdout, until a stop is requested; stderr goes to `log_path`, which is
    kept near 1 MiB. A stop is SIGTERM, and SIGKILL `grace_seconds` later, both to the whole group.
    Whatever happens, even an exception in `receive`, no process of the group outlives this call.
    The child dies with the calling thread, so call this from a thread that lives as long as the
    worker.
    """
    with log_path.open("ab") as log:
        process = waiting or subprocess.Popen(
            leashed(command, niceness=niceness, memory_limit=memory_limit),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            bufsize=0,
            start_new_session=True,
        )
    assert process.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
    messages = _Messages(process.stdout.fileno(), process.pid)
    child_log = _Log(log_path)
    reason: Ending | None = None
    kill_at = float("inf")
    try:
        while not _has_ended(process):
            for message in messages.read(TICK_SECONDS):
                if reason is None:
                    receive(message)
            if reason is None and (reason := should_stop()) is not None:
                _signal_group(process, signal.SIGTERM)
                kill_at = time.monotonic() + grace_seconds
            elif time.monotonic() > kill_at:
                _signal_group(process, signal.SIGKILL)
                kill_at = float("inf")
            child_log.bound()
        if reason is None:
            for message in messages.read(0):
                receive(message)
    finally:
        # The leader is not reaped yet, so the number of its group cannot have been reused.
        _signal_group(process, signal.SIGKILL)
        exit_code = process.wait()
        process.stdout.close()
        messages.close()
    if reason is None:
        reason = Ending.DONE if exit_code == 0 else Ending.FAILED
    return Outcome(ending=reason, exit_code=exit_code, log_tail=child_log.tail())


def leashed(command: Sequence[str], *, niceness: int, memory_limit: int | None) -> list[str]:
    """The command run by `leash.py`, which needs no site-packages (-S) or environment (-I)."""
    leash = [sys.executable, "-I", "-S", str(LEASH)]
    return [*leash, str(os.getpid()), str(niceness), str(memory_limit or 0), *command]


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether the child is a zombie now; it stays one, so that its group's number stays taken."""
    options = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, process.pid, options) is not None


def _signal_group(process: subprocess.Popen[bytes], signal_number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, signal_number)
    except ProcessLookupError:
        logger.debug("child.group_gone pid=%d", process.pid)


class _Log:
    """The child's stderr: a file that it writes itself, emptied when it grows too large."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before = b""  # the end of the text before the file was last emptied

    def bound(self) -> None:
        if self._path.stat().st_size > LOG_BYTES:
            self._before = self._end()
            os.truncate(self._path, 0)  # the child appends, so it continues at the start

    def tail(self) -> str:
        return (self._before + self._end())[-LOG_TAIL_BYTES:].decode(errors="replace").strip()

    def _end(self) -> bytes:
        with self._path.open("rb") as log:
            log.seek(max(0, self._path.stat().st_size - LOG_TAIL_BYTES))
            return log.read()


class _Messages:
    """JSON objects, one on each line, read from a pipe without waiting for a line's end.

    The end of the process `pid` also ends a wait. Close it.
    """

    def __init__(self, descriptor: int, pid: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._process = os.pidfd_open(pid)
        self._poll = select.poll()  # not select(), which fails in a process with many sockets
        self._poll.register(descriptor, select.POLLIN)
        self._poll.register(self._process, select.POLLIN)
        self._open = True
        self._rest = b""

    def read(self, timeout: float) -> Iterator[dict[str, Any]]:
        """The messages that have arrived, after waiting at most `timeout` seconds for a byte."""
        self._poll.poll(timeout * 1000)
        for _ in range(MAX_READS):
            if (chunk := self._chunk()) is None:
                return
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            self._rest = self._rest[:LINE_BYTES]
            for line in lines:
                message = _parse(line)
                if message is not None:
                    yield message

    def _chunk(self) -> bytes | None:
        """The next bytes, or None if nothing has come or the pipe is closed."""
        if not self._open:
            return None
        try:
            chunk = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return None
        if not chunk:  # a closed pipe would end every wait at once
            self._poll.unregister(self._descriptor)
            self._open = False
        return chunk or None

    def close(self) -> None:
        os.close(self._process)


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        message = orjson.loads(line)
    except orjson.JSONDecodeError:
        message = None
    if not isinstance(message, dict):
        logger.warning("child.noise line=%r", line[:200])
        return None
    return message
