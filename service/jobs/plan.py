"""POST /jobs?plan=true: say what the job would do, and store nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from statistics import median
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from nmtune.config import TuneConfig
from nmtune.errors import NMTuneError
from nmtune.training.candidates import ROBUST, Candidates
from nmtune.training.peak_memory import peak_bytes
from providers.encoder import Encoder
from providers.pool import Providers
from service.datasets.schemas import DatasetWarning, Split
from service.ingest.dataset import inline, prepared, texts
from service.jobs import embedding_cost, planned_comparison
from service.jobs.adapting import LORA_KEY
from service.jobs.adapting_plan import (
    adapting_bytes,
    lora_paces,
    seconds_of,
    steps_of,
    texts_seen,
)
from service.jobs.embedding_cost import PlannedEmbedding
from service.jobs.encoders import Compared, rows_of, width
from service.jobs.planned_comparison import PlannedComparison
from service.jobs.schemas import JobCreate
from service.jobs.submission import check_content, check_trainable, examine
from service.providers import access
from service.settings import ServiceSettings
from store import datasets, jobs
from store.datasets import Dataset
from store.errors import NotFound
from store.files.texts import TextsFile
from store.states import JobKind, JobStatus
from store.store import Store

N_JOBS: Final = 50
"""How many earlier jobs are read to find the pace of this deployment."""

_SOLVER_STEPS: Final = 200
"""Passes over the rows of a solved fit: penalties times iterations, in order of magnitude."""


class PlannedCandidate(BaseModel):
    """One head that would be trained."""

    name: str
    n_steps: int | None = Field(
        description="The most gradient steps; null if the head is solved without steps."
    )


class Plan(BaseModel):
    """What a job would do if it were submitted."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "dataset_id": None,
                    "method": "linear_probe",
                    "n_rows": 6,
                    "n_columns": 3,
                    "classes": ["cat", "dog"],
                    "splits": [
                        {"name": "train", "n_rows": 4, "class_counts": {"cat": 2, "dog": 2}},
                        {"name": "test", "n_rows": 2, "class_counts": {"cat": 1, "dog": 1}},
                    ],
                    "candidates": [{"name": "linear_probe", "n_steps": None}],
                    "embedding": None,
                    "encoders": None,
                    "memory_bytes": 503316480,
                    "seconds": 4.5,
                    "n_jobs_measured": 3,
                    "warnings": [],
                }
            ]
        }
    )

    dataset_id: str | None = Field(
        description="The stored dataset; null for rows sent with the request."
    )
    method: str
    n_rows: int
    n_columns: int | None = Field(
        description="The width of the embeddings; null for texts if the provider does not state it."
    )
    classes: list[str]
    splits: list[Split]
    candidates: list[PlannedCandidate] = Field(
        description="In the order of training; robust_probe and trimmed_probe only if many labels "
        "look wrong."
    )
    embedding: PlannedEmbedding | None = Field(description="Null unless the rows are texts.")
    encoders: PlannedComparison | None = Field(
        description="Null unless encoders are compared; what each would take."
    )
    memory_bytes: int | None = Field(
        description="The peak memory of the training, roughly; null without n_columns."
    )
    seconds: float | None = Field(
        description="How long the training would take, at the pace of earlier jobs of this method "
        "and paradigm; null without such jobs, and without n_columns. Waiting for a worker, and "
        "for a provider's embeddings, is not included."
    )
    n_jobs_measured: int = Field(
        description="How many earlier jobs the estimate of seconds is based on."
    )
    warnings: list[DatasetWarning]


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """What a plan needs to know of a dataset, stored or not."""

    dataset_id: str | None
    content: str
    n_rows: int
    n_columns: int
    classes: Sequence[str]
    splits: Sequence[Mapping[str, Any]]
    warnings: Sequence[Mapping[str, Any]]
    texts: TextsFile | None = None

    def n_rows_of(self, *names: str) -> int:
        return sum(split["n_rows"] for split in self.splits if split["name"] in names)


