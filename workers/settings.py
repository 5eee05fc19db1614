"""The home of a worker's settings: the device, the lease, and how often it looks and saves."""

import os
from pathlib import Path
from typing import Literal

from pydantic import ByteSize, Field

from store.settings import StoreSettings

LONGEST_SILENCE_SECONDS = 1.0  # so that a cancel is seen within a second, however long the lease


class WorkerSettings(StoreSettings):
    """Read once, at a door, from `NMTUNE_...` variables; passed on as plain values."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where heads are trained; `auto` takes the GPU where torch finds one."""
    slots: int = Field(default=1, ge=1, le=64)
    """Jobs trained side by side; on a GPU keep 1."""
    n_threads: int | None = Field(default=None, ge=1, le=1024)
    """CPU threads of one training; the default shares the cores among the slots."""
    memory_limit: ByteSize | None = None
    """What one training may allocate on the host, such as `4GiB`; no limit unless set."""
    lease_seconds: float = Field(default=20.0, ge=1.0, le=3600.0)
    """How long a job stays ours without a heartbeat; a dead worker's job waits about this long."""
    checkpoint_seconds: float = Field(default=15.0, ge=0.0)
    """The least time between two checkpoints of a training, taken at an epoch's end."""
    poll_seconds: float = Field(default=1.0, gt=0.0, le=60.0)
    """How often to look for jobs nobody rang for, and for leases that ran out."""

    @property
    def work_dir(self) -> Path:
        """Where attempts have their folders; on one disk with the artifacts, so moves are cheap."""
        return self.data_dir / "work"

    @property
    def heartbeat_seconds(self) -> float:
        """The time between two heartbeats: a quarter of the lease, at most a second."""
        return min(self.lease_seconds / 4, LONGEST_SILENCE_SECONDS)

    @property
    def threads_per_slot(self) -> int:
        """`n_threads`, or this machine's cores shared among the slots."""
        return self.n_threads or max(1, len(os.sched_getaffinity(0)) // self.slots)
