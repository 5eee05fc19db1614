"""The pages on which a job begins: choose the data, see the plan, submit."""

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

import orjson
from anyio import to_thread
from fastapi import Query, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from service.datasets.routes import get_dataset, list_datasets
from service.datasets.schemas import DatasetQuery
from service.http.dependencies import SettingsDep, StoreDep, TenantDep
from service.http.errors import Problem, problem_of
from service.http.fields import Alias, Cursor, Name
from service.http.validation import ID_PATTERN
from service.jobs.plan import make_plan
from service.jobs.schemas import JobCreate
from service.settings import ServiceSettings
from service.ui.answers import html, page_router, place
from store.store import Store

_MOST_CONFIG: Final = 4000

router = page_router()


def _or_none(value: object) -> object:
    return None if value == "" else value


_Empty: Final = BeforeValidator(_or_none)
"""A form sends the empty text for a field that is left empty."""


_Text = Annotated[str | None, _Empty]


class NewJob(BaseModel):
    """The fields of the form: those of `POST /jobs`, flat."""

    model_config = ConfigDict(extra="forbid")

    cursor: Cursor = None
    dataset_id: _Text = Field(default=None, pattern=ID_PATTERN)
    name: Annotated[Name | None, _Empty] = None
    method: Literal["linear_probe", "mlp", "nmtune", "auto"] = "auto"
    alias: Annotated[Alias | None, _Empty] = None
    alias_always: bool = False
    compare: bool = True
    analyses: list[Literal["ablation", "learning_curve", "published_loop"]] = Field(
        default=[], max_length=3
    )
    config: _Text = Field(default=None, max_length=_MOST_CONFIG)
    provider_name: _Text = Field(default=None, alias="provider.name", max_length=64)
    provider_model: _Text = Field(default=None, alias="provider.model", max_length=200)
    provider_base_url: _Text = Field(default=None, alias="provider.base_url", max_length=500)

    def body(self, *, name: str) -> dict[str, Any]:
        """The body of `POST /jobs`, without what is left at its default. Raises Problem."""
        provider = {
            "name": self.provider_name,
            "model": self.provider_model,
            "base_url": self.provider_base_url,
        }
        given = {
            "provider": {key: one for key, one in provider.items() if one},
            "alias": self.alias,
            "alias_always": self.alias_always,
            "analyses": list(dict.fromkeys(self.analyses)),
            "config": _config(self.config),
        }
        return {
            "name": self.name or name,
            "dataset_id": self.dataset_id,
            "method": self.method,
            **({} if self.compare else {"compare": False}),
            **{key: one for key, one in given.items() if one},
        }


@router.get("/ui/new")
async def new_page(
    query: Annotated[NewJob, Query()],
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    tenant_id: TenantDep,
) -> Response:
    """A job to be: first its data, then its options and the plan."""
    from pages.views import new as view

    if query.dataset_id is None:
        list_query = DatasetQuery(cursor=query.cursor)
        found = await to_thread.run_sync(partial(list_datasets, list_query, store, tenant_id))
        datasets = found.model_dump(mode="json")
        return html(view.begin_page(datasets, place(request), is_first=query.cursor is None))
    get = partial(get_dataset, query.dataset_id, store, tenant_id)
    dataset = (await to_thread.run_sync(get)).model_dump(mode="json")
    body = query.body(name=dataset["name"])
    plan, refusal = await to_thread.run_sync(partial(_plan, body, tenant_id, store, settings))
    origin = str(request.base_url).rstrip("/")
    return html(view.new_page(dataset, body, plan, place(request), refusal=refusal, origin=origin))


def _plan(
    body: Mapping[str, Any], tenant_id: str, store: Store, settings: ServiceSettings
) -> tuple[dict[str, Any] | None, str]:
    """What `POST /jobs?plan=true` answers, or why it refuses. Blocking."""
    try:
        wanted = JobCreate(**body)
        plan = make_plan(wanted, tenant_id=tenant_id, store=store, settings=settings)
    except ValidationError as error:
        told = error.errors()[0]
        return None, f"{'.'.join(map(str, told['loc']))}: {told['msg']}."
    except Exception as error:
        problem = problem_of(error)
        if problem is None or problem.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        return None, problem.detail
    return plan.model_dump(mode="json"), ""


def _config(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _no_config(f"config is not JSON: {error}.") from None
    if not isinstance(found, dict):
        raise _no_config("config must be a JSON object")
    return found


def _no_config(what: str) -> Problem:
    return Problem(
        422, "invalid_request", f'{what} Write settings such as {{"epochs": 10}}.', field="config"
    )
