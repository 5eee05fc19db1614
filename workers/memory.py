"""The home of a training's memory: what a job will take, and what this machine has left."""

from collections.abc import Mapping
from pathlib import Path

from nmtune import TuneConfig

_INTERPRETER = 420 << 20
"""Python, torch and the libraries' own buffers."""

_CGROUP = Path("/sys/fs/cgroup")


def peak_bytes(
    configs: Mapping[str, TuneConfig],
    *,
    n_rows: int,
    n_columns: int,
    n_classes: int,
    most_rows: int,
) -> int:
    """The most memory that the training process will hold at a time, on the host.

    Args:
        n_rows: of the split that is trained on.
        most_rows: of the largest split, whose tuned embeddings are held for their spectrum.
    """
    return _INTERPRETER


def available_bytes() -> int | None:
    """What a new process may still take; None where the system does not tell."""
    return None
