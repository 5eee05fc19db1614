"""Each route states what it needs of a key, and gets no less."""

import re
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from service.http.scopes import Needs
from store.access import scopes
from store.store import Store
from tests.service.access.asking import Asking, routes, stated
from tests.service.in_process import assert_problem
from tests.store.access.access_calls import make_key

# What everybody reaches: probes, the login, and files that hold nothing of anybody.
OPEN = {
    "GET /livez", "GET /readyz", "GET /v2/health/live", "GET /v2/health/ready",
    "POST /session", "DELETE /session", "GET /ui/login", "GET /ui/login/openid",
    "GET /ui/login/openid/callback", "GET /ui/static/{digest}/{name}", "GET /",
}  # fmt: skip
# Predictions and heads' metadata without a head in the path: they look at the key's heads
# themselves, or tell nothing of heads.
NO_HEAD_IN_PATH = {
    "GET /predict", "POST /predict", "GET /heads", "GET /v2", "GET /identity",
}  # fmt: skip
READS = {"POST /heads/{name}/select"}
"""They change nothing, and their method is POST only for the body."""
RAW = {"Content-Type": "application/octet-stream"}
PLACES = {"version": "1", "alias": "prod", "path": "nothing", "digest": "0"}


def api_routes(app: FastAPI) -> list[APIRoute]:
    return [route for route in routes(app) if isinstance(route, APIRoute)]


def called(route: APIRoute) -> list[tuple[str, str]]:
    return [(method, f"{method} {route.path}") for method in sorted(route.methods)]


def test_every_route_states_what_it_needs(app: FastAPI) -> None:
    assert len(api_routes(app)) > 50
    silent = [route.path for route in api_routes(app) if not stated(route)]
    assert not silent, f"say in `dependencies` what these need (service/http/scopes.py): {silent}"


def test_the_document_names_the_scope_of_each_operation(app: FastAPI) -> None:
    document = app.openapi()
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for route in api_routes(app):
        for method, name in called(route):
            operation = document["paths"].get(route.path, {}).get(method.lower())
            if operation is None:
                continue
            needed = [needs.scope_for(method) for needs in stated(route)]
            told = operation.get("security", [])
            assert told == ([] if name in OPEN else [{"key": needed}]), name


def test_only_static_files_are_no_routes_of_ours(app: FastAPI) -> None:
    others = [route for route in routes(app) if not isinstance(route, APIRoute)]
    assert [getattr(route, "path", None) for route in others] == ["/docs/static"]


def test_what_changes_things_needs_more_than_read(app: FastAPI) -> None:
    for route in api_routes(app):
        for method, name in called(route):
            needed = {needs.scope_for(method) for needs in stated(route)}
            if method in {"POST", "PUT", "PATCH", "DELETE"} and name not in OPEN | READS:
                predicts = "predict" in name or name.endswith("/infer")
                assert needed & {"write", "admin"} or (predicts and needed == {"predict"}), name


def test_what_is_open_is_named_here(app: FastAPI) -> None:
    found = {
        name
        for route in api_routes(app)
        for method, name in called(route)
        if {needs.scope_for(method) for needs in stated(route)} == {None}
    }
    assert found == OPEN


def test_what_predicts_names_its_head_in_the_path_or_checks_it_itself(app: FastAPI) -> None:
    found = {
        name
        for route in api_routes(app)
        for method, name in called(route)
        if any(needs.scope_for(method) == "predict" for needs in stated(route))
        and "{name}" not in route.path
    }
    assert found == NO_HEAD_IN_PATH


def sent(ask: Asking, key: str, method: str, path: str) -> httpx.Response:
    """A request that is good enough to be looked at, for things that do not exist."""
    address = re.sub(r"\{(\w+)(:path)?\}", lambda m: PLACES.get(m[1], f"{m[1]}_x"), path)
    arguments: dict[str, Any] = {"headers": {"Tus-Resumable": "1.0.0"}}
    if method in {"POST", "PUT", "PATCH"}:
        arguments["json"] = {}
    return ask.with_key(key, method, address, **arguments)


