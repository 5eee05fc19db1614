"""Rates: every route counts against a class, and a refusal says what to do and costs nothing."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from pydantic import ValidationError
from sqlalchemy import event

from service.app import create_app
from service.limits.classes import RequestClass, class_of
from service.settings import USUAL_RATES, ServiceSettings
from store.access import sessions, tenants
from store.queue import LocalQueue
from store.store import Store
from tests.service.access.asking import Asking
from tests.service.in_process import InProcess, assert_problem
from tests.service.limits.conftest import ROW, Clock, Limited
from tests.store.access.access_calls import make_key

INFER = {
    "inputs": [
        {
            "name": "embeddings",
            "datatype": "FP32",
            "shape": [2, 3],
            "data": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
        }
    ]
}
RATES = {
    "predict_rows_per_second": 4.0,
    "reads_per_second": 3.0,
    "writes_per_second": 2.0,
    "uploads_per_second": 1.0,
}
OPEN = {"GET /livez", "GET /readyz", "GET /v2/health/live", "GET /v2/health/ready"}
PREDICTS = {
    "GET /predict",
    "POST /predict",
    "POST /v2/models/{name}/infer",
    "POST /v2/models/{name}/versions/{version}/infer",
}
UPLOADS = {
    "POST /datasets",
    "POST /datasets/{dataset_id}/rows",
    "POST /uploads",
    "PATCH /uploads/{upload_id}",
}


class Vouching:
    """A provider that vouches for everybody."""

    def vouches_for(self, subject: str) -> bool:
        return bool(subject)


def operations(app: FastAPI) -> set[tuple[str, str]]:
    return {
        (method.upper(), path)
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }


def test_every_route_has_its_class(app: FastAPI) -> None:
    found: dict[RequestClass | None, set[str]] = {}
    for method, path in operations(app):
        one = class_of(method, re.sub(r"\{\w+\}", "x", path))
        found.setdefault(one, set()).add(f"{method} {path}")
    assert found.pop(None) == OPEN
    assert found.pop(RequestClass.PREDICT) == PREDICTS
    assert found.pop(RequestClass.UPLOAD) == UPLOADS
    assert all(name.startswith(("GET", "HEAD", "OPTIONS")) for name in found[RequestClass.READ])
    assert not any(name.startswith("GET") for name in found[RequestClass.WRITE])
    assert len(found[RequestClass.READ]) > 30
    assert len(found[RequestClass.WRITE]) > 20


def test_every_route_is_refused_once_its_bucket_is_empty(
    app: FastAPI, limited: Limited, key: str, clock: Clock
) -> None:
    """Found by walking the OpenAPI document: a new route is asked too."""
    ask = limited(**RATES, burst_seconds=1.0)
    assert clock
    for method, path in sorted(operations(app)):
        name = f"{method} {path}"
        address = re.sub(r"\{\w+\}", "x", path)
        answers = [
            ask.with_key(key, method, address, headers={"Tus-Resumable": "1.0.0"}, json={})
            for _ in range(5)
        ]
        statuses = [answer.status_code for answer in answers]
        if name in OPEN:
            assert 429 not in statuses, name
            continue
        assert statuses[-1] == 429, (name, statuses)
        if not path.startswith("/v2") and method != "HEAD":
            body = assert_problem(answers[-1], 429, "rate_limited")
            assert body["limit"] == class_of(method, address)
        clock.pass_seconds(60)


PREDICTIONS: dict[str, tuple[int, Callable[[Asking, str], Any]]] = {
    "JSON": (1, lambda ask, key: ask.with_key(key, "POST", "/predict", json=ROW)),
    "bytes": (
        2,
        lambda ask, key: ask.with_key(
            key,
            "POST",
            "/predict?head=pets@prod&shape=2,3",
            content=np.ones((2, 3), "<f4").tobytes(),
            headers={"Content-Type": "application/octet-stream"},
        ),
    ),
    "GET": (
        1,
        lambda ask, key: ask.with_key(key, "GET", "/predict?head=pets&embedding=0.1,0.2,0.3"),
    ),
    "/v2": (2, lambda ask, key: ask.with_key(key, "POST", "/v2/models/pets/infer", json=INFER)),
    "/v2, a version": (
        2,
        lambda ask, key: ask.with_key(key, "POST", "/v2/models/pets/versions/1/infer", json=INFER),
    ),
}


@pytest.mark.parametrize("form", PREDICTIONS)
def test_predictions_are_counted_in_rows(
    limited: Limited, key: str, head: str, clock: Clock, form: str
) -> None:
    assert head
    n_rows, asked = PREDICTIONS[form]
    ask = limited(predict_rows_per_second=2.0, burst_seconds=4.0)
    for taken in range(n_rows, 9, n_rows):
        answer = asked(ask, key)
        assert answer.status_code == 200, answer.text
        assert answer.headers["ratelimit-policy"] == '"predict";q=8;qu="rows";w=4'
        left = re.fullmatch(r'"predict";r=(\d+);t=(\d+)', answer.headers["ratelimit"])
        assert left is not None
        assert int(left[1]) == 8 - taken
    refused = asked(ask, key)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 2
    assert refused.headers["ratelimit"].startswith('"predict";r=0;t=')
    if form == "JSON":
        body = assert_problem(refused, 429, "rate_limited")
        assert (body["limit"], body["allowed"], body["unit"]) == ("predict", 2.0, "rows")
        assert "operator" in body["detail"]
    clock.pass_seconds(int(refused.headers["retry-after"]))
    assert asked(ask, key).status_code == 200


def test_a_request_larger_than_the_burst_is_let_through_and_paid_for(
    limited: Limited, key: str, head: str, clock: Clock
) -> None:
    assert head
    ask = limited(predict_rows_per_second=2.0, burst_seconds=1.0)
    many = {**ROW, "embeddings": [[0.1, 0.2, 0.3]] * 20}
    assert ask.with_key(key, "POST", "/predict", json=many).status_code == 200
    refused = ask.with_key(key, "POST", "/predict", json=ROW)
    assert refused.headers["retry-after"] == "10"
    clock.pass_seconds(10)
    assert ask.with_key(key, "POST", "/predict", json=ROW).status_code == 200


def test_another_key_and_another_tenant_have_buckets_of_their_own(
    limited: Limited, key: str, head: str, store: Store, clock: Clock
) -> None:
    assert head
    assert clock
    with store.database.begin() as tx:
        tenants.create(tx, "lab")
    ask = limited(reads_per_second=1.0, burst_seconds=1.0)
    assert ask.with_key(key, "GET", "/jobs").status_code == 200
    assert ask.with_key(key, "GET", "/jobs").status_code == 429
    for other in (make_key(store).secret, make_key(store, "lab").secret):
        assert ask.with_key(other, "GET", "/jobs").status_code == 200


def test_a_login_counts_as_a_write(limited: Limited, key: str, clock: Clock) -> None:
    ask = limited(writes_per_second=1.0, burst_seconds=2.0)
    answers = [ask.post("/session", json={"key": key}).status_code for _ in range(3)]
    assert answers == [204, 204, 429]
    clock.pass_seconds(1)
    assert ask.post("/session", json={"key": key}).status_code == 204


def test_each_member_has_a_bucket_of_their_own(
    limited: Limited, store: Store, clock: Clock
) -> None:
    assert clock
    ask = limited(reads_per_second=1.0, burst_seconds=1.0)
    with store.database.begin() as tx:
        tokens = [
            sessions.create(tx, "default", key=None, scopes=("read",), subject=f"{name} at here")
            for name in ("ann", "bob")
        ]
    ask.app.state.access.openid = Vouching()
    for token in tokens:
        answers = [ask.with_cookie(token, "GET", "/jobs").status_code for _ in range(2)]
        assert answers == [200, 429]


def test_a_refused_prediction_reads_no_body_asks_no_database_and_loads_no_head(
    limited: Limited, key: str, head: str, store: Store, clock: Clock
) -> None:
    """So a key at its limit takes nothing that another one would miss."""
    assert head
    assert clock
    ask = limited(predict_rows_per_second=1.0, burst_seconds=1.0)
    assert ask.with_key(key, "POST", "/predict", json=ROW).status_code == 200
    predictor = ask.app.state.services.predictor
    asked: list[str] = []

    def note(*arguments: Any) -> None:
        asked.append(arguments[2])

    engines = (store.database._reading, store.database._writing)
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    n_read = 0

    async def body() -> Any:
        nonlocal n_read
        n_read += 1
        yield b"{}"

    predictor.answer = None  # whoever called it would fail
    for _ in range(20):
        assert ask.with_key(key, "POST", "/predict", content=body()).status_code == 429
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)
    assert (asked, n_read) == ([], 0)
    assert ask.app.state.services.bodies.n_bytes == 0


def test_without_keys_nobody_is_slowed_down(client: InProcess, settings: ServiceSettings) -> None:
    assert not settings.keys_on
    assert {getattr(settings.limits, name) for name in vars(settings.limits)} == {None}
    for _ in range(300):
        assert "ratelimit" not in client.get("/livez").headers
    assert "ratelimit" not in client.get("/jobs").headers


def test_with_keys_there_are_usual_rates(settings: ServiceSettings) -> None:
    with_keys = settings.model_copy(update={"auth": "on"})
    assert with_keys.limits == USUAL_RATES
    chosen = with_keys.model_copy(update={"limit_reads_per_second": "none"})
    assert chosen.limits.reads_per_second is None
    without = settings.model_copy(update={"limit_reads_per_second": 5.0})
    assert without.limits.reads_per_second == 5.0


def test_without_keys_a_limit_that_is_set_holds_for_everybody(
    settings: ServiceSettings, store: Store, clock: Clock
) -> None:
    assert clock
    chosen = settings.model_copy(
        update={"limit_writes_per_second": 1.0, "limit_burst_seconds": 1.0}
    )
    ask = InProcess(create_app(chosen, store=store, queue=LocalQueue()))
    assert ask.post("/jobs", json={}).status_code == 422
    assert_problem(ask.post("/jobs", json={}), 429, "rate_limited")


WRONG_SETTINGS = {
    "LIMIT_READS_PER_SECOND": ("0", "-1", "nan", "inf", "many"),
    "LIMIT_STORED_BYTES": ("-1", "much"),
    "LIMIT_UNFINISHED_JOBS": ("-1", "1.5"),
    "LIMIT_PREDICTED_ROWS_PER_MONTH": ("-1", "1e99"),
    "LIMIT_BURST_SECONDS": ("0", "nan"),
}


@pytest.mark.parametrize("name", WRONG_SETTINGS)
def test_wrong_settings_stop_the_start(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in WRONG_SETTINGS[name]:
        monkeypatch.setenv(f"NMTUNE_{name}", value)
        with pytest.raises(ValidationError):
            ServiceSettings()
