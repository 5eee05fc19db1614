"""The route that takes a head to another encoder."""

from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response

from service.heads.routes import HeadName
from service.http.dependencies import ActorDep, QueueDep, SettingsDep, StoreDep, TenantDep
from service.http.idempotency import IdempotencyKey, key_of
from service.http.json_body import JsonRoute
from service.http.openapi import BODY_STATUSES, problems
from service.http.scopes import WRITE
from service.jobs.routes import QUEUED, Prefer, when_ended
from service.jobs.schemas import Job
from service.migration.schemas import MigrateRequest, MigrationPlan
from service.migration.submission import make_plan, submit

router = APIRouter(tags=["heads"], route_class=JsonRoute)


@router.post(
    "/heads/{name}/migrate",
    dependencies=[WRITE],
    status_code=202,
    response_model=Job,
    responses={
        200: {
            "model": Job | MigrationPlan,
            "description": "With Prefer: wait, the ended job. With plan=true, the plan.",
        },
        202: QUEUED,
        **problems(403, 404, 409, *BODY_STATUSES),
    },
)
async def migrate_head(
    name: HeadName,
    body: MigrateRequest,
    request: Request,
    store: StoreDep,
    queue: QueueDep,
    settings: SettingsDep,
    tenant_id: TenantDep,
    actor: ActorDep,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
    plan: Annotated[
        bool,
        Query(
            description="Only say what the migration would do and cost: nothing is asked for.",
            examples=[True],
        ),
    ] = False,
) -> Response:
    """Take a head to another encoder, as a job that publishes a version and moves no alias.

    The head's own texts are embedded anew and it is trained anew with the same settings, or, with
    `bridge`, texts that both encoders embed carry it over without labels. No text is paid twice.
    """
    if plan:
        planned = await to_thread.run_sync(
            partial(make_plan, name, body, tenant_id=tenant_id, store=store, settings=settings)
        )
        return Response(planned.model_dump_json(), media_type="application/json")
    key = await key_of(request, idempotency_key)
    answer = await to_thread.run_sync(
        partial(
            submit,
            name,
            body,
            key=key,
            actor=actor,
            store=store,
            queue=queue,
            settings=settings,
        )
    )
    return await when_ended(answer, request, prefer=prefer, tenant_id=tenant_id)
