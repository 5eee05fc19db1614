"""The folders that tests use beside their own, and which of them are watched."""

import os
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SYSTEM_TEMPORARY = Path(tempfile.gettempdir())
"""As it was before a run of tests named one of its own; holds what is kept from run to run."""

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  folders of our own are made in it
MEMORY = _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else SYSTEM_TEMPORARY
"""Memory instead of a disk, where there is one: what is tested there is not the disk's fsync."""

WATCHED: list[Path] = []
"""Folders in which no test may leave anything."""
