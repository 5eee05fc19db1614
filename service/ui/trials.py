"""The pages of a head at work: try it, and whether its traffic drifts."""

from typing import Annotated

from fastapi import Query, Request, Response

from service.heads.drift import get_head_drift
from service.heads.drift_schemas import DriftQuery
from service.heads.routes import HeadName, get_head
from service.http.dependencies import SettingsDep, StoreDep, TenantDep
from service.predict.services import PredictorDep
from service.ui.answers import html, page_router, place
from service.ui.queries import read_query
from store.drift import KEPT_HOURS

router = page_router()

Reference = Annotated[
    str | None,
    Query(alias="of", max_length=64, description="A version number or an alias."),
]


@router.get("/ui/heads/{name}/try")
def try_page(
    name: HeadName,
    request: Request,
    store: StoreDep,
    tenant_id: TenantDep,
    chosen: Reference = None,
) -> Response:
    """A form for one row, and what the head says to it."""
    from pages.views import trial as view

    head = get_head(name, store, tenant_id).model_dump(mode="json")
    return html(view.try_page(head, place(request), chosen=chosen))


@router.get("/ui/heads/{name}/drift")
def drift_page(
    name: HeadName,
    request: Request,
    store: StoreDep,
    predictor: PredictorDep,
    settings: SettingsDep,
    tenant_id: TenantDep,
    chosen: Reference = None,
    hours: Annotated[int, Query(ge=1, le=KEPT_HOURS)] = 24,
) -> Response:
    """How predicted rows differ from the training rows, by the hour."""
    from pages.views import drift as view

    of = "" if chosen in (None, "latest") else chosen
    which = "version" if of.isdigit() else "alias"
    query = read_query(DriftQuery, {which: of, "hours": hours, "by": "hour"})
    drift = get_head_drift(name, query, store, predictor, settings, tenant_id)
    return html(view.drift_page(drift.model_dump(mode="json"), place(request), asked=of))
