"""Route of drift: how predicted rows differ from those that a head was trained on."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query

from nmtune.trust.drift import measure_drift
from service.heads.drift_schemas import DriftQuery, DriftWindow, HeadDrift
from service.heads.routes import HeadName
from service.http.dependencies import SettingsDep, StoreDep, TenantDep
from service.http.errors import Problem
from service.http.openapi import problems
from service.http.scopes import READ
from service.predict.services import PredictorDep
from store import drift
from store.drift import Total

router = APIRouter(tags=["heads"], dependencies=[READ])


@router.get("/heads/{name}/drift", responses=problems(404))
def get_head_drift(
    name: HeadName,
    query: Annotated[DriftQuery, Query()],
    store: StoreDep,
    predictor: PredictorDep,
    settings: SettingsDep,
    tenant_id: TenantDep,
) -> HeadDrift:
    """Whether the rows predicted lately still look like the rows that the head was trained on.

    Rows are counted while NMTUNE_DRIFT=on; only sums are kept, for 30 days. With by=hour, each hour
    is compared on its own too.
    """
    if query.version is not None and query.alias is not None:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "invalid_request",
            "alias and version both choose a version: send only one of them.",
            field="alias",
        )
    label = query.version or query.alias or "latest"
    serving = predictor.find(tenant_id, f"{name}@{label}")
    version, knowledge = serving.version, serving.loaded.knowledge
    if knowledge is None:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "not_learnt",
            f"The head {version.name}@{version.version} has no summary of its training rows, "
            "because an earlier release trained it. Train it again.",
            field="name",
        )
    summary = knowledge.row_summary
    n_sums = summary.n_sums
    with store.database.read() as tx:
        windows = list(
            drift.windows(tx, tenant_id, version.sha256, n_sums=n_sums, hours=query.hours)
        )
    total = Total.of(windows, n_sums=n_sums)
    by_hour = None
    if query.by == "hour":
        by_hour = [
            DriftWindow.of(one, measure_drift(summary, one.n_rows, one.sums)) for one in windows
        ]
    return HeadDrift.of(
        version,
        measure_drift(summary, total.n_rows, total.sums),
        total,
        hours=query.hours,
        is_recording=settings.drift == "on",
        windows=by_hour,
    )
