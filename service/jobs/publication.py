"""Publish another candidate of a job, without training again."""

import logging

import orjson
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from service.heads.notes import Description, Tags
from service.heads.schemas import HeadVersion
from service.http.dependencies import ActorDep, SettingsDep, StoreDep
from service.http.fields import Alias, Name
from service.http.json_body import JsonRoute
from service.http.openapi import BODY_STATUSES, problems
from service.http.scopes import READ_WRITE
from service.jobs.routes import JobId
from service.predict.services import PredictorDep
from store import jobs
from store.access import audit, quotas
from store.access.audit import Actor
from store.access.limits import Limits
from store.registry import aliases, candidates, heads
from store.registry.candidates import Publication
from store.store import Store

logger = logging.getLogger(__name__)
router = APIRouter(tags=["jobs"], route_class=JsonRoute, dependencies=[READ_WRITE])

_LOCATION = {"Location": {"description": "The version.", "schema": {"type": "string"}}}


class CandidateToPublish(BaseModel):
    """Which candidate to publish, an alias to point at it, and notes on it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"candidate": "nmtune", "alias": "prod"}]},
    )

    candidate: Name = Field(description="The name of a candidate in the job's report.")
    alias: Alias | None = Field(
        default=None,
        description="An alias that moves to the version, whatever the report's verdict says.",
    )
    description: Description | None = Field(
        default=None, description="A note for people; left out, that of the job."
    )
    tags: Tags = Field(default_factory=dict, description="Tags; left out, those of the job.")


@router.post(
    "/jobs/{job_id}/publish",
    status_code=201,
    response_model=HeadVersion,
    responses={
        200: {
            "model": HeadVersion,
            "description": "The candidate is published already, as this version.",
            "headers": _LOCATION,
        },
        201: {"description": "The new version.", "headers": _LOCATION},
        **problems(403, 404, 409, 410, *BODY_STATUSES),
    },
)
def publish_candidate(
    job_id: JobId,
    body: CandidateToPublish,
    store: StoreDep,
    predictor: PredictorDep,
    actor: ActorDep,
    settings: SettingsDep,
) -> Response:
    """Make another candidate of a succeeded job the next version of its head, as it was trained.

    Sent again, it answers with the same version. The heads of candidates are kept for
    NMTUNE_JOB_FILES_DAYS; 410 after that.
    """
    published = publish(store, actor, job_id, body, limits=settings.limits)
    predictor.known.forget()
    version = HeadVersion.of(published.version)
    return Response(
        version.model_dump_json(),
        201 if published.is_new else 200,
        {"Location": f"/heads/{version.name}/versions/{version.version}"},
        media_type="application/json",
    )


def publish(
    store: Store, actor: Actor, job_id: str, body: CandidateToPublish, *, limits: Limits
) -> Publication:
    """The candidate's version; alias and notes are set on one that was there before too.

    Raises NotFound, and as `candidates.check_succeeded` and `candidates.publish` do.
    """
    tenant_id = actor.tenant_id
    with store.database.read() as tx:
        job = jobs.get(tx, tenant_id, job_id)
    candidates.check_succeeded(job)
    report = orjson.loads(store.artifacts.get_bytes(tenant_id, job.report_sha256 or ""))
    notes = body.model_dump(include=body.model_fields_set & {"description", "tags"})
    with store.database.begin() as tx:
        quotas.check_head(tx, tenant_id, limits, head=job.name)
        published = candidates.publish(tx, job, report, body.candidate)
        if published.is_new:
            quotas.check_stored_bytes(tx, tenant_id, limits, more=0)  # it counts already
        name, number = published.version.name, published.version.version
        if body.alias is not None:
            before = aliases.named(tx, tenant_id, name, body.alias)  # the head is locked
            heads.set_alias(tx, tenant_id, name, body.alias, number)
            reference = f"{name}@{body.alias}"
            audit.note(tx, actor, "alias.moved", reference, before=before, after=number)
        version = heads.annotate(tx, tenant_id, name, number, notes=notes)
        audit.note(
            tx,
            actor,
            "head.published",
            f"{name}@{number}",
            outcome=audit.DONE if published.is_new else audit.UNCHANGED,
            job_id=job_id,
            candidate=body.candidate,
        )
    if published.is_new:
        logger.info(
            "head.published name=%s version=%d job_id=%s candidate=%s alias=%s",
            *(name, number, job_id, body.candidate, body.alias),
        )
    return Publication(version=version, is_new=published.is_new)
