"""The home of a head version's lineage: what it was made with, as the registry keeps it."""

import platform
from collections.abc import Mapping
from typing import Any

from store.jobs import Job

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
