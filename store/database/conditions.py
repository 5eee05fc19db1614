"""The conditions of the partial indices of jobs, as queries must have them."""

from sqlalchemy import ColumnElement, literal

from store.database.tables import jobs
from store.states import JobKind, JobStatus


def has_kind(kind: JobKind) -> ColumnElement[bool]:
    """The condition that a job is of the kind, exactly as the partial index has it."""
    return jobs.c.kind == literal(kind.value, literal_execute=True)


def has_status(*statuses: JobStatus) -> ColumnElement[bool]:
    """The condition that a job has one of the statuses, exactly as the partial indices have it.

    The values stand in the SQL itself: with parameters no planner could prove that a partial index
    holds all the rows.
    """
    if len(statuses) == 1:
        return jobs.c.status == literal(statuses[0].value, literal_execute=True)
    return jobs.c.status.in_([literal(status.value, literal_execute=True) for status in statuses])
