"""Routes for operators: is it alive, can it do its work, what has it done?"""

from dataclasses import dataclass
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict

from service.http.errors import Problem
from service.http.openapi import problems
from service.http.scopes import OPEN, READ
from service.http.validation import FieldError
from service.operate import scrape
from service.operate.readiness import Check, Readiness
from service.operate.scrape import Scrape
from service.predict.services import PredictServices

router = APIRouter(tags=["operations"])


@dataclass(frozen=True, kw_only=True)
class OperateServices(PredictServices):
    """The services, and those that tell an operator how the others are: all that there are."""

    readiness: Readiness
    scrape: Scrape


def services_of(request: Request) -> OperateServices:
    """All services of the application that serves the request."""
    services: OperateServices = request.app.state.services
    return services


async def told_checks(services: OperateServices) -> dict[str, Check]:
    """The checks as anybody may read them: where keys are on, which check, but not why."""
    checks = dict(await services.readiness.checks())
    if services.settings.keys_on:
        return {name: Check(status=check.status) for name, check in checks.items()}
    return checks


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """The service can take requests."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "status": "ready",
                    "checks": {
                        "database": {"status": "ok", "message": None},
                        "migrations": {"status": "ok", "message": None},
                        "artifacts": {"status": "ok", "message": None},
                        "broker": {"status": "warning", "message": "The broker does not answer."},
                    },
                }
            ]
        }
    )

    status: Literal["ready"] = "ready"
    checks: dict[str, Check]


@router.get("/livez", dependencies=[OPEN])
async def livez() -> Alive:
    """Say whether the process answers; nothing else is checked."""
    return Alive()


@router.get("/readyz", dependencies=[OPEN], responses=problems(503))
async def readyz(request: Request) -> Ready:
    """Say whether the database, its schema and the artifact storage are ready for work.

    A broker, if one is configured, is checked too, but only causes a warning: without it jobs start
    a little later. Answers within about two seconds; a result is reused for one second.
    """
    services = services_of(request)
    checks = await told_checks(services)
    failed = {name: check for name, check in checks.items() if check.status == "failed"}
    if failed:
        raise Problem(
            503,
            "not_ready",
            f"Not ready: {', '.join(failed)}.",
            errors=[FieldError(field=n, message=c.message or "") for n, c in failed.items()],
            extensions={"checks": {name: check.model_dump() for name, check in checks.items()}},
        )
    return Ready(checks=checks)


@router.get(
    "/metrics",
    dependencies=[READ],
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(request: Request) -> Response:
    """Show counts, times and the backlog, in the text format of Prometheus."""
    return Response(
        services_of(request).scrape.text(), headers={"Content-Type": scrape.CONTENT_TYPE}
    )
