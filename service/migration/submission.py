"""POST /heads/{name}/migrate: find the way to another encoder, and record it as a job.

The texts of the head's training are embedded anew and the head is trained anew, by an ordinary
training job; or texts that both encoders embed, a bridge, carry the old head over.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from nmtune.bridge.space_map import check_pairs
from nmtune.training.candidates import Candidates
from providers.encoder import Encoder
from service.http.errors import Problem
from service.http.idempotency import Answer, Key, earlier
from service.jobs import embedding_cost
from service.jobs.embedding_cost import PlannedEmbedding
from service.jobs.encoders import resolve
from service.jobs.schemas import Job
from service.jobs.submission import check_quotas, check_trainable, record_once
from service.migration.schemas import MigrateRequest, MigrationPlan
from service.providers import access
from service.settings import ServiceSettings
from store import datasets, jobs
from store.access import audit
from store.access.audit import Actor
from store.database.connection import Transaction
from store.datasets import Dataset
from store.embedding import encoders
from store.errors import NotFound
from store.files.texts import TextsFile
from store.idempotency import StoredResponse
from store.jobs import PRICE
from store.queue import Queue
from store.registry import heads
from store.registry.heads import HeadVersion
from store.states import JobStatus
from store.store import Store

N_JOBS: Final = 50
"""How many earlier jobs are looked through for the tokens that an encoder takes."""


@dataclass(frozen=True, kw_only=True)
class _Way:
    """What a migration starts from, and what carries it.

    origin: the job that trained the version, whose settings a refit takes over. old: the encoder
    that is left, for a bridge.
    """

    version: HeadVersion
    origin: jobs.Job
    dataset: Dataset
    encoder: Encoder
    price: float | None
    old: Mapping[str, Any] | None = None

    @property
    def name(self) -> Literal["refit", "bridge"]:
        return "refit" if self.old is None else "bridge"

    @property
    def notes(self) -> list[str]:
        """What the new version will not have of the old one."""
        one, found = self.version, []
        if self.old is None and one.adapted_from is not None:
            found.append(
                f"{one.name}@{one.version} was adapted to other rows, and the new version will not "
                "be: adapt it too."
            )
        if self.old is None and one.method != self.origin.method:
            found.append(
                f"{one.name}@{one.version} is the candidate {one.method} of its job, and the new "
                f"job publishes {self.origin.method}: publish its {one.method} afterwards."
            )
        return found


def submit(
    name: str,
    body: MigrateRequest,
    *,
    key: Key | None,
    actor: Actor,
    store: Store,
    queue: Queue,
    settings: ServiceSettings,
) -> Answer:
    """Record the migration and ring the doorbell, or find the earlier answer. Blocking.

    Raises NotFound, Problem where no way leads there, and the errors of `providers`.
    """
    tenant_id = actor.tenant_id
    if (found := earlier(store, tenant_id, key)) is not None:
        return found
    way = _examine(name, body, tenant_id=tenant_id, store=store, settings=settings)
    to = body.queue or settings.default_queue

    def record(tx: Transaction) -> StoredResponse:
        check_quotas(tx, tenant_id, settings.limits, head=name, embeds=True)
        heads.version(tx, tenant_id, name, way.version.version)  # it may have been deleted since
        job = _record(tx, body, way, to=to)
        audit.note(
            tx,
            actor,
            "job.submitted",
            job.id,
            name=name,
            dataset_id=way.dataset.id,
            method=job.method,
            migrates=f"{name}@{way.version.version}",
        )
        return StoredResponse(status_code=202, body=Job.of(job).model_dump_json().encode())

    return record_once(store, tenant_id, key, record, queue=queue, to=to)


def make_plan(
    name: str, body: MigrateRequest, *, tenant_id: str, store: Store, settings: ServiceSettings
) -> MigrationPlan:
    """What the migration would do. Blocking. Raises what submitting it would raise."""
    way = _examine(name, body, tenant_id=tenant_id, store=store, settings=settings)
    texts = list(_texts(way.dataset, store))

    def cost(encoder: Encoder, price: float | None, fingerprint: str | None) -> PlannedEmbedding:
        return embedding_cost.of_texts(
            texts,
            encoder,
            price=price,
            tenant_id=tenant_id,
            store=store,
            fingerprint=fingerprint,
            tokens_per_byte=_tokens_per_byte(encoder, way.origin, store),
        )

    old = None
    if way.old is not None:
        known = Encoder.from_dict(way.old)
        old = cost(known, way.old.get(PRICE), way.old["fingerprint"])
    return MigrationPlan(
        way=way.name,
        from_version=way.version.version,
        dataset_id=way.dataset.id,
        embedding=cost(way.encoder, way.price, _newer(way, store)),
        old_embedding=old,
        notes=way.notes,
    )


def _newer(way: _Way, store: Store) -> str | None:
    """Under which fingerprint the new encoder's vectors are kept; "" if surely under none yet.

    A head goes to an encoder of the same name because that has changed: the vectors of the head's
    own fingerprint are of no use then.
    """
    mine = (way.version.encoder or {}).get("fingerprint")
    with store.database.read() as tx:
        seen = encoders.known(tx, way.version.tenant_id, way.encoder.identity)
    return "" if seen and seen[0].fingerprint == mine else None


def _examine(
    name: str, body: MigrateRequest, *, tenant_id: str, store: Store, settings: ServiceSettings
) -> _Way:
    choice = body.provider
    encoder = resolve(choice, tenant_id=tenant_id, store=store, settings=settings)
    with store.database.read() as tx:
        version = heads.resolve(tx, tenant_id, f"{name}@{body.version}")
        origin = jobs.get(tx, tenant_id, version.job_id)
        dataset = _dataset(tx, body, version)
    old = None
    if body.bridge is None:
        check_trainable(dataset.splits, field="version")
    else:
        old = _old_encoder(version, origin)
        _check_bridge(dataset, version, store)
        access.check(Encoder.from_dict(old), tenant_id=tenant_id, store=store, settings=settings)
    access.check(encoder, tenant_id=tenant_id, store=store, settings=settings)
    return _Way(
        version=version,
        origin=origin,
        dataset=dataset,
        encoder=encoder,
        price=choice.price_per_million_tokens,
        old=old,
    )


def _dataset(tx: Transaction, body: MigrateRequest, version: HeadVersion) -> Dataset:
    """The texts that carry the head over. Raises NotFound, Problem `texts_not_kept`."""
    if body.bridge is not None:
        return datasets.get(tx, version.tenant_id, body.bridge)
    reference = f"{version.name}@{version.version}"
    try:
        dataset = datasets.get(tx, version.tenant_id, version.dataset_id)
    except NotFound:
        why = f"the dataset {version.dataset_id} was deleted"
    else:
        if dataset.content == datasets.TEXTS and dataset.is_labelled:
            return dataset
        why = "it was trained on embeddings"
        if dataset.content == datasets.TEXTS:
            why = f"it was moved from version {version.migrated_from} by a bridge without labels"
    raise Problem(
        409,
        "texts_not_kept",
        f"The texts that {reference} learnt from are not kept here: {why}. Send texts that both "
        "encoders can embed as bridge (a dataset of them, without labels if there are none), or "
        "train on labelled texts with POST /jobs.",
        field="bridge",
    )


def _old_encoder(version: HeadVersion, origin: jobs.Job) -> dict[str, Any]:
    """The encoder that the head leaves, as the job's row has it."""
    if version.encoder is None:
        raise Problem(
            409,
            "encoder_unknown",
            f"{version.name}@{version.version} was trained on embeddings, and what made them is "
            "not known here, so no bridge can lead from them. Train on labelled texts with "
            "POST /jobs.",
            field="version",
        )
    price = (origin.encoder or {}).get(PRICE)
    known = {key: one for key, one in version.encoder.items() if key != "sketch"}
    return known | ({} if price is None else {PRICE: price})


