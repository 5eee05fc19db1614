"""A text job's first stage: its texts become embeddings, each paid for once.

The finished file is an artifact that the job's row names like a checkpoint.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import numpy as np

from providers import keys
from providers.encoder import Encoder
from providers.errors import ProviderUnavailable
from providers.pool import Providers
from providers.provider import Provider
from store import transitions
from store.database.connection import Transaction
from store.datasets import Dataset
from store.embedding import local_encoders, provider_keys, text_vectors
from store.embedding.encoders import EncoderRecord
from store.files.texts import TextsFile
from store.jobs import Job
from store.registry import heads
from store.store import Store
from workers.attempt import embedded_file, provider_wait, recognition
from workers.attempt.embedded_file import Vectors
from workers.attempt.failure import MustWait
from workers.attempt.lease import Lease
from workers.attempt.provider_wait import Memory
from workers.attempt.text_job import EMBEDDINGS, OLD_EMBEDDINGS, Span, embedding_span
from workers.attempt.text_work import Note, ShouldStop, TextWork
from workers.folder import Workdir
from workers.settings import WorkerSettings

STAGE: Final = "embedding"


def embed(
    job: Job,
    dataset: Dataset,
    workdir: Workdir,
    lease: Lease,
    *,
    store: Store,
    settings: WorkerSettings,
    should_stop: ShouldStop,
    is_old: bool = False,
) -> Job:
    """Embed the job's texts; return the job with its embeddings and its encoder's fingerprint.

    is_old: by the encoder that a migration leaves, which is not asked if its vectors of all texts
    are kept. Raises Stopped if `should_stop` returns True, MustWait, ProviderError, LeaseLost.
    """
    lease.enter_stage(STAGE)
    texts = TextsFile.from_bytes(store.artifacts.get_bytes(job.tenant_id, dataset.sha256))
    encoder = (job.migration or {})["old_encoder"] if is_old else job.encoder
    assert encoder is not None  # noqa: S101 - for the type checker: the caller has made sure
    vectors = _kept_vectors(job, encoder, texts, store) if is_old else None

    def note(tx: Transaction, encoder: Mapping[str, Any], has_come: bool) -> None:
        transitions.note_encoder(tx, job, encoder, has_come=has_come, is_old=is_old)

    if vectors is None:
        vectors, encoder = _asked_for(
            replace(job, encoder=encoder),
            texts,
            lease,
            note=note,
            store=store,
            settings=settings,
            should_stop=should_stop,
            is_old=is_old,
        )
    name = OLD_EMBEDDINGS if is_old else EMBEDDINGS
    embedded_file.write(workdir / name, texts, vectors)
    reference = workdir.move(store.artifacts, job.tenant_id, name)
    checkpoint = {**job.checkpoint, name: reference.sha256}
    lease.keep(checkpoint)
    if is_old:
        migration = {**(job.migration or {}), "old_encoder": encoder}
        return replace(job, checkpoint=checkpoint, migration=migration)
    return replace(job, checkpoint=checkpoint, encoder=encoder)


def _kept_vectors(
    job: Job, encoder: Mapping[str, Any], texts: TextsFile, store: Store
) -> Vectors | None:
    """The encoder's vectors of all texts, if all are kept: then it need not even exist any more."""
    hashes = {
        text: hashlib.sha256(text.encode()).hexdigest()
        for split in texts.splits
        for text in split.texts
    }
    with store.database.read() as tx:
        known = text_vectors.find(
            tx, job.tenant_id, encoder["fingerprint"], list(dict.fromkeys(hashes.values()))
        )
    if any(one not in known for one in hashes.values()):
        return None
    rows = [np.frombuffer(known[one], "<f4") for one in hashes.values()]
    return Vectors({text: place for place, text in enumerate(hashes)}, np.stack(rows))


