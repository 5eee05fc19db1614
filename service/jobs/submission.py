"""POST /jobs: check that the job can work, and record it exactly once."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nmtune.encoder.candidates import LoraCandidates
from nmtune.errors import ConfigError
from nmtune.training.candidates import Candidates, resolve
from providers.encoder import Encoder
from service.http.errors import Problem
from service.http.idempotency import Answer, Key, earlier, once
from service.ingest.dataset import inline, prepared, texts
from service.ingest.dataset.prepared import PreparedDataset
from service.ingest.dataset.texts import PreparedTexts
from service.jobs import encoders
from service.jobs.adapting import LORA_KEY, check_opened, check_texts, lora_of
from service.jobs.encoders import Compared
from service.jobs.schemas import Job, JobCreate
from service.providers import access
from service.settings import ServiceSettings
from store import datasets, failpoints, jobs
from store.access import audit, quotas
from store.access.audit import Actor
from store.access.limits import Limits
from store.access.usage import Kind
from store.database.connection import Transaction
from store.datasets import Dataset
from store.idempotency import StoredResponse
from store.jobs import PRICE
from store.queue import Queue
from store.store import Store

MAX_SETTING_CHARACTERS: Final = 64

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a request asks for: `encoder` embeds its texts, or `compared` are to.

    lora: what adapts the encoder, if anything does.
    """

    candidates: Candidates
    encoder: Encoder | None
    compared: tuple[Compared, ...] | None
    lora: LoraCandidates | None = None

    @property
    def config(self) -> dict[str, Any]:
        """All settings, as the job's row has them."""
        more = {} if self.lora is None else {LORA_KEY: self.lora.to_dict()}
        return self.candidates.to_dict() | more

    @property
    def encoders(self) -> list[Encoder]:
        """All that would embed its texts."""
        found = [self.encoder, *(one.encoder for one in self.compared or ())]
        return [one for one in found if one is not None]

    @property
    def embeds(self) -> bool:
        """Whether the job embeds texts."""
        return bool(self.encoders)

    @property
    def dataset_id(self) -> str | None:
        """The dataset of embeddings that is compared first."""
        return self.compared[0].dataset_id if self.compared else None


def submit(
    body: JobCreate,
    *,
    key: Key | None,
    actor: Actor,
    store: Store,
    queue: Queue,
    settings: ServiceSettings,
) -> Answer:
    """Record the job that `body` asks for and ring the doorbell, or find the earlier answer.

    Blocking: it may write a dataset file. A job that is refused leaves nothing behind.
    """
    tenant_id = actor.tenant_id
    if (found := earlier(store, tenant_id, key)) is not None:
        return found
    asked = examine(body, tenant_id=tenant_id, store=store, settings=settings)
    to = body.queue or settings.default_queue
    with _dataset_of(
        body, asked, tenant_id=tenant_id, store=store, settings=settings
    ) as dataset_in:

        def record(tx: Transaction) -> StoredResponse:
            check_quotas(tx, tenant_id, settings.limits, head=body.name, embeds=asked.embeds)
            dataset = dataset_in(tx)
            check_content(dataset.content, asked)
            for encoder in asked.encoders:
                access.hold(tx, tenant_id, encoder, settings)
            if body.texts is not None or body.embeddings is not None:
                audit.note(tx, actor, "dataset.created", dataset.id, name=dataset.name)
            job = _record(tx, body, asked, dataset, to=to)
            audit.note(
                tx,
                actor,
                "job.submitted",
                job.id,
                name=job.name,
                dataset_id=dataset.id,
                method=job.method,
            )
            return StoredResponse(status_code=202, body=Job.of(job).model_dump_json().encode())

        return record_once(store, tenant_id, key, record, queue=queue, to=to)


def record_once(
    store: Store,
    tenant_id: str,
    key: Key | None,
    record: Callable[[Transaction], StoredResponse],
    *,
    queue: Queue,
    to: str,
) -> Answer:
    """Record a job in one transaction, then ring the doorbell `to`; a replay rings nothing."""
    answer = once(store, tenant_id, key, record)
    failpoints.reach("submit.committed")
    if not answer.is_replay:
        _ring(queue, answer.id, to)
    return answer