@pytest.mark.parametrize("scope", scopes.SCOPES)
def test_a_key_reaches_what_its_scope_holds_and_nothing_else(
    app: FastAPI, ask: Asking, secrets: dict[str, str], scope: str
) -> None:
    held = scopes.held([scope])
    n_refused = 0
    for route in api_routes(app):
        for method, name in called(route):
            if name in OPEN:
                continue
            needed = {needs.scope_for(method) for needs in stated(route)} - {None}
            answer = sent(ask, secrets[scope], method, route.path)
            assert secrets[scope] not in answer.text + str(answer.headers), name
            if needed <= held:
                assert answer.status_code not in {401, 403}, name
                assert answer.status_code < 500, name
            else:
                n_refused += 1
                assert answer.status_code == 403, name
                if method != "HEAD" and not route.path.startswith(("/v2", "/ui")):
                    body = assert_problem(answer, 403, "scope_missing")
                    assert {body["scope_needed"]} <= needed
    assert (n_refused > 0) == (scope != "admin")


def test_without_a_key_nothing_but_what_is_open_is_reached(app: FastAPI, ask: Asking) -> None:
    for route in api_routes(app):
        for method, name in called(route):
            if name in OPEN or route.path.startswith("/ui"):
                continue
            address = re.sub(r"\{\w+\}", "x", route.path)
            answer = ask(method, address)
            assert answer.status_code == 401, name
            assert answer.headers["www-authenticate"] == "Bearer", name


def test_the_documentation_wants_read(ask: Asking, secrets: dict[str, str]) -> None:
    for path in ("/docs", "/openapi.json", "/metrics"):
        assert ask.get(path).status_code == 401
        assert_problem(ask.with_key(secrets["predict"], "GET", path), 403, "scope_missing")
        assert ask.with_key(secrets["read"], "GET", path).status_code == 200
    assert ask.get("/docs/static/swagger-ui.css").status_code == 401


def test_a_narrowed_key_predicts_with_its_heads_alone(
    ask: Asking, store: Store, head: str, row: dict[str, Any]
) -> None:
    key = make_key(store, scopes=["predict"], heads=["pets"]).secret
    for reference in ("pets", "pets@1", "pets@prod"):
        told = {**row, "head": reference}
        assert ask.with_key(key, "POST", "/predict", json=told).status_code == 200
        assert ask.with_key(key, "GET", f"/v2/models/{reference}").status_code == 200
    assert ask.with_key(key, "GET", "/heads/pets").status_code == 200
    assert ask.with_key(key, "GET", "/predict?head=pets&embedding=1,2,3").status_code == 200
    for method, path, arguments in (
        ("POST", "/predict", {"json": {**row, "head": "cars@prod"}}),
        ("POST", "/predict?head=cars&shape=1,3", {"content": bytes(12), "headers": RAW}),
        ("GET", "/predict?head=cars&embedding=1,2,3", {}),
        ("GET", "/heads/cars", {}),
        ("GET", "/heads", {}),
    ):
        answer = ask.with_key(key, method, path, **arguments)
        body = assert_problem(answer, 403, "scope_missing")
        assert "pets" in body["detail"]
        assert "cars" not in body["detail"]
    told = ask.with_key(key, "POST", "/v2/models/cars/infer", json={"inputs": []})
    assert told.status_code == 403
    assert set(told.json()) == {"error"}


def test_a_statement_for_two_kinds_of_methods() -> None:
    needs = Needs("read", "write")
    assert [needs.scope_for(one) for one in ("GET", "HEAD", "POST", "DELETE")] == [
        "read", "read", "write", "write",
    ]  # fmt: skip


def test_what_a_key_lacks_is_noted(
    ask: Asking, secrets: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    key_id = ask.with_key(secrets["read"], "GET", "/identity").json()["key_id"]
    assert ask.with_key(secrets["read"], "GET", "/keys").status_code == 403
    assert f"scope.refused by={key_id} scope=admin" in caplog.text
    assert secrets["read"] not in caplog.text
