"""The standby: a training process started ahead, so that a job does not wait for torch.

It has imported what a training needs and waits on its stdin for the folder to work in. It holds no
GPU and no data yet, but the imports take some 300 MB. So by default it starts only after a first
job, and ends when jobs have stayed away for long.
"""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from workers.attempt.supervise import NICENESS, leashed

logger = logging.getLogger(__name__)


class Standby:
    """At most one waiting process, tied to the slot's thread, which starts it.

    Only that thread calls the methods, except `retire`. If `idle_seconds` is None it always waits.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        memory_limit: int | None,
        idle_seconds: float | None = None,
    ) -> None:
        self._environment = dict(environment)
        self._memory_limit = memory_limit
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_wanted = idle_seconds is None
        self._idle_since: float | None = None

    def prepare(self) -> None:
        """Note that the slot has no job, and start a process if one is wanted."""
        with self._lock:
            if self._idle_since is None:
                self._idle_since = time.monotonic()
            if self._is_wanted:
                self._start()

    def take(self, workdir: Path) -> subprocess.Popen[bytes] | None:
        """Hand the folder to the waiting process; None if no living process waits.

        The next one starts at once, while this job trains, so that the next job need not wait.
        """
        with self._lock:
            self._is_wanted, self._idle_since = True, None
            process, self._process = self._process, None
            try:
                return _handed_over(process, workdir)
            finally:
                self._start()

    def retire(self) -> None:
        """End the waiting process if the slot has had no job for `idle_seconds`."""
        with self._lock:
            if self._idle_seconds is None or self._idle_since is None:
                return
            if self._is_wanted and time.monotonic() - self._idle_since >= self._idle_seconds:
                self._is_wanted = False
                self._end()

    def close(self) -> None:
        """End the waiting process."""
        with self._lock:
            self._end()

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self._end()
        command = [sys.executable, "-P", "-m", "workers.child.main", "--standby"]
        try:
            self._process = subprocess.Popen(
                leashed(command, niceness=NICENESS, memory_limit=self._memory_limit),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=self._environment,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:  # a job then starts its own process, and reports the error
            logger.warning("standby.not_started reason=%s", error)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            _end(process)


def _handed_over(
    process: subprocess.Popen[bytes] | None, workdir: Path
) -> subprocess.Popen[bytes] | None:
    if process is None or process.stdin is None:
        return None
    try:
        process.stdin.write(f"{workdir}\n".encode())
        process.stdin.close()
    except OSError:
        _end(process)
        return None
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
