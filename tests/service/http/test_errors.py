"""Every error has one status, one code and one problem body."""

import inspect
import logging

import pytest
from fastapi import FastAPI

from nmtune import errors as nmtune_errors
from service.http.errors import STATUSES, Problem, problem_of
from service.http.validation import FieldError
from store import errors as store_errors
from tests.service.in_process import InProcess, assert_problem

# What no request should ever meet: were one of them raised while serving, it is a bug (500).
_NEVER_OVER_HTTP = {
    nmtune_errors.NMTuneError,
    store_errors.StoreError,
    store_errors.LeaseLost,
    store_errors.TenantNotNamed,
    nmtune_errors.CheckpointError,
    nmtune_errors.DivergenceError,
}


def _classes(module: object, base: type) -> list[type]:
    return [cls for _, cls in inspect.getmembers(module, inspect.isclass) if issubclass(cls, base)]


@pytest.mark.parametrize(
    "cls",
    [
        *_classes(nmtune_errors, nmtune_errors.NMTuneError),
        *_classes(store_errors, store_errors.StoreError),
    ],
)
def test_every_error_of_the_stones_has_a_status_or_is_known_to_need_none(cls: type) -> None:
    covered = any(base in STATUSES for base in cls.__mro__)
    assert covered != (cls in _NEVER_OVER_HTTP)


def test_an_unknown_path_is_a_problem(refusing: InProcess) -> None:
    assert_problem(refusing.get("/nothing"), 404, "not_found")


def test_a_trailing_slash_is_an_unknown_path_not_a_redirect(refusing: InProcess) -> None:
    assert_problem(refusing.get("/jobs/"), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/jobs", "GET, HEAD, POST"),
        ("PUT", "/jobs/job_1", "GET, HEAD"),
        ("GET", "/jobs/job_1/cancel", "POST"),
        ("POST", "/heads/pets/aliases/prod", "DELETE, PUT"),
        ("PATCH", "/predict", "GET, HEAD, POST"),
        ("POST", "/livez", "GET, HEAD"),
    ],
)
def test_a_wrong_method_names_all_methods_of_the_path(
    refusing: InProcess, method: str, path: str, allow: str
) -> None:
    response = refusing(method, path)
    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == allow


def test_a_bug_tells_the_user_nothing_but_the_request_id(
    app: FastAPI, client: InProcess, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("the secret is 42")

    response = client.get("/broken")
    body = assert_problem(response, 500, "internal")
    assert "secret" not in response.text
    crashed = next(r for r in caplog.records if r.message.startswith("request.crashed"))
    assert crashed.levelno == logging.ERROR
    assert body["request_id"] in crashed.message
    assert "the secret is 42" in str(crashed.exc_info)


def test_at_most_twenty_wrong_things_are_listed_and_all_are_counted() -> None:
    problem = Problem(
        422, "many", "Many.", errors=[FieldError(field="x", message="no", row=i) for i in range(50)]
    )
    body = problem.response().body
    assert body.count(b'"field"') == 20
    assert b'"count":50' in body


def test_a_field_name_that_a_user_made_up_is_cut_and_cleaned(client: InProcess) -> None:
    made_up = "a\nb" + "c" * 5000
    body = assert_problem(
        client.post("/jobs", json={"name": "pets", made_up: 1}), 422, "invalid_request"
    )
    assert body["errors"][0]["field"].startswith("a?bccc")
    assert len(body["errors"][0]["field"]) < 100


def test_what_storage_says_of_its_troubles_stays_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    problem = problem_of(store_errors.StorageUnavailable("cannot write /secret/path"))
    assert problem is not None
    assert problem.status_code == 503
    assert problem.headers == {"Retry-After": "2"}
    assert "/secret/path" not in str(problem.detail)
    assert "/secret/path" in caplog.text