def check_quotas(
    tx: Transaction, tenant_id: str, limits: Limits, *, head: str, embeds: bool
) -> None:
    """Raise QuotaReached if the tenant has no room for the job, its head and what it stores."""
    quotas.check_training(tx, tenant_id, limits, head=head)
    quotas.check_stored_bytes(tx, tenant_id, limits, more=0)
    if embeds:
        quotas.check_month(tx, tenant_id, limits, Kind.EMBEDDED_TOKENS, more=1)


@contextmanager
def _dataset_of(
    body: JobCreate, asked: Asked, *, tenant_id: str, store: Store, settings: ServiceSettings
) -> Iterator[Callable[[Transaction], Dataset]]:
    """What finds the dataset of the job, or adds the rows sent along, in a transaction.

    The bytes of these rows are stored before it begins.
    """
    if (compared := asked.compared) is not None and asked.dataset_id is not None:
        yield lambda tx: encoders.rows_of(tx, tenant_id, compared)[0]
        return
    if (dataset_id := body.dataset_id) is not None:
        yield lambda tx: datasets.get(tx, tenant_id, dataset_id)
        return
    with prepared.workspace(settings.data_dir) as workdir:
        ready = _prepared(body, workdir)
        artifact = ready.put(store.artifacts, tenant_id)

        def add(tx: Transaction) -> Dataset:
            quotas.check_stored_bytes(tx, tenant_id, settings.limits, more=artifact.size_bytes)
            dataset = ready.add(
                tx, tenant_id, name=body.name, artifact=artifact, artifacts=store.artifacts
            )
            if settings.dataset_keep_seconds is None:
                return dataset
            return datasets.keep(
                tx, tenant_id, dataset.id, keep_seconds=settings.dataset_keep_seconds
            )

        yield add


def _prepared(body: JobCreate, workdir: Path) -> PreparedDataset | PreparedTexts:
    if body.texts is not None:
        return texts.prepare(body.texts, body.labels, body.splits, merge_similar=body.merge_similar)
    return inline.prepare(
        body.embeddings,
        body.labels,
        body.splits,
        workdir=workdir,
        merge_similar=body.merge_similar,
    )


def _record(
    tx: Transaction,
    body: JobCreate,
    asked: Asked,
    dataset: Dataset,
    *,
    to: str,
) -> jobs.Job:
    check_trainable(dataset.splits, field="splits" if body.dataset_id is None else "dataset_id")
    failpoints.reach("submit.begun")
    return jobs.submit(
        tx,
        dataset.tenant_id,
        name=body.name,
        dataset_id=dataset.id,
        method=body.method,
        config=asked.config,
        alias=body.alias,
        alias_always=body.alias_always,
        description=body.description,
        tags=body.tags,
        queue=to,
        priority=body.priority,
        encoder=None if asked.encoder is None else _priced(asked.encoder, body),
        encoders=encoders.stored(_named(tx, dataset, asked), body.sample),
    )


def _named(tx: Transaction, dataset: Dataset, asked: Asked) -> tuple[Compared, ...] | None:
    """The encoders to compare; those that are datasets have the datasets' names."""
    if asked.compared is None or asked.embeds:
        return asked.compared
    _, named = encoders.rows_of(tx, dataset.tenant_id, asked.compared)
    return named


def _priced(encoder: Encoder, body: JobCreate) -> dict[str, Any]:
    """The encoder as stored in the job row, plus the price, which is not part of its identity."""
    price = None if body.provider is None else body.provider.price_per_million_tokens
    return encoder.to_dict() | ({} if price is None else {PRICE: price})


def examine(body: JobCreate, *, tenant_id: str, store: Store, settings: ServiceSettings) -> Asked:
    """What the job would train, and what would embed its texts.

    Raises everything that can be found without the rows: ConfigError, Problem, and the errors of
    `providers`.
    """
    candidates = _candidates(body)
    if body.alias_always and body.alias is None:
        raise Problem(
            422,
            "invalid_request",
            "alias_always moves an alias even if the verdict advises against it: name the alias, "
            "or leave out alias_always.",
            field="alias_always",
        )
    compared = encoders.examine(body, tenant_id=tenant_id, store=store, settings=settings)
    encoder = None
    if body.provider is not None:
        encoder = encoders.resolve(
            body.provider, tenant_id=tenant_id, store=store, settings=settings
        )
    _check_source(body)
    lora = lora_of(body)
    check_opened(encoder, lora)
    if encoder is not None:
        access.check(encoder, tenant_id=tenant_id, store=store, settings=settings)
    return Asked(candidates=candidates, encoder=encoder, compared=compared, lora=lora)