def make_plan(body: JobCreate, *, tenant_id: str, store: Store, settings: ServiceSettings) -> Plan:
    """What the job of `body` would do. Blocking. Raises what submitting it would raise."""
    asked = examine(body, tenant_id=tenant_id, store=store, settings=settings)
    candidates, compared = asked.candidates, asked.compared
    if asked.dataset_id is not None and compared is not None:
        with store.database.read() as tx:
            first, compared = rows_of(tx, tenant_id, compared)
        rows = _stored(first, store)
    else:
        rows = _rows(body, tenant_id, store, settings)
    check_content(rows.content, asked)
    check_trainable(rows.splits, field="splits" if rows.dataset_id is None else "dataset_id")
    n_trained = rows.n_rows_of("train", "validation")
    paces = _paces(store, tenant_id, body.method)
    encoders = _encoders(body, rows, compared, tenant_id=tenant_id, store=store)
    n_columns = rows.n_columns if asked.encoder is None else width(asked.encoder)
    if encoders is not None:
        widths = [one.n_columns for one in encoders.compared]
        n_columns = None if None in widths else max(filter(None, widths))
    seconds = memory_bytes = None
    if n_columns is not None:
        memory_bytes = peak_bytes(
            candidates.configs.values(),
            n_rows=n_trained,
            n_columns=n_columns,
            n_classes=len(rows.classes),
            most_rows=max(split["n_rows"] for split in rows.splits),
        )
        if paces and asked.lora is None:
            work = _work(candidates, n_trained, n_columns, len(rows.classes))
            n_trainings = 1 if encoders is None else len(encoders.compared)
            seconds = round(n_trainings * work / median(paces), 1)
    planned = [
        PlannedCandidate(name=name, n_steps=_n_steps(config, n_trained))
        for name, config in candidates.configs.items()
    ]
    if (lora := asked.lora) is not None and asked.encoder is not None:
        with Providers(encoders_dir=settings.encoders_dir) as providers:
            find_stored = partial(access.stored_place, tenant_id=tenant_id, store=store)
            place = providers.place(find_stored, asked.encoder)
        n_train, n_validation = rows.n_rows_of("train"), rows.n_rows_of("validation")
        steps = steps_of(lora, n_train=n_train, n_validation=n_validation)
        planned += [PlannedCandidate(name=name, n_steps=n) for name, n in steps.items()]
        memory_bytes = max(memory_bytes or 0, adapting_bytes(lora, place))
        paces = lora_paces(store, tenant_id)
        seconds = round(texts_seen(lora, steps) / median(paces), 1) if paces else None
    return Plan(
        dataset_id=rows.dataset_id,
        method=body.method,
        n_rows=rows.n_rows,
        n_columns=n_columns,
        classes=list(rows.classes),
        splits=[
            Split(
                name=split["name"],
                n_rows=split["n_rows"],
                class_counts=dict(zip(rows.classes, split["class_counts"], strict=True)),
            )
            for split in rows.splits
        ],
        candidates=planned,
        embedding=_embedding(body, rows, asked.encoder, tenant_id=tenant_id, store=store),
        encoders=encoders,
        memory_bytes=memory_bytes,
        seconds=seconds,
        n_jobs_measured=len(paces),
        warnings=[DatasetWarning(**warning) for warning in rows.warnings],
    )


def _rows(body: JobCreate, tenant_id: str, store: Store, settings: ServiceSettings) -> _Rows:
    if body.dataset_id is not None:
        with store.database.read() as tx:
            dataset = datasets.get(tx, tenant_id, body.dataset_id)
        return _stored(dataset, store)
    if body.texts is not None:
        sent = texts.prepare(body.texts, body.labels, body.splits, merge_similar=body.merge_similar)
        return _Rows(
            dataset_id=None,
            content=datasets.TEXTS,
            n_rows=sum(split["n_rows"] for split in sent.splits),
            n_columns=0,
            classes=sent.file.classes,
            splits=sent.splits,
            warnings=sent.warnings,
            texts=sent.file,
        )
    with prepared.workspace(settings.data_dir) as workdir:
        ready = inline.prepare(
            body.embeddings,
            body.labels,
            body.splits,
            workdir=workdir,
            merge_similar=body.merge_similar,
        )
        return _Rows(
            dataset_id=None,
            content=datasets.EMBEDDINGS,
            n_rows=ready.n_rows,
            n_columns=ready.n_columns,
            classes=ready.classes,
            splits=ready.splits,
            warnings=ready.warnings,
        )


