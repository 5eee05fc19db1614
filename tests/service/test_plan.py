"""POST /jobs?plan=true says what the job would do, and stores nothing."""

from typing import Any

import numpy as np
import pytest

from service.schemas.plan import Plan
from store.store import Store
from tests.service.support import (
    InProcess,
    RecordingQueue,
    add_dataset,
    add_job,
    assert_problem,
    claim,
    example,
    succeed,
)


def rows_body(**changes: Any) -> dict[str, Any]:
    x = np.random.default_rng(0).standard_normal((20, 3)).tolist()
    return {"name": "pets", "embeddings": x, "labels": ["cat", "dog"] * 10} | changes


def test_a_plan_of_rows_stores_nothing(
    client: InProcess, store: Store, queue: RecordingQueue
) -> None:
    response = client.post("/jobs?plan=true", json=rows_body())
    assert response.status_code == 200, response.text
    plan = Plan.model_validate(response.json())
    assert [(split.name, split.n_rows) for split in plan.splits] == [("train", 16), ("test", 4)]
    assert [one.name for one in plan.candidates] == [
        "linear_probe",
        "robust_probe",
        "whitened_probe",
        "mlp_ensemble",
        "mlp",
        "nmtune",
    ]
    assert plan.candidates[0].n_steps is None
    assert plan.candidates[-1].n_steps == 30
    assert plan.memory_bytes > 100 << 20
    assert plan.seconds is None
    assert plan.warnings[0].code == "split_made"
    assert queue.rung_for == []
    assert client.get("/jobs").json()["items"] == client.get("/datasets").json()["items"] == []
    assert list(store.artifacts.stored()) == []


def test_a_plan_knows_the_pace_of_earlier_jobs(
    client: InProcess, store: Store, trained: bytes
) -> None:
    dataset_id = add_dataset(store)
    body = {"name": "pets", "dataset_id": dataset_id, "method": "linear_probe"}
    job_id = client.post("/jobs", json=body).json()["id"]
    assert client.post("/jobs?plan=true", json=body).json()["seconds"] is None
    succeed(store, claim(store, job_id), trained)
    plan = client.post("/jobs?plan=true", json=body).json()
    assert plan["n_jobs_measured"] == 1
    assert 0 <= plan["seconds"] < 60
    assert len(client.get("/jobs").json()["items"]) == 1


def test_a_job_of_another_version_does_not_count(
    client: InProcess, store: Store, trained: bytes
) -> None:
    succeed(store, claim(store, add_job(store)), trained)
    body = {"name": "pets", "dataset_id": add_dataset(store), "method": "nmtune"}
    assert client.post("/jobs?plan=true", json=body).json()["n_jobs_measured"] == 0


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (rows_body(config={"epochs": 0}), 422, "invalid_config"),
        (rows_body(labels=None), 422, "invalid_request"),
        (rows_body(splits=["train"] * 19 + ["x"]), 422, "invalid_split"),
        ({"name": "a", "dataset_id": "ds_00000000000000000000000000"}, 404, "not_found"),
    ],
)
def test_a_plan_is_refused_as_the_job_would_be(
    client: InProcess, body: dict[str, Any], status: int, code: str
) -> None:
    assert_problem(client.post("/jobs?plan=true", json=body), status, code)


def test_the_example_is_one() -> None:
    Plan.model_validate(example(Plan))
