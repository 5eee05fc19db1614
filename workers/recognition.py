"""The home of telling whether an encoder is one that was seen before, by how it embeds canaries."""

from collections.abc import Callable

import numpy as np

from providers import canary, engine
from providers.errors import EncoderChanged
from providers.provider import Provider
from store import encoders
from store.encoders import EncoderRecord
from store.jobs import Job
from store.states import JobKind
from store.store import Store


def recognised(
    job: Job, provider: Provider, store: Store, should_stop: Callable[[], bool]
) -> EncoderRecord:
    """The encoder as it was seen before, if it still embeds the canaries alike, else a new one.

    A prediction needs that of its head, and no other: raises EncoderChanged.
    """
    parts = list(engine.embed(provider, canary.TEXTS, should_stop=should_stop))
    order = np.argsort([place for part in parts for place in part.places])
    sketch = canary.sketch(np.concatenate([part.vectors for part in parts])[order])
    identity = provider.encoder.identity
    with store.database.begin() as tx:
        wanted = (job.encoder or {}).get("fingerprint") if _is_bound(job) else None
        for seen in encoders.known(tx, job.tenant_id, identity):
            if wanted in (None, seen.fingerprint) and canary.are_alike(seen.sketch, sketch):
                return seen
        if _is_bound(job):
            encoder = provider.encoder
            raise EncoderChanged(
                f"{encoder.model} of {encoder.provider} gives other vectors than when the head "
                f"{job.head_name}@{job.head_version} was trained, so that it cannot judge them. "
                "Train it again, and predict with the new version."
            )
        return encoders.add(
            tx,
            job.tenant_id,
            identity=identity,
            encoder=provider.encoder.to_dict(),
            sketch=sketch,
            n_columns=int(sketch[0][0]),
        )


def _is_bound(job: Job) -> bool:
    """Whether only one encoder will do."""
    return job.kind is JobKind.PREDICTION
