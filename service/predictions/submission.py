"""POST /predictions: check it, pin the head's version, record the job."""

from nmtune.heads import class_shares
from providers.encoder import Encoder
from service.http.errors import Problem
from service.http.idempotency import Answer, Key, earlier
from service.jobs.schemas import Job
from service.jobs.submission import record_once
from service.predict import trust
from service.predict.options import OPTIONS
from service.predictions.schemas import PredictionCreate
from service.providers import access
from service.settings import ServiceSettings
from store import datasets, jobs
from store.access import audit, quotas
from store.access.audit import Actor
from store.access.limits import Limits
from store.access.usage import Kind
from store.database.connection import Transaction
from store.datasets import Dataset
from store.idempotency import StoredResponse
from store.queue import Queue
from store.registry import heads
from store.registry.heads import HeadVersion
from store.store import Store


def submit(
    body: PredictionCreate,
    *,
    key: Key | None,
    actor: Actor,
    store: Store,
    queue: Queue,
    settings: ServiceSettings,
) -> Answer:
    """Record the prediction that `body` asks for and ring the doorbell, or find the first answer.

    Blocking. Raises NotFound, InvalidReference, KeyMissing, and Problem if head, rows and options
    do not go together.
    """
    tenant_id = actor.tenant_id
    if (found := earlier(store, tenant_id, key)) is not None:
        return found
    _check_options(body)
    to = body.queue or settings.default_queue
    with store.database.read() as tx:
        version = heads.resolve(tx, tenant_id, body.head)
        dataset = datasets.get(tx, tenant_id, body.dataset_id)
    _check_rows(version, dataset)
    _check_class_shares(body, version)
    if dataset.content == datasets.TEXTS and version.encoder is not None:
        access.check(
            Encoder.from_dict(version.encoder), tenant_id=tenant_id, store=store, settings=settings
        )

    def record(tx: Transaction) -> StoredResponse:
        _check_quotas(tx, dataset, settings.limits)
        job = _record(tx, body, version, dataset, to)
        reference = f"{version.name}@{version.version}"
        audit.note(tx, actor, "prediction.submitted", job.id, head=reference, dataset_id=dataset.id)
        return StoredResponse(status_code=202, body=Job.of(job).model_dump_json().encode())

    return record_once(store, tenant_id, key, record, queue=queue, to=to)


def _check_quotas(tx: Transaction, dataset: Dataset, limits: Limits) -> None:
    """Raise QuotaReached if the tenant has no room for the job, its rows and what it stores."""
    tenant_id = dataset.tenant_id
    quotas.check_job(tx, tenant_id, limits)
    quotas.check_stored_bytes(tx, tenant_id, limits, more=0)
    quotas.check_month(tx, tenant_id, limits, Kind.PREDICTED_ROWS, more=dataset.n_rows)
    if dataset.content == datasets.TEXTS:
        quotas.check_month(tx, tenant_id, limits, Kind.EMBEDDED_TOKENS, more=1)


def _record(
    tx: Transaction, body: PredictionCreate, version: HeadVersion, dataset: Dataset, to: str
) -> jobs.Job:
    # Once more in this transaction: the version may have been deleted since.
    heads.version(tx, version.tenant_id, version.name, version.version)
    encoder = None
    if dataset.content == datasets.TEXTS and version.encoder is not None:
        encoder = {name: one for name, one in version.encoder.items() if name != "sketch"}
    return jobs.submit(
        tx,
        version.tenant_id,
        name=version.name,
        dataset_id=dataset.id,
        method=version.method,
        config={
            "format": body.format,
            **{name: getattr(body, name) for name in sorted(OPTIONS)},
            "class_shares": _class_shares(body, version),
        },
        queue=to,
        priority=body.priority,
        encoder=encoder,
        predicting=(version.name, version.version),
    )


def _check_options(body: PredictionCreate) -> None:
    """Refuse options as POST /predict does."""
    if body.output != "embeddings":
        return
    for name in ("top_k", "abstain_below", "conformal_level", "ood", "class_shares"):
        if getattr(body, name) not in (None, False):
            raise Problem(
                422,
                "invalid_request",
                f"{name} does not go with output=embeddings: leave it out.",
                field=name,
            )


def _class_shares(body: PredictionCreate, version: HeadVersion) -> dict[str, float] | None:
    """Those of the request, or else of the alias that names the version."""
    if body.output == "embeddings":
        return None
    return version.class_shares if body.class_shares is None else body.class_shares


def _check_class_shares(body: PredictionCreate, version: HeadVersion) -> None:
    """Refuse what POST /predict would: raises DataError or Problem."""
    shares = _class_shares(body, version)
    if shares is None:
        return
    class_shares.offsets(shares, version.lineage.get("class_shares"), version.classes)
    if body.conformal_level is not None:
        raise trust.not_with_class_shares(version, is_of_alias=body.class_shares is None)


def _check_rows(version: HeadVersion, dataset: Dataset) -> None:
    """Raise Problem unless the head can take the rows."""
    reference = f"{version.name}@{version.version}"
    if dataset.content == datasets.TEXTS:
        if version.encoder is None:
            raise Problem(
                422,
                "text_not_supported",
                f"The head {reference} was trained on embeddings and cannot read text. Embed the "
                "texts with the model that made the training embeddings, and upload those.",
                field="dataset_id",
            )
        return
    if dataset.n_columns != version.n_columns:
        raise Problem(
            422,
            "width_mismatch",
            f"The rows have {dataset.n_columns:,} columns, but the head {reference} takes "
            f"{version.n_columns:,}: do the embeddings come from the model that it was trained on?",
            field="dataset_id",
        )
