"""The OpenAPI document is whole, explained, and its examples work."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from service.heads import schemas as schemas_heads
from service.http import openapi, validation
from service.jobs import schemas
from service.oip import schemas as schemas_oip
from service.operate import health
from service.predict import schemas as schemas_predictions
from store.store import Store
from tests.service.in_process import InProcess, example, publish

Operation = tuple[str, str, dict[str, Any]]


@pytest.fixture(scope="module")
def document(refusing: InProcess) -> dict[str, Any]:
    response = refusing.get("/openapi.json")
    assert response.status_code == 200
    document: dict[str, Any] = response.json()
    return document


def _operations(document: dict[str, Any]) -> Iterator[Operation]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            else:
                yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _patterns(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("pattern"), str):
            yield value["pattern"]
        for inner in value.values():
            yield from _patterns(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _patterns(inner)


def test_every_pattern_is_said_in_words_to_who_breaks_it(document: dict[str, Any]) -> None:
    patterns = set(_patterns(document))
    assert len(patterns) >= 4
    for pattern in patterns:
        error = {"type": "string_pattern_mismatch", "loc": ("query", "x"), "ctx": {}}
        error |= {"msg": f"String should match pattern '{pattern}'", "ctx": {"pattern": pattern}}
        (found,) = validation.field_errors([error])
        assert "pattern" not in found.message


def test_the_document_says_who_it_is(document: dict[str, Any]) -> None:
    assert document["info"]["title"] == "NMTune"
    assert document["info"]["version"].count(".") >= 2


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    references = set(_references(document))
    assert references <= known
    assert "#/components/schemas/Problem" in references
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_operation_ids_are_the_names_a_reader_expects(document: dict[str, Any]) -> None:
    ids = {operation["operationId"] for _, _, operation in _operations(document)}
    assert ids >= {
        "create_job", "list_jobs", "get_job", "cancel_job", "get_report", "list_job_events",
        "list_heads", "get_head", "get_head_version", "set_head_alias",
        "predict_one", "predict_many", "livez", "readyz",
        "create_dataset", "list_datasets", "get_dataset", "delete_dataset",
    }  # fmt: skip
    assert len(ids) == len(list(_operations(document)))


def test_every_operation_has_a_summary_and_its_problems(document: dict[str, Any]) -> None:
    for method, path, operation in _operations(document):
        where = f"{method} {path}"
        assert operation.get("description"), where
        statuses = set(operation["responses"])
        assert "500" in statuses, where
        if operation.get("parameters") or "requestBody" in operation:
            assert "422" in statuses, where
        if "requestBody" in operation:
            assert {"400", "408", "413", "415"} <= statuses, where
        if "{" in path:
            assert "404" in statuses, where
        is_oip = path == "/v2" or path.startswith("/v2/")
        media_type = "application/json" if is_oip else "application/problem+json"
        for status, response in operation["responses"].items():
            if status[0] in "45":
                assert list(response["content"]) == [media_type], where


def test_every_parameter_is_explained_and_has_an_example(document: dict[str, Any]) -> None:
    for method, path, operation in _operations(document):
        for parameter in operation.get("parameters", []):
            where = f"{method} {path} {parameter['name']}"
            described = parameter.get("description") or parameter["schema"].get("description")
            assert described, where
            assert {"example", "examples"} & (set(parameter) | set(parameter["schema"])), where


def test_every_json_body_has_an_example(document: dict[str, Any]) -> None:
    schemas_by_name = document["components"]["schemas"]
    for method, path, operation in _operations(document):
        content = operation.get("requestBody", {}).get("content", {})
        if "application/json" in content:
            body = content["application/json"]
            schema = body["schema"]
            for reference in [schema.get("$ref")] if "$ref" in schema else []:
                schema = schemas_by_name[reference.rpartition("/")[2]]
            assert schema.get("examples") or body.get("example") or body.get("examples"), (
                method,
                path,
            )


def _models() -> list[type[BaseModel]]:
    found = []
    for module in (schemas, schemas_heads, schemas_oip, schemas_predictions, openapi, health):
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, BaseModel):
                extra = value.model_config.get("json_schema_extra")
                if isinstance(extra, dict) and "examples" in extra:
                    found.append(value)
    return found


@pytest.mark.parametrize("model", _models(), ids=lambda model: model.__name__)
def test_every_example_fits_its_model(model: type[BaseModel]) -> None:
    shown = model.model_validate(example(model)).model_dump(mode="json", exclude_unset=True)
    assert set(shown) == set(example(model))


def test_the_examples_work_when_they_are_tried(
    client: InProcess, store: Store, trained: bytes
) -> None:
    assert client.post("/jobs", json=example(schemas.JobCreate)).status_code == 202
    for _ in range(3):
        publish(store, trained, alias="prod")
    assert (
        client.post("/predict", json=example(schemas_predictions.PredictRequest)).status_code == 200
    )
    assert client.get("/predict?head=pets@prod&embedding=0.9,0.1,0.2").status_code == 200
    asked = example(schemas_oip.InferBody)
    answer = client.post("/v2/models/pets/infer", json=asked).json()
    assert set(answer) == set(example(schemas_oip.InferAnswer))
    alias = example(schemas_heads.AliasUpdate)
    assert client.put("/heads/pets/aliases/prod", json=alias).status_code == 200


def test_the_documentation_page_needs_nothing_from_elsewhere(client: InProcess) -> None:
    response = client.get("/docs")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert "/openapi.json" in response.text
    assert not re.search(r"https?://", response.text)
    files = re.findall(r"(?:src|href)=\"(/docs/static/[^\"]+)\"", response.text)
    assert len(files) == 3
    assert all(client.get(file).status_code == 200 for file in files)
