"""POST /jobs?plan=true says what the job would do, and stores nothing."""

import hashlib
from typing import Any

import numpy as np
import pytest

from providers import catalogue
from providers.encoder import fingerprint
from service.jobs.plan import Plan
from store.embedding import encoders, text_vectors
from store.store import Store
from tests.service.in_process import (
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
        "trimmed_probe",
        "whitened_probe",
        "mlp_ensemble",
        "mlp",
        "nmtune",
    ]
    assert plan.candidates[0].n_steps is None
    assert plan.candidates[-1].n_steps == 60
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


def test_what_auto_trains_takes_twice_as_long_on_rows_twice_as_wide(
    client: InProcess, store: Store, trained: bytes
) -> None:
    body = {"name": "pets", "dataset_id": add_dataset(store), "method": "auto"}
    job_id = client.post("/jobs", json=body).json()["id"]
    succeed(store, claim(store, job_id), trained)
    seconds = []
    for width in (2000, 4000):
        x = np.random.default_rng(0).integers(-9, 9, (20, width)).tolist()
        plan = client.post("/jobs?plan=true", json=rows_body(embeddings=x)).json()
        assert plan["n_jobs_measured"] == 1
        seconds.append(plan["seconds"])
    assert seconds[1] / seconds[0] == pytest.approx(2, rel=0.1)


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


def texts_body(**changes: Any) -> dict[str, Any]:
    return {
        "name": "mood",
        "texts": [f"sentence number {number % 150}" for number in range(200)],
        "labels": ["good", "bad"] * 100,
        "provider": {"name": "local-minilm"},
    } | changes


def test_a_plan_of_texts_says_what_embedding_them_takes(client: InProcess, store: Store) -> None:
    provider = {"name": "local-minilm", "price_per_million_tokens": 2.0}
    response = client.post("/jobs?plan=true", json=texts_body(provider=provider))
    assert response.status_code == 200, response.text
    planned = Plan.model_validate(response.json()).embedding
    assert planned is not None
    assert (planned.n_texts, planned.n_different, planned.n_known) == (200, 150, 0)
    assert planned.n_requests == 3, "64 a request"
    assert 150 * 5 < planned.n_tokens < 150 * 10
    assert planned.cost == pytest.approx(2e-6 * planned.n_tokens, abs=1e-6)

    job = client.post("/jobs", json=texts_body(provider=provider)).json()
    assert job["encoder"]["price_per_million_tokens"] == 2.0
    stored = {"name": "mood", "dataset_id": job["dataset_id"], "provider": {"name": "local-minilm"}}
    again = Plan.model_validate(client.post("/jobs?plan=true", json=stored).json()).embedding
    assert again == planned.model_copy(update={"cost": None})


def test_texts_that_are_known_cost_nothing_in_a_plan(client: InProcess, store: Store) -> None:
    encoder = catalogue.resolve("local-minilm")
    known = [f"sentence number {number}" for number in range(75)]
    vectors = {hashlib.sha256(text.encode()).hexdigest(): bytes(1536) for text in known}
    with store.database.begin() as tx:
        record = encoders.add(
            tx,
            "default",
            fingerprint=fingerprint(encoder.identity, []),
            identity=encoder.identity,
            encoder=encoder.to_dict(),
            signature=[],
            n_columns=384,
        )
        text_vectors.keep(tx, "default", record.fingerprint, vectors)
    first = Plan.model_validate(client.post("/jobs?plan=true", json=texts_body()).json()).embedding
    assert first is not None
    assert (first.n_different, first.n_known, first.n_requests) == (150, 75, 2)
    assert first.cost is None


def test_a_plan_of_embeddings_embeds_nothing(client: InProcess) -> None:
    assert client.post("/jobs?plan=true", json=rows_body()).json()["embedding"] is None


def test_a_price_below_zero_is_refused(client: InProcess) -> None:
    provider = {"name": "local-minilm", "price_per_million_tokens": -1}
    response = client.post("/jobs?plan=true", json=texts_body(provider=provider))
    assert_problem(response, 422, "invalid_request", "provider.price_per_million_tokens")
