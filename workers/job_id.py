"""The home of the job id: which job this thread is working on, for every line that it logs."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_current: ContextVar[str | None] = ContextVar("nmtune_job_id", default=None)


@contextmanager
def bound(job_id: str) -> Iterator[None]:
    """Make `job_id` the current one in this thread while the block runs.

    A thread that the block starts has it only if it is run in a copy of the context.
    """
    token = _current.set(job_id)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> str | None:
    """The id of the job being worked on, or None."""
    return _current.get()
