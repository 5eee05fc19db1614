"""What a running job's row says of its encoder, written while the vectors come."""

from collections.abc import Mapping

from sqlalchemy import update

from store.database import tables
from store.database.connection import Transaction
from store.jobs import Job
from store.leases import is_mine, lost


def note_encoder(
    tx: Transaction,
    job: Job,
    encoder: Mapping[str, object],
    *,
    has_come: bool = False,
    is_old: bool = False,
) -> None:
    """Write which encoder makes a running job's vectors, and what they cost. Raises LeaseLost.

    has_come: vectors came with it, so the job no longer waits for its provider. is_old: it is the
    encoder that a migration leaves.
    """
    values: dict[str, object] = {"encoder": dict(encoder)}
    if is_old:
        values = {"migration": {**(job.migration or {}), "old_encoder": dict(encoder)}}
    if has_come:
        values["waiting"] = None
    if tx.execute(update(tables.jobs).where(*is_mine(job)).values(**values)).rowcount == 0:
        raise lost(job)
