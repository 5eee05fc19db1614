"""What a job's row has of the encoders that it compares.

`jobs.encoders` is {"compared", "sample", "chosen"}. Each compared one has a `name`, and either an
`encoder`, as `jobs.encoder` has it, or the `dataset_id` of embeddings that its owner made; and an
`error` once it has dropped out.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import update

from store.database import tables
from store.database.connection import Transaction
from store.jobs import Job
from store.leases import is_mine, lost

MOST: Final = 8
"""The most encoders of one comparison."""

FEWEST: Final = 2


def new(compared: Sequence[Mapping[str, object]], *, sample: int | None) -> dict[str, Any]:
    """The value of a job that is submitted."""
    return {"compared": [dict(one) for one in compared], "sample": sample, "chosen": None}


def note(tx: Transaction, job: Job, encoders: Mapping[str, Any], *, has_come: bool = False) -> None:
    """Write what is known of the encoders of a running job. Raises LeaseLost.

    has_come: vectors came with it, so the job no longer waits for a provider.
    """
    _write(tx, job, {"encoders": dict(encoders)} | ({"waiting": None} if has_come else {}))


def choose(tx: Transaction, job: Job, encoders: Mapping[str, Any], chosen: str) -> None:
    """Write the chosen encoder: from here on the job is one of this encoder. Raises LeaseLost."""
    one = next(one for one in encoders["compared"] if one["name"] == chosen)
    values: dict[str, Any] = {"encoders": {**encoders, "chosen": chosen}, "waiting": None}
    values["encoder"] = one.get("encoder")
    if one.get("dataset_id") is not None:
        values["dataset_id"] = one["dataset_id"]
    _write(tx, job, values)


def _write(tx: Transaction, job: Job, values: Mapping[str, Any]) -> None:
    if tx.execute(update(tables.jobs).where(*is_mine(job)).values(**values)).rowcount == 0:
        raise lost(job)
