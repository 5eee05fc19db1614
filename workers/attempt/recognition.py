"""The home of telling whether an encoder is one that was seen before, by how it embeds canaries."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from providers import canary, engine
from providers.canary import Sketch
from providers.engine import Patience
from providers.errors import EncoderChanged, ProviderError, UnknownPath, WrongAnswer
from providers.provider import Provider
from store import encoders
from store.encoders import EncoderRecord
from store.jobs import Job
from store.states import JobKind
from store.store import Store


def recognised(
    job: Job,
    provider: Provider,
    store: Store,
    *,
    should_stop: Callable[[], bool],
    patience: Patience,
) -> tuple[Provider, EncoderRecord]:
    """The encoder as it was seen before, if it still embeds the canaries alike, else a new one.

    Also the provider to go on with: where the base URL leads nowhere, one that is usually meant by
    it may answer. A prediction needs the encoder of its head, and no other: raises EncoderChanged.
    """
    provider, sketch = _answering(job, provider, should_stop, patience)
    identity = provider.encoder.identity
    with store.database.begin() as tx:
        wanted = (job.encoder or {}).get("fingerprint") if _is_bound(job) else None
        for seen in encoders.known(tx, job.tenant_id, identity):
            if wanted in (None, seen.fingerprint) and canary.are_alike(seen.sketch, sketch):
                return provider, seen
        if _is_bound(job):
            encoder = provider.encoder
            raise EncoderChanged(
                f"{encoder.model} of {encoder.provider} gives other vectors than when the head "
                f"{job.head_name}@{job.head_version} was trained, so that it cannot judge them. "
                "Train it again, and predict with the new version."
            )
        return provider, encoders.add(
            tx,
            job.tenant_id,
            identity=identity,
            encoder=provider.encoder.to_dict(),
            sketch=sketch,
            n_columns=int(sketch[0][0]),
        )


def recorded(job: Job, provider: Provider, store: Store) -> EncoderRecord | None:
    """The encoder that an earlier attempt of this job recognised, and wrote into its row."""
    if job.encoder is None or "usage" not in job.encoder:
        return None
    with store.database.read() as tx:
        seen = encoders.known(tx, job.tenant_id, provider.encoder.identity)
    return next((one for one in seen if one.fingerprint == job.encoder["fingerprint"]), None)


def _answering(
    job: Job, provider: Provider, should_stop: Callable[[], bool], patience: Patience
) -> tuple[Provider, Sketch]:
    """The provider, or its like elsewhere that answers, and how it embeds the canaries."""

    def ask(one: Provider) -> Sketch:
        return _sketch(list(engine.embed(one, canary.TEXTS, **options)))

    options: dict[str, Any] = {"should_stop": should_stop, "patience": patience}
    try:
        return provider, ask(provider)
    except (UnknownPath, WrongAnswer) as error:
        others = [] if _is_bound(job) else provider.elsewhere()
        for other in others:
            try:
                return other, ask(other)
            except ProviderError:
                continue
        raise error


def _sketch(parts: Sequence[engine.Finished]) -> Sketch:
    order = np.argsort([place for part in parts for place in part.places])
    return canary.sketch(np.concatenate([part.vectors for part in parts])[order])


def _is_bound(job: Job) -> bool:
    """Whether only one encoder will do."""
    return job.kind is JobKind.PREDICTION
