"""The pages of datasets: the list, and one."""

from typing import Annotated

from fastapi import Query, Request, Response

from service.datasets.routes import DatasetId, get_dataset, list_datasets
from service.datasets.schemas import DatasetQuery
from service.http.dependencies import StoreDep, TenantDep
from service.ui.answers import html, page_router, place

router = page_router()


@router.get("/ui/datasets")
def datasets_page(
    query: Annotated[DatasetQuery, Query()], request: Request, store: StoreDep, tenant_id: TenantDep
) -> Response:
    """The list of datasets, newest first."""
    from pages.views import datasets as view

    found = list_datasets(query, store, tenant_id).model_dump(mode="json")
    return html(view.datasets_page(found, place(request), is_first=query.cursor is None))


@router.get("/ui/datasets/{dataset_id}")
def dataset_page(
    dataset_id: DatasetId, request: Request, store: StoreDep, tenant_id: TenantDep
) -> Response:
    """A dataset: its profile, its warnings, its rows by class and split."""
    from pages.views import datasets as view

    found = get_dataset(dataset_id, store, tenant_id).model_dump(mode="json")
    return html(view.dataset_page(found, place(request)))
