"""Recognise an encoder that was seen before by how it embeds the probe texts."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from providers import embedder, probe_texts, truncation
from providers.embedder import EmbeddedBatch, Patience
from providers.encoder import Encoder, fingerprint
from providers.errors import EncoderChanged, ProviderError, UnknownPath, WrongAnswer
from providers.probe_texts import Signature
from providers.provider import Provider
from store.access import tenants
from store.embedding import encoders
from store.embedding.encoders import EncoderRecord
from store.jobs import Job
from store.leases import lost
from store.states import JobKind
from store.store import Store


def recognised(
    job: Job,
    provider: Provider,
    store: Store,
    *,
    should_stop: Callable[[], bool],
    patience: Patience,
    is_old: bool = False,
) -> tuple[Provider, EncoderRecord]:
    """The provider to go on with, and its encoder: one seen before if it embeds alike, else new.

    Both are of whole vectors.

    The provider is another one if the base URL leads nowhere and a usual variant of it answers. A
    prediction needs the very encoder of its head, and so does a migration of the one that it leaves
    (is_old): raises EncoderChanged.
    """
    is_bound = is_old or job.kind is JobKind.PREDICTION
    provider, signature = _answering(provider, should_stop, patience, is_bound=is_bound)
    identity = provider.encoder.identity
    with store.database.begin() as tx:
        if not tenants.is_there(tx, job.tenant_id):
            raise lost(job)  # the tenant was deleted, and the job with it
        for seen in encoders.known(tx, job.tenant_id, identity):
            is_wanted = not is_bound or _is_of(job, seen)
            if is_wanted and probe_texts.are_alike(seen.signature, signature):
                return provider, seen
        if is_bound:
            encoder = provider.encoder
            raise EncoderChanged(_changed(job, f"{encoder.model} of {encoder.provider}"))
        return provider, encoders.add(
            tx,
            job.tenant_id,
            fingerprint=fingerprint(identity, signature),
            identity=identity,
            encoder=provider.encoder.to_dict(),
            signature=signature,
            n_columns=int(signature[0][0]),
        )


def is_same(
    record: EncoderRecord,
    provider: Provider,
    *,
    should_stop: Callable[[], bool],
    patience: Patience,
) -> bool:
    """Whether the provider still embeds the probe texts as the recorded encoder."""
    parts = embedder.embed(provider, probe_texts.TEXTS, should_stop=should_stop, patience=patience)
    return probe_texts.are_alike(record.signature, _signature(list(parts)))


def recorded(job: Job, provider: Provider, store: Store) -> EncoderRecord | None:
    """The encoder that an earlier attempt of this job recognised and wrote into its row."""
    if job.encoder is None or "usage" not in job.encoder:
        return None
    with store.database.read() as tx:
        seen = encoders.known(tx, job.tenant_id, provider.encoder.identity)
    return next((one for one in seen if _is_of(job, one)), None)


def keep(job: Job, whole: EncoderRecord, encoder: Encoder, store: Store) -> None:
    """Keep an encoder of truncated vectors beside the one that is asked, which is kept already."""
    if encoder.truncate_dim is None:
        return
    with store.database.begin() as tx:
        encoders.add(
            tx,
            job.tenant_id,
            fingerprint=truncation.fingerprint_of(encoder, whole.fingerprint),
            identity=encoder.identity,
            encoder=encoder.to_dict(),
            signature=whole.signature,
            n_columns=encoder.truncate_dim,
        )


def _answering(
    provider: Provider, should_stop: Callable[[], bool], patience: Patience, *, is_bound: bool
) -> tuple[Provider, Signature]:
    """The provider, or a variant of it that answers, and its signature."""

    def ask(one: Provider) -> Signature:
        return _signature(list(embedder.embed(one, probe_texts.TEXTS, **options)))

    options: dict[str, Any] = {"should_stop": should_stop, "patience": patience}
    try:
        return provider, ask(provider)
    except (UnknownPath, WrongAnswer) as error:
        others = [] if is_bound else provider.elsewhere()
        for other in others:
            try:
                return other, ask(other)
            except ProviderError:
                continue
        raise error


def _is_of(job: Job, whole: EncoderRecord) -> bool:
    """Whether the encoder of the job's row asks this one."""
    known = job.encoder or {}
    return truncation.fingerprint_of(Encoder.from_dict(known), whole.fingerprint) == known.get(
        "fingerprint"
    )


def _signature(parts: Sequence[EmbeddedBatch]) -> Signature:
    order = np.argsort([place for part in parts for place in part.places])
    return probe_texts.signature(np.concatenate([part.vectors for part in parts])[order])


def _changed(job: Job, encoder: str) -> str:
    if job.kind is JobKind.PREDICTION:
        head = f"{job.head_name}@{job.head_version}"
        return (
            f"{encoder} no longer gives the vectors that the head {head} was trained on, so it "
            "cannot judge them. Take it to the encoder as it is now with "
            f"POST /heads/{job.head_name}/migrate."
        )
    version = (job.migration or {}).get("from_version")
    return (
        f"The old encoder is gone: {encoder} no longer gives the vectors that {job.name}@{version} "
        "was trained on, so no bridge leads from them. Refit on the texts instead: leave out "
        f"bridge if the head's texts are kept, as in POST /heads/{job.name}/migrate with version "
        "and provider, or train on labelled texts with POST /jobs."
    )
