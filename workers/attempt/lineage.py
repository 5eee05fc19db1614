"""A head version's lineage: what it was made with, as the registry keeps it."""

import platform
from collections.abc import Mapping
from typing import Any

from providers.encoder import Encoder
from store import encoders
from store.jobs import Job
from store.store import Store

_OF_REPORT = ("torch_version", "device", "device_name", "n_threads")


def lineage(report: Mapping[str, Any], job: Job) -> dict[str, Any]:
    """The lineage of what `job` publishes with this report, trained on this very machine.

    The store adds what it knows itself: the job, the dataset and the hash of its data. `encoder`
    is the fingerprint of what embedded the job's texts; embeddings sent as numbers have none.
    """
    environment = report["environment"]
    return {
        "encoder": (job.encoder or {}).get("fingerprint"),
        "seed": environment["seed"],
        "nmtune_version": environment["nmtune_version"],
        "machine": {
            "worker": job.worker,
            "platform": platform.platform(),
            "python_version": platform.python_version(),
            **{name: environment[name] for name in _OF_REPORT},
        },
    }


def head_encoder(job: Job, store: Store) -> dict[str, Any] | None:
    """What a head keeps of its encoder: how to ask it, and how to tell whether it is the same."""
    if job.encoder is None or "fingerprint" not in job.encoder:
        return None
    encoder = Encoder.from_dict(job.encoder)
    with store.database.read() as tx:
        seen = encoders.known(tx, job.tenant_id, encoder.identity)
    mine = next(one for one in seen if one.fingerprint == job.encoder["fingerprint"])
    return {**encoder.to_dict(), "fingerprint": mine.fingerprint, "sketch": mine.sketch}
