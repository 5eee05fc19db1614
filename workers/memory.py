"""A training's memory on this machine: whether it is left, and whether the want of it ended one.

What it will take is computed by `nmtune.training.peak_memory`.
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
_NEARLY = 0.8  # of what was free: who needs so much may well have met a killer that counts nothing


class InsufficientMemoryError(MemoryError):
    """A job will take more memory than there is; the message says how much and what to do."""


def check(needed: int) -> dict[str, int | None]:
    """Log what a job will take; InsufficientMemoryError if this process may not take that much.

    Returns what it needs and what is available.
    """
    available = available_bytes()
    logger.info("memory.predicted needed_bytes=%d available_bytes=%s", needed, available)
    if available is not None and needed > available:
        raise InsufficientMemoryError(
            f"The job needs about {needed / 1e9:.1f} GB of memory, and the worker has "
            f"{available / 1e9:.1f} GB left. Send fewer rows or narrower embeddings, lower "
            "hidden_multiplier, or give the worker more memory, and submit the job again."
        )
    return {"needed_bytes": needed, "available_bytes": available}


class Watch:
    """Whether memory ran out while a process ran, by what the kernel and the process say.

    That a process got SIGKILL tells nothing: an operator's hand or a supervisor sends it too.
    """

    def __init__(self) -> None:
        """Begin to watch: before the process is started."""
        self._kills_before = n_kills()

    def ran_out(self, told: Mapping[str, int | None]) -> bool:
        """Whether the kernel has killed for memory since, or the process took nearly all of it.

        told: what the process said that it `needed_bytes`, and how many were `available_bytes`.
        """
        kills = n_kills()
        if kills is not None and self._kills_before is not None and kills > self._kills_before:
            return True
        needed, available = told.get("needed_bytes"), told.get("available_bytes")
        return needed is not None and available is not None and needed > _NEARLY * available


def n_kills() -> int | None:
    """Processes of our control group that the kernel killed for memory; None if it does not tell.

    Without control groups, those of the machine.
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
    """Where control groups of version 2, and of version 1, count what they killed."""
    try:
        lines = _OWN_CGROUP.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, own = line.split(":", 2)
        if not controllers:
            yield _CGROUP / own.lstrip("/") / "memory.events"
            yield _CGROUP / "memory.events"  # of a container that sees the machine's path
        elif "memory" in controllers.split(","):
            yield _CGROUP / "memory" / own.lstrip("/") / "memory.oom_control"
            yield _CGROUP / "memory" / "memory.oom_control"


def available_bytes() -> int | None:
    """What a process may still take here; None where the system does not tell."""
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
    """By the limit that the supervisor set; what is taken already is part of the prediction."""
    limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return None if limit == resource.RLIM_INFINITY else limit


def _of_the_container() -> int | None:
    """Of the control group (version 2) that this process sees; its page cache counts as free."""
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = int((_CGROUP / "memory.current").read_text())
        cache = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    return None if limit == "max" else int(limit) - used + int(cache.get("inactive_file", 0))
