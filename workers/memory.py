"""A training's memory: whether this machine has enough, and whether its lack ended a training.

`nmtune.training.peak_memory` computes how much a training will take.
"""

import logging
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path

logger = logging.getLogger(__name__)

_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")
_OWN_CGROUP = Path("/proc/self/cgroup")
_VMSTAT = Path("/proc/vmstat")
_NEARLY = 0.8  # of what was free: a killer that leaves no count may well have struck


class InsufficientMemoryError(MemoryError):
    """A job needs more memory than there is; the message says how much and what to do."""


def check(needed: int) -> dict[str, int | None]:
    """Log a job's memory; return how many bytes it needs and how many are available.

    Raises InsufficientMemoryError if this process cannot get that much.
    """
    available = available_bytes()
    logger.info("memory.predicted needed_bytes=%d available_bytes=%s", needed, available)
    if available is not None and needed > available:
        raise InsufficientMemoryError(
            f"The job needs about {needed / 1e9:.1f} GB of memory, but the worker has only "
            f"{available / 1e9:.1f} GB left. Send fewer rows or narrower embeddings, lower "
            "hidden_multiplier, or give the worker more memory; then submit the job again."
        )
    return {"needed_bytes": needed, "available_bytes": available}


class Watch:
    """Tells whether memory ran out while a process ran, by the kernel's counts and the process.

    A SIGKILL proves nothing: operators and supervisors send it too.
    """

    def __init__(self) -> None:
        """Begin to watch, before the process starts."""
        self._kills_before = n_kills()

    def ran_out(self, told: Mapping[str, int | None]) -> bool:
        """Whether the kernel has killed for memory since, or the process needed nearly all of it.

        told: the process's own `needed_bytes` and `available_bytes`.
        """
        kills = n_kills()
        if kills is not None and self._kills_before is not None and kills > self._kills_before:
            return True
        needed, available = told.get("needed_bytes"), told.get("available_bytes")
        return needed is not None and available is not None and needed > _NEARLY * available


def n_kills() -> int | None:
    """How many processes of our control group the kernel killed for memory; None if unknown.

    Without control groups it counts those of the machine.
    """
    for path in (*_event_files(), _VMSTAT):
        try:
            lines = path.read_text().splitlines()
        except OSError:
            continue
        counts = dict(line.split()[:2] for line in lines if len(line.split()) > 1)
        if "oom_kill" in counts:
            return int(counts["oom_kill"])
    return None


def _event_files() -> Iterator[Path]:
    """The files where control groups of version 2 and 1 count their kills."""
    try:
        lines = _OWN_CGROUP.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, own = line.split(":", 2)
        if not controllers:
            yield _CGROUP / own.lstrip("/") / "memory.events"
            yield _CGROUP / "memory.events"  # in a container that sees the machine's path
        elif "memory" in controllers.split(","):
            yield _CGROUP / "memory" / own.lstrip("/") / "memory.oom_control"
            yield _CGROUP / "memory" / "memory.oom_control"


def available_bytes() -> int | None:
    """How much memory a process can still take here; None if unknown."""
    sizes = (_of_the_machine(), _of_the_container(), _of_the_process())
    return min((size for size in sizes if size is not None), default=None)


def _of_the_machine() -> int | None:
    try:
        lines = _MEMINFO.read_text().splitlines()
    except OSError:
        return None
    sizes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return 1024 * int(sizes[0]) if sizes else None


def _of_the_process() -> int | None:
    """The supervisor's limit; memory already in use is part of the predicted need."""
    limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return None if limit == resource.RLIM_INFINITY else limit


def _of_the_container() -> int | None:
    """What is left of the control group (version 2); its page cache counts as free."""
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = int((_CGROUP / "memory.current").read_text())
        cache = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    return None if limit == "max" else int(limit) - used + int(cache.get("inactive_file", 0))
