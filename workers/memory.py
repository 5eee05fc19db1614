"""The home of a training's memory: what a job will take, and what this machine has left.

The rows of the training split are copied once, scaled, for each candidate in turn; cross-validation
takes copies of its folds; a head's tuned embeddings are held for their spectrum. All else is
bounded, whatever the rows, or small.
"""

import logging
import resource
from collections.abc import Iterable
from pathlib import Path

from nmtune import TuneConfig

logger = logging.getLogger(__name__)

_PROCESS = 480 << 20
"""Python, torch, the libraries' buffers, and blocks of rows as they are worked on."""

_BLOCK_LOGITS = 1 << 23
_BYTES_OF_A_LOGIT = (
    28  # two arrays of float32, two of float64 and what log_softmax takes on its way
)
_ROWS_WATCHED = 8192
_FLOAT = 4
_ADAMW = 16  # a weight, its gradient and two moments

_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


def peak_bytes(
    configs: Iterable[TuneConfig],
    *,
    n_rows: int,
    n_columns: int,
    n_classes: int,
    most_rows: int,
) -> int:
    """The most memory that the training process will hold at a time on the host, roughly.

    Args:
        configs: of the candidates, trained one after another.
        n_rows: of the split that is trained on, validation rows included.
        most_rows: of the largest split.
    """
    most = 0
    for config in configs:
        n_tuned = (
            config.n_members * config.hidden_width if config.transform == "hidden" else n_columns
        )
        training = _training(config, n_rows=n_rows, n_columns=n_columns, n_classes=n_classes)
        tuned = _FLOAT * most_rows * (n_tuned + 4 * n_classes)
        most = max(most, training, tuned)
    return _PROCESS + most


def _training(config: TuneConfig, *, n_rows: int, n_columns: int, n_classes: int) -> int:
    rows = _FLOAT * n_rows * n_columns
    held_out = 2 * _FLOAT * n_rows * n_classes
    if config.is_convex:
        copies = 3 if config.transform == "whiten" else 2  # all rows, a fold's, and those mapped
        logits = _BYTES_OF_A_LOGIT * min(n_rows * n_classes, _BLOCK_LOGITS)
        return copies * rows + logits + held_out
    if config.transform == "hidden":
        n_hidden = config.n_members * config.hidden_width
        watched = min(n_rows, _ROWS_WATCHED)
        activations = watched * (2 * n_hidden + 6 * config.n_members * n_classes + n_columns)
        weights = n_hidden * (n_columns + n_classes)
        return rows + _FLOAT * activations + (_ADAMW + _FLOAT) * weights + held_out
    weights = 2 * config.hidden_multiplier * n_columns**2 + n_columns * n_classes
    return rows + (_ADAMW + 2 * _FLOAT) * weights


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
