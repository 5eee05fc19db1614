"""The route that says how long a dataset is kept."""

import logging

from fastapi import APIRouter

from service.datasets.routes import DatasetId
from service.datasets.schemas import Dataset, DatasetPatch
from service.http.dependencies import StoreDep, TenantDep
from service.http.json_body import JsonRoute
from service.http.openapi import BODY_STATUSES, problems
from store import datasets

logger = logging.getLogger(__name__)
router = APIRouter(tags=["datasets"], route_class=JsonRoute)


@router.patch("/datasets/{dataset_id}", responses=problems(404, *BODY_STATUSES))
def keep_dataset(
    dataset_id: DatasetId, body: DatasetPatch, store: StoreDep, tenant_id: TenantDep
) -> Dataset:
    """Let a dataset expire that many seconds from now, or never with null."""
    with store.database.begin() as tx:
        dataset = datasets.keep(tx, tenant_id, dataset_id, keep_seconds=body.keep_seconds)
    logger.info("dataset.kept dataset_id=%s expires_at=%s", dataset_id, dataset.expires_at)
    return Dataset.of(dataset)
