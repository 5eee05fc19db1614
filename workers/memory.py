"""The home of a training's memory on this machine: whether what a job will take is left.

What it will take is computed by `nmtune.peak_memory`.
"""

import logging
import resource
from pathlib import Path

logger = logging.getLogger(__name__)

_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


class InsufficientMemoryError(MemoryError):
    """A job will take more memory than there is; the message says how much and what to do."""


def check(needed: int) -> None:
    """Log what a job will take; InsufficientMemoryError if this process may not take that much."""
    available = available_bytes()
    logger.info("memory.predicted needed_bytes=%d available_bytes=%s", needed, available)
    if available is not None and needed > available:
        raise InsufficientMemoryError(
            f"The job needs about {needed / 1e9:.1f} GB of memory, and the worker has "
            f"{available / 1e9:.1f} GB left. Send fewer rows or narrower embeddings, lower "
            "hidden_multiplier, or give the worker more memory, and submit the job again."
        )


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
