"""The id of the job that a thread works on, for its log lines."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_job_id: ContextVar[str | None] = ContextVar("nmtune_job_id", default=None)


def current() -> str | None:
    """The id of the job that this thread works on, or None."""
    return _job_id.get()


@contextmanager
def working_on(job_id: str) -> Iterator[None]:
    """Have this thread work on the job while the block runs.

    A thread that the block starts has the id only if it runs in a copy of the context.
    """
    token = _job_id.set(job_id)
    try:
        yield
    finally:
        _job_id.reset(token)
