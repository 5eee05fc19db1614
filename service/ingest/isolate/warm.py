"""Keep a zygote: start it with the first file, and again if it has ended.

Starting Python and importing pyarrow takes a second; forking a process that has done so takes a few
milliseconds.
"""

import atexit
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from service.ingest.isolate.zygote import STARTED, STATUS

_START_SECONDS: Final = 60.0
_KILL_SECONDS: Final = 10.0
_END_SECONDS: Final = 5.0
_TAIL_CHARACTERS: Final = 2000


class Gone(Exception):  # noqa: N818 - a state of the zygote, not a fault of the file
    """The zygote ended before it took the request; a new one will take it."""


class TooSlow(Exception):  # noqa: N818 - the file's fault, which the caller explains
    """The decoding process did not end in its time, and was killed."""


class Warm:
    """At most one zygote. Any number of threads may run requests at once."""

    def __init__(self, command: list[str], environment: Mapping[str, str], *, folder: Path) -> None:
        self._command = command
        self._environment = dict(environment)
        self._folder = folder
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._is_registered = False

    def run(self, request: Path, *, seconds: float) -> int:
        """Have the request decoded; the status as of `subprocess`. Blocking.

        Raises TooSlow after `seconds`, and RuntimeError where no zygote can be had.
        """
        control = self._prepared()
        try:
            return self._ask(control, request, seconds)
        except Gone:
            self._end(control)
        control = self._prepared()
        try:
            return self._ask(control, request, seconds)
        except Gone:
            what = self._end(control)
            raise RuntimeError(f"the decoding zygote does not start: {what}") from None

    def close(self) -> None:
        """End the zygote, and with it whatever it still decodes."""
        self._end(self._control)

    def _end(self, control: socket.socket | None) -> str:
        """End that zygote, unless another has replaced it; returns the end of its stderr."""
        with self._lock:
            if control is None or control is not self._control or self._process is None:
                return ""
            self._control, process, self._process = None, self._process, None
        control.close()
        try:
            _, said = process.communicate(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            _, said = process.communicate()
        return said[-_TAIL_CHARACTERS:].decode(errors="replace")

    @property
    def pid(self) -> int | None:
        """The zygote's process, if one was started."""
        process = self._process
        return None if process is None else process.pid

    def _prepared(self) -> socket.socket:
        with self._lock:
            if self._control is not None:
                return self._control
            if not self._is_registered:
                atexit.register(self.close)
                self._is_registered = True
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._process = subprocess.Popen(
                    [*self._command, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env=self._environment,
                    cwd=self._folder,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            self._control = ours
            return ours

    def _ask(self, control: socket.socket, request: Path, seconds: float) -> int:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs:
                try:
                    socket.send_fds(control, [os.fsencode(request)], [theirs.fileno()])
                except OSError as error:
                    raise Gone from error
            try:
                is_started = _heard(ours, len(STARTED), _START_SECONDS) == STARTED
            except TimeoutError:
                is_started = False
            if not is_started:
                raise Gone
            try:
                status = _heard(ours, STATUS.size, seconds)
            except TimeoutError:
                ours.shutdown(socket.SHUT_WR)  # makes the zygote kill it
                with suppress(TimeoutError):
                    _heard(ours, STATUS.size, _KILL_SECONDS)
                raise TooSlow from None
        if not status:
            raise RuntimeError("the decoding zygote ended while a file was decoded")
        found: int = STATUS.unpack(status)[0]
        return found


def _heard(source: socket.socket, size: int, seconds: float) -> bytes:
    """The next message, empty if the zygote has ended."""
    source.settimeout(seconds)
    try:
        return source.recv(size)
    except ConnectionError:
        return b""


def command() -> list[str]:
    """The command that starts a zygote, without its socket."""
    return [sys.executable, "-P", "-m", "service.ingest.isolate.zygote"]
