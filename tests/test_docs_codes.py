"""The problem codes, statuses and examples in the docs are those of the code."""

import ast
import json
import re
from functools import cache
from http import HTTPStatus
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.http import errors, provider_problems
from service.settings import ServiceSettings
from store.queue import LocalQueue
from store.store import Store
from tests.test_docs_limits import PAGES, text_of

ROOT = Path(__file__).parent.parent


@cache
def trees_of(folder: str) -> list[ast.Module]:
    return [ast.parse(path.read_text()) for path in (ROOT / folder).rglob("*.py")]


def calls_of(name: str) -> list[ast.Call]:
    """All calls of `name` in the service."""
    return [
        node
        for tree in trees_of("service")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    ]


def strings_in(folders: tuple[str, ...]) -> set[str]:
    """All string constants in the code of `folders`."""
    return {
        node.value
        for folder in folders
        for tree in trees_of(folder)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


@pytest.mark.parametrize("page", PAGES)
def test_each_code_that_is_named_is_in_the_code(page: str) -> None:
    known = strings_in(("service", "store", "workers", "nmtune", "providers", "outbound"))
    named = re.findall(r"\b[45]\d\d `([a-z]+(?:_[a-z]+)*)`", text_of(page))
    assert set(named) <= known


def status_in(node: ast.expr) -> int | None:
    """The status that is written as a number or as a name of `HTTPStatus`; None for a variable."""
    match node:
        case ast.Constant(value=int(status)):
            return status
        case ast.Attribute(value=ast.Name(id="HTTPStatus"), attr=name):
            return HTTPStatus[name].value
    return None


def test_each_code_is_named_with_its_status() -> None:
    statuses: dict[str, set[int]] = {}
    for call in calls_of("Problem"):
        match call.args[:2]:
            case [status, ast.Constant(value=str(code))]:
                written = status_in(status)
                told = range(400, 600) if written is None else [written]
                statuses.setdefault(code, set()).update(told)
    assert len(statuses) > 40
    for page in PAGES:
        for status, code in re.findall(r"\b([45]\d\d) `([a-z_]+)`", text_of(page)):
            assert int(status) in statuses.get(code, {int(status)}), (page, status, code)


def test_each_status_of_a_problem_is_in_the_table() -> None:
    table = (
        (ROOT / "docs/reference/api.md")
        .read_text()
        .partition("| status | when |")[2]
        .partition("\n\n")[0]
    )
    documented = {
        int(status)
        for row in re.findall(r"^\| ([\d, ]+) \|", table, re.M)
        for status in row.split(",")
    }
    written = {status_in(call.args[0]) for call in calls_of("Problem") if call.args} - {None}
    assert len(written) > 12
    of_classes = {*errors.STATUSES.values(), *provider_problems.STATUSES.values()}
    of_the_router = {404, 405}
    assert written | of_classes | of_the_router <= documented


def test_the_example_of_a_problem_is_one(tmp_path: Path) -> None:
    page = (ROOT / "docs/reference/api.md").read_text()
    example = re.search(r"```json\n(\{\n  \"type\".*?)```", page, re.DOTALL)
    assert example is not None
    said = json.loads(example[1])
    settings = ServiceSettings(data_dir=tmp_path)
    store = Store.open(settings)
    app = create_app(settings, store=store, queue=LocalQueue())
    body = {
        "name": "pets",
        "embeddings": [[1.0], [2.0]],
        "labels": ["a", "b"],
        "method": "nmtune",
        "config": {"w_covariance": -1},
    }
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        answer = client.post("/jobs", json=body)
    store.close()
    problem = answer.json()
    assert answer.status_code == said["status"]
    assert set(problem) == set(said)
    for name in ("type", "title", "status", "code", "detail", "count"):
        assert problem[name] == said[name], name
    (entry,) = problem["errors"]
    assert {**entry, "message": "…"} == said["errors"][0]