def _candidates(body: JobCreate) -> Candidates:
    """What the job would train; raises ConfigError."""
    for name, value in body.config.items():
        if len(name) > MAX_SETTING_CHARACTERS:  # or the refusal would repeat it all
            raise ConfigError("no setting has such a long name", field=name)
        if isinstance(value, list | dict):
            message = f"{name} must be one value, not a list or an object"
            raise ConfigError(message, field=name)
    if (lora := lora_of(body)) is not None:
        (seed,) = {one.seed for one in lora.configs.values()}
        return resolve(method=body.method, config={"seed": seed}, compare=False)
    return resolve(
        method=body.method, config=body.config, analyses=body.analyses, compare=body.compare
    )


def _check_source(body: JobCreate) -> None:
    """Raise Problem unless the job has a dataset or rows, and not both."""
    inline_fields = ("embeddings", "texts", "labels", "splits")
    given = [name for name in inline_fields if getattr(body, name) is not None]
    given += ["merge_similar"] if body.merge_similar else []
    if body.dataset_id is not None and given:
        raise Problem(
            422,
            "invalid_request",
            f"Send either dataset_id or embeddings and labels, not both: leave out {given[0]}.",
            field=given[0],
        )
    if body.embeddings is not None and body.texts is not None:
        raise Problem(
            422,
            "invalid_request",
            "Send either embeddings or texts, not both: leave out texts.",
            field="texts",
        )
    if body.embeddings is not None:
        check_texts(datasets.EMBEDDINGS, lora_of(body))
    if body.embeddings is not None and (body.provider or body.encoders):
        raise _provider_for_nothing("provider" if body.provider else "encoders")
    if body.encoders and body.encoders[0].dataset_id is not None:
        if given:
            raise _invalid_beside_datasets(given[0])
        return
    if body.dataset_id is None:
        for name in ("embeddings" if body.texts is None else "texts", "labels"):
            if name not in given:
                raise Problem(
                    422,
                    "invalid_request",
                    f"{name} is required: a job needs dataset_id, or embeddings (or texts) and "
                    f"labels.",
                    field=name,
                )


def _invalid_beside_datasets(field: str) -> Problem:
    return Problem(
        422,
        "invalid_request",
        f"The encoders are datasets, which have the rows: leave out {field}.",
        field=field,
    )


def check_content(content: str, asked: Asked) -> None:
    """Raise Problem unless texts have a provider and embeddings have none."""
    check_texts(content, asked.lora)
    if content == datasets.TEXTS and not asked.embeds:
        raise Problem(
            422,
            "provider_required",
            "The rows are texts: name the provider that embeds them, as in provider={name: openai, "
            "model: text-embedding-3-small}.",
            field="provider",
        )
    if content != datasets.TEXTS and asked.embeds:
        raise _provider_for_nothing("provider" if asked.compared is None else "encoders")


def _provider_for_nothing(field: str = "provider") -> Problem:
    return Problem(
        422,
        "invalid_request",
        f"A provider embeds texts, but these rows are already embeddings: leave out {field}.",
        field=field,
    )


def check_trainable(splits: Sequence[Mapping[str, Any]], *, field: str) -> None:
    """Refuse at once a job that a worker could only fail."""
    if any(split["n_rows"] and not split["class_counts"] for split in splits):
        raise Problem(
            422,
            "unlabelled_dataset",
            "The dataset has no labels, so no head can be trained on it: it was stored to be "
            "predicted. Upload it with labels and without unlabelled=true.",
            field=field,
        )
    train = next((split for split in splits if split["name"] == "train"), None)
    if train is None or train["n_rows"] == 0:
        raise Problem(
            422,
            "no_train_rows",
            "The train split is empty. Put some rows in the split 'train'.",
            field=field,
        )
    if sum(count > 0 for count in train["class_counts"]) < 2:
        raise Problem(
            422,
            "too_few_classes",
            "The train split has rows of only one class, but a head needs at least two. Add train "
            "rows of another class.",
            field=field,
        )


def _ring(queue: Queue, job_id: str, to: str) -> None:
    """Ring the doorbell for a job whose row is committed; a failure is only logged."""
    try:
        queue.send(job_id, to)
    except Exception:  # the row is the queue: the job is safe without the doorbell
        logger.warning("queue.send_failed job_id=%s", job_id, exc_info=True)