def _check_bridge(dataset: Dataset, version: HeadVersion, store: Store) -> None:
    """Raise Problem or DataError unless the dataset can be a bridge for the head."""
    if dataset.content != datasets.TEXTS:
        raise Problem(
            422,
            "texts_required",
            "A bridge is a dataset of texts, which both encoders embed; this one has embeddings.",
            field="bridge",
        )
    if unknown := [one for one in dataset.classes if one not in version.classes]:
        raise Problem(
            422,
            "unknown_class",
            f"The bridge has the label {unknown[0][:80]!r}, which is no class of "
            f"{version.name}@{version.version}: leave out the labels, or such rows.",
            field="bridge",
        )
    check_pairs(len(set(_texts(dataset, store))))


def _texts(dataset: Dataset, store: Store) -> Iterator[str]:
    file = TextsFile.from_bytes(store.artifacts.get_bytes(dataset.tenant_id, dataset.sha256))
    return (text for split in file.splits for text in split.texts)


def _tokens_per_byte(encoder: Encoder, origin: jobs.Job, store: Store) -> float | None:
    """What the encoder took for other texts, or else what the head's own one took for its texts."""
    with store.database.read() as tx:
        page = jobs.page(tx, origin.tenant_id, limit=N_JOBS, status=JobStatus.SUCCEEDED)
    asked = [one.encoder for one in page.items if one.encoder is not None]
    same = [one for one in asked if Encoder.from_dict(one).identity == encoder.identity]
    for one in [*same, origin.encoder or {}]:
        usage = one.get("usage", {})
        if usage.get("n_bytes"):
            return float(usage["n_tokens"] / usage["n_bytes"])
    return None


def _record(tx: Transaction, body: MigrateRequest, way: _Way, *, to: str) -> jobs.Job:
    migration: dict[str, Any] = {"from_version": way.version.version, "way": way.name}
    if way.notes:
        migration["notes"] = way.notes
    if way.old is not None:
        migration |= {"forced": body.force, "old_encoder": dict(way.old)}
    return jobs.submit(
        tx,
        way.version.tenant_id,
        name=way.version.name,
        dataset_id=way.dataset.id,
        method=way.origin.method,
        config=Candidates.from_dict(way.origin.config).to_dict(),
        encoder=way.encoder.to_dict() | ({} if way.price is None else {PRICE: way.price}),
        migration=migration,
        by_bridge=way.old is not None,
        queue=to,
        priority=body.priority,
        description=body.description,
        tags=body.tags,
    )
