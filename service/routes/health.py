"""The routes for whoever operates the service: is it alive, and can it do its work?"""

from collections.abc import Callable
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict

from service.dependencies import StoreDep
from service.errors import Problem
from service.openapi import problems
from service.validation import FieldError
from store.errors import SchemaMismatch, StoreError
from store.store import Store

router = APIRouter(tags=["operations"])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Check(BaseModel):
    """One thing the service needs."""

    status: Literal["ok", "failed"]
    message: str | None = None


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
                    },
                }
            ]
        }
    )

    status: Literal["ready"] = "ready"
    checks: dict[str, Check]


@router.get("/livez")
async def livez() -> Alive:
    """Whether the process answers; it looks at nothing else."""
    return Alive()


@router.get("/readyz", responses=problems(503))
def readyz(request: Request, store: StoreDep) -> Ready:
    """Whether the database, its schema and the artifact storage are fit for work."""
    expected: str | None = request.app.state.expected_schema
    checks = {
        "database": _check(store.database.ping),
        "migrations": _check(lambda: _check_schema(store, expected)),
        "artifacts": _check(store.artifacts.check),
    }
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


def _check_schema(store: Store, expected: str | None) -> None:
    found = store.database.schema_revision()
    if found is None:
        raise SchemaMismatch("The database has no schema yet: run nmtune-server migrate.")
    if expected is not None and found != expected:
        raise SchemaMismatch(
            f"The database is at revision {found}, this service needs {expected}: run "
            "nmtune-server migrate, or the version of the service that fits the database."
        )


def _check(check: Callable[[], object]) -> Check:
    try:
        check()
    except StoreError as error:
        return Check(status="failed", message=str(error))
    return Check(status="ok")