def _stored(dataset: Dataset, store: Store) -> _Rows:
    return _Rows(
        dataset_id=dataset.id,
        content=dataset.content,
        n_rows=dataset.n_rows,
        n_columns=dataset.n_columns,
        classes=dataset.classes,
        splits=dataset.splits,
        warnings=dataset.warnings,
        texts=_texts_of(dataset, store),
    )


def _texts_of(dataset: Dataset, store: Store) -> TextsFile | None:
    if dataset.content != datasets.TEXTS:
        return None
    return TextsFile.from_bytes(store.artifacts.get_bytes(dataset.tenant_id, dataset.sha256))


def _embedding(
    body: JobCreate, rows: _Rows, encoder: Encoder | None, *, tenant_id: str, store: Store
) -> PlannedEmbedding | None:
    if rows.texts is None or encoder is None or body.provider is None:
        return None
    return embedding_cost.of_texts(
        (text for split in rows.texts.splits for text in split.texts),
        encoder,
        price=body.provider.price_per_million_tokens,
        tenant_id=tenant_id,
        store=store,
    )


def _encoders(
    body: JobCreate,
    rows: _Rows,
    compared: Sequence[Compared] | None,
    *,
    tenant_id: str,
    store: Store,
) -> PlannedComparison | None:
    if compared is None:
        return None
    return planned_comparison.of(
        compared, rows.texts, sample=body.sample, tenant_id=tenant_id, store=store
    )


def _paces(store: Store, tenant_id: str, method: str) -> list[float]:
    """Work per second of earlier jobs of the method that succeeded at the first attempt."""
    with store.database.read() as tx:
        page = jobs.page(tx, tenant_id, limit=N_JOBS, status=JobStatus.SUCCEEDED)
        paces = []
        for job in page.items:
            if job.kind is not JobKind.TRAINING or job.method != method or job.attempt != 1:
                continue
            if LORA_KEY in job.config:
                continue
            try:
                dataset = datasets.get(tx, tenant_id, job.dataset_id)
                candidates = Candidates.from_dict(job.config)
            except (NotFound, NMTuneError):
                continue  # deleted since, or from a version with other candidates
            if dataset.content == datasets.TEXTS:
                continue  # most of the time may have been spent waiting for the provider
            n_rows = sum(
                split["n_rows"]
                for split in dataset.splits
                if split["name"] in ("train", "validation")
            )
            work = _work(candidates, n_rows, dataset.n_columns, len(dataset.classes))
            if (seconds := seconds_of(job)) > 0:
                paces.append(work / seconds)
    return paces


def _work(candidates: Candidates, n_rows: int, n_columns: int, n_classes: int) -> float:
    """Multiplications of all candidates, roughly: it scales a pace from one job to another.

    Those that are only trained where labels look noisy are left out.
    """
    total = 0.0
    for name, config in candidates.configs.items():
        if name in ROBUST:
            continue
        n_steps = _n_steps(config, n_rows)
        if n_steps is None:
            total += float(_SOLVER_STEPS * (config.n_folds + 1)) * n_rows * n_columns * n_classes
        else:
            of_row = _multiplications(config, n_columns, n_classes)
            total += float(n_steps * config.batch_size) * of_row
    return total


def _multiplications(config: TuneConfig, n_columns: int, n_classes: int) -> int:
    """Those of one row's pass through a head that is trained by steps."""
    if config.transform == "hidden":
        return config.n_members * config.hidden_width * (n_columns + n_classes)
    if config.transform == "bottlenecks":
        return config.n_members * n_columns * (2 * config.hidden_width + n_classes)
    return n_columns * (2 * config.hidden_multiplier * n_columns + n_classes)


def _n_steps(config: TuneConfig, n_rows: int) -> int | None:
    """The most gradient steps of a candidate; None if it is solved by L-BFGS."""
    if config.is_convex:
        return None
    n_steps = config.epochs * ceil(n_rows / config.batch_size)
    return n_steps if config.max_steps is None else min(n_steps, config.max_steps)