def _asked_for(
    job: Job,
    texts: TextsFile,
    lease: Lease,
    *,
    note: Note,
    store: Store,
    settings: WorkerSettings,
    should_stop: ShouldStop,
    is_old: bool,
) -> tuple[Vectors, dict[str, Any]]:
    """The vectors by `job.encoder`, and the encoder as the job's row has it."""
    with open_providers(settings) as providers:
        work = embed_texts(
            job,
            texts,
            providers,
            lease,
            note=note,
            span=embedding_span(job),
            store=store,
            settings=settings,
            should_stop=should_stop,
            is_old=is_old,
        )
    truncate_dim = Encoder.from_dict(work.encoder).truncate_dim
    return work.whole_vectors.truncated(truncate_dim), work.encoder


def open_providers(settings: WorkerSettings) -> Providers:
    """The connections of this attempt to providers."""
    return Providers(
        allowed=settings.provider_hosts,
        stores_keys=settings.secret_key is not None,
        encoders_dir=settings.encoders_dir,
    )


def embed_texts(
    job: Job,
    texts: TextsFile,
    providers: Providers,
    lease: Lease,
    *,
    note: Note,
    span: Span,
    store: Store,
    settings: WorkerSettings,
    should_stop: ShouldStop,
    is_timed: bool = False,
    is_old: bool = False,
) -> TextWork:
    """Embed texts with `job.encoder`, which may be one of several of the job's row.

    The encoder is recognised and kept first. note: writes its description into the row. span: of
    the job's progress. is_timed: measure the latency of single texts. is_old: it must be the very
    encoder of the head. Raises as `embed` does, and EncoderChanged if it has changed meanwhile.
    """
    assert job.encoder is not None  # noqa: S101 - for the type checker: the caller has made sure
    provider = providers.open(
        Encoder.from_dict(job.encoder).whole,
        lambda origin: _find_key(job, origin, store, settings),
        has_answered="usage" in job.encoder,
        read_head=lambda: _head_of(job, store),
        find_stored=partial(local_encoders.stored, store.artifacts, job.tenant_id),
    )
    provider, record, memory = _recognised(job, provider, store, should_stop, is_old=is_old)
    work = TextWork(
        job,
        record,
        provider,
        texts,
        lease=lease,
        store=store,
        note=note,
        span=span,
        is_timed=is_timed,
    )
    recognition.keep(job, record, Encoder.from_dict(work.encoder), store)
    work.run(should_stop, memory)
    work.check_unchanged(should_stop, memory)
    return work


def _recognised(
    job: Job, provider: Provider, store: Store, should_stop: ShouldStop, *, is_old: bool
) -> tuple[Provider, EncoderRecord, Memory]:
    """The provider, its encoder, and the memory of earlier attempts.

    The probe texts are embedded unless a wait has just ended.
    """
    memory = Memory.of(job)
    known = recognition.recorded(job, provider, store) if memory.is_recognised else None
    if known is not None:
        return provider, known, memory
    try:
        patience = memory.patience(is_for_probes=True)
        provider, record = recognition.recognised(
            job, provider, store, should_stop=should_stop, patience=patience, is_old=is_old
        )
    except ProviderUnavailable as error:
        raise MustWait(provider_wait.wait_for(error, memory)) from error
    return provider, record, replace(memory, recognised_at=datetime.now(UTC))


def _find_key(job: Job, origin: str, store: Store, settings: WorkerSettings) -> str | None:
    """The tenant's stored key for an origin, else the operator's."""
    with store.database.read() as tx:
        sealed = provider_keys.find(tx, job.tenant_id, origin)
    return keys.choose(sealed, job.tenant_id, origin, settings)


def _head_of(job: Job, store: Store) -> bytes:
    """The bytes of the head that a prediction uses, which keeps its encoder's adapter."""
    if job.head_name is None or job.head_version is None:
        raise ValueError(f"job {job.id} uses no head")
    with store.database.read() as tx:
        version = heads.version(tx, job.tenant_id, job.head_name, job.head_version)
    return store.artifacts.get_bytes(job.tenant_id, version.sha256)
