"""The instructions of a worker to its child, by the job's kind."""

from functools import partial
from typing import Any

import orjson

from providers.encoder import Encoder
from store.database.connection import Transaction
from store.datasets import TEXTS, Dataset
from store.embedding import local_encoders
from store.errors import NotFound
from store.jobs import Job
from store.registry import heads
from store.registry.heads import HeadVersion
from store.states import JobKind
from store.store import Store
from workers.attempt import text_job
from workers.attempt.failure import Refused
from workers.attempt.text_job import EMBEDDINGS, OLD_EMBEDDINGS
from workers.folder import (
    ENCODERS,
    MigrationInstructions,
    PredictionInstructions,
    TrainingInstructions,
)
from workers.settings import WorkerSettings


def make(
    job: Job, dataset: Dataset, store: Store, settings: WorkerSettings
) -> TrainingInstructions | PredictionInstructions | MigrationInstructions:
    """The instructions for a job whose texts are embedded. Raises Refused, StoreError."""
    if job.kind is JobKind.PREDICTION:
        sha256 = job.checkpoint.get(EMBEDDINGS, dataset.sha256)
        with store.database.read() as tx:
            version = _version(tx, job)
        return PredictionInstructions(
            job_id=job.id,
            head=f"{version.name}@{version.version}",
            head_path=str(store.artifacts.open_path(job.tenant_id, version.sha256)),
            head_sha256=version.sha256,
            dataset_path=str(store.artifacts.open_path(job.tenant_id, sha256)),
            dataset_sha256=sha256,
            is_labelled=dataset.is_labelled,
            options=job.config,
            n_threads=settings.threads_per_prediction,
            trained_shares=version.lineage.get("class_shares"),
        )
    if job.kind is JobKind.MIGRATION:
        return _of_bridge(job, dataset, store, settings)
    return of_training(job, dataset, store, settings)


def of_training(
    job: Job, dataset: Dataset, store: Store, settings: WorkerSettings
) -> TrainingInstructions:
    """The instructions for a training whose texts are embedded. Raises StoreError."""
    sha256 = job.checkpoint.get(EMBEDDINGS, dataset.sha256)
    return TrainingInstructions(
        job_id=job.id,
        job_name=job.name,
        dataset_id=dataset.id,
        dataset_name=dataset.name,
        dataset_path=str(store.artifacts.open_path(job.tenant_id, sha256)),
        dataset_sha256=sha256,
        texts_path=_texts_path(job, dataset, store),
        encoder=job.encoder,
        encoder_place=_encoder_place(job, store, settings),
        dataset_warnings=[*dataset.warnings, *text_job.warnings(job)],
        candidates=job.config,
        device=settings.device,
        n_threads=settings.threads_per_slot,
        checkpoint_seconds=settings.checkpoint_seconds,
        tsne_seconds=settings.map_seconds,
        encoders=_comparison(job, store),
    )


def _comparison(job: Job, store: Store) -> dict[str, Any] | None:
    """What the comparison of the job's encoders has found, once it is finished."""
    sha256 = job.checkpoint.get(ENCODERS)
    if sha256 is None:
        return None
    found: dict[str, Any] = orjson.loads(store.artifacts.get_bytes(job.tenant_id, sha256))
    return found


def _of_bridge(
    job: Job, dataset: Dataset, store: Store, settings: WorkerSettings
) -> MigrationInstructions:
    with store.database.read() as tx:
        version = _version(tx, job)

    def path(sha256: str) -> str:
        return str(store.artifacts.open_path(job.tenant_id, sha256))

    new, old = job.checkpoint[EMBEDDINGS], job.checkpoint[OLD_EMBEDDINGS]
    return MigrationInstructions(
        job_id=job.id,
        head=f"{version.name}@{version.version}",
        head_path=path(version.sha256),
        head_sha256=version.sha256,
        dataset_path=path(new),
        dataset_sha256=new,
        old_path=path(old),
        old_sha256=old,
        is_labelled=dataset.is_labelled,
        candidates=job.config,
        is_forced=bool((job.migration or {}).get("forced")),
        device=settings.device,
        n_threads=settings.threads_per_slot,
    )


def _texts_path(job: Job, dataset: Dataset, store: Store) -> str | None:
    if dataset.content != TEXTS:
        return None
    return str(store.artifacts.open_path(job.tenant_id, dataset.sha256))


def _encoder_place(job: Job, store: Store, settings: WorkerSettings) -> str | None:
    """Where the files of the encoder are that the job adapts; None if it adapts none.

    Raises InvalidProvider if they are no longer there.
    """
    if "lora" not in job.config or job.encoder is None:
        return None
    from providers.pool import Providers  # sockets, which most jobs do not need

    find_stored = partial(local_encoders.stored, store.artifacts, job.tenant_id)
    with Providers(encoders_dir=settings.encoders_dir) as providers:
        return str(providers.place(find_stored, Encoder.from_dict(job.encoder)))


def check_head(tx: Transaction, job: Job) -> None:
    """Raise Refused if the job needs a head that no longer exists.

    Call it before paying for texts.
    """
    if job.kind is not JobKind.TRAINING:
        _version(tx, job)


def _version(tx: Transaction, job: Job) -> HeadVersion:
    """The version that a prediction uses, or that a migration by a bridge starts from."""
    name, number = job.head_name, job.head_version
    if job.kind is JobKind.MIGRATION:
        name, number = job.name, (job.migration or {}).get("from_version")
    if name is None or number is None:
        raise ValueError(f"the job {job.id} names no head")
    try:
        return heads.version(tx, job.tenant_id, name, number)
    except NotFound as error:
        raise Refused(
            "head_deleted",
            f"The head {name}@{number} was deleted before the job could use it. Name another "
            "version.",
        ) from error
