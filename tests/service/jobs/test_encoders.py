"""POST /jobs with encoders to compare: what is planned, stored and refused."""

from typing import Any

import pytest

from service.jobs.plan import Plan
from store.store import Store
from tests.service.in_process import InProcess, RecordingQueue, add_dataset, assert_problem

MINILM: dict[str, Any] = {"name": "local-minilm"}
NARROW = MINILM | {"truncate_dim": 128}


def body(*encoders: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "name": "mood",
        "texts": [f"sentence number {number % 150}" for number in range(200)],
        "labels": ["good", "bad"] * 100,
        "encoders": list(encoders) or [MINILM, NARROW],
    } | changes


def test_a_comparison_is_planned_with_the_cost_of_each(client: InProcess) -> None:
    response = client.post(
        "/jobs?plan=true", json=body(MINILM, NARROW, MINILM | {"truncate_dim": 64})
    )
    assert response.status_code == 200, response.text
    plan = Plan.model_validate(response.json())
    assert plan.embedding is None
    assert plan.n_columns == 384, "the widest"
    assert plan.encoders is not None
    whole, narrow, narrower = plan.encoders.compared
    assert [one.name for one in plan.encoders.compared] == [
        "local-minilm",
        "local-minilm[:128]",
        "local-minilm[:64]",
    ]
    assert [one.n_columns for one in plan.encoders.compared] == [384, 128, 64]
    assert (whole.embedded_with, narrow.embedded_with) == (None, "local-minilm")
    assert narrower.embedding is None
    assert whole.embedding is not None
    assert whole.embedding.n_requests == 20 + 3, "20 texts one by one, then 130 in requests of 64"
    assert plan.encoders.n_tokens == plan.encoders.n_tokens_at_most == whole.embedding.n_tokens
    assert plan.encoders.cost == 0.0, "nobody sends a bill for what runs in the worker"


def test_encoders_embedded_together_have_one_price(client: InProcess) -> None:
    """A truncated encoder's vectors are those of the whole one, so that no price is lost."""
    dear = NARROW | {"price_per_million_tokens": 2.0}
    planned = client.post("/jobs?plan=true", json=body(MINILM, dear)).json()["encoders"]
    assert planned["cost"] == round(planned["n_tokens"] * 2e-6, 6) > 0
    refused = client.post("/jobs", json=body(MINILM | {"price_per_million_tokens": 1.0}, dear))
    problem = assert_problem(refused, 422, "invalid_request", "encoders.price_per_million_tokens")
    assert problem["errors"][0]["row"] == 1
    assert "state 1 for it" in problem["detail"]


def test_a_sample_is_planned_with_the_rest_of_whichever_is_chosen(client: InProcess) -> None:
    full = client.post("/jobs?plan=true", json=body()).json()["encoders"]
    planned = client.post("/jobs?plan=true", json=body(sample=50)).json()["encoders"]
    whole = planned["compared"][0]
    assert whole["embedding"]["n_texts"] == 50
    assert whole["embedding"]["n_different"] + whole["rest"]["n_different"] == 150
    assert planned["n_tokens"] == whole["embedding"]["n_tokens"] < full["n_tokens"]
    assert planned["n_tokens_at_most"] == full["n_tokens"]


def test_a_comparison_is_stored_once(client: InProcess, queue: RecordingQueue) -> None:
    headers = {"Idempotency-Key": "once"}
    answers = [client.post("/jobs", json=body(), headers=headers) for _ in range(2)]
    assert [one.status_code for one in answers] == [202, 202], answers[0].text
    job = answers[0].json()
    assert answers[1].json() == job
    assert queue.rung_for == [job["id"]]
    assert job["encoder"] is None
    assert job["encoders"]["chosen"] is None
    narrow = job["encoders"]["compared"][1]
    assert (narrow["name"], narrow["encoder"]["truncate_dim"]) == ("local-minilm[:128]", 128)


SPLITS = [
    {"name": "train", "n_rows": 8, "class_counts": [4, 4]},
    {"name": "test", "n_rows": 2, "class_counts": [1, 1]},
]


def test_embeddings_of_ones_own_are_compared_by_their_datasets(
    client: InProcess, store: Store
) -> None:
    ids = [add_dataset(store, name=name, splits=SPLITS) for name in ("small", "large")]
    encoders = [{"dataset_id": one} for one in ids]
    asked = {"name": "pets", "encoders": encoders}
    plan = client.post("/jobs?plan=true", json=asked)
    assert plan.status_code == 200, plan.text
    assert plan.json()["encoders"]["cost"] == 0
    job = client.post("/jobs", json=asked).json()
    assert job["dataset_id"] == ids[0]
    assert [one["name"] for one in job["encoders"]["compared"]] == ["small", "large"]

    other = add_dataset(store, name="other", splits=SPLITS[:1])
    refused = client.post("/jobs", json=asked | {"encoders": [*encoders, {"dataset_id": other}]})
    problem = assert_problem(refused, 422, "invalid_request", "encoders.dataset_id")
    assert "not the same rows" in problem["detail"]
    assert problem["errors"][0]["row"] == 2
    gone = asked | {"encoders": [encoders[0], {"dataset_id": "ds_00000000000000000000000000"}]}
    assert_problem(client.post("/jobs", json=gone), 404, "not_found", "encoders.dataset_id")

    texts = client.post("/datasets", json={"name": "t", "texts": ["a", "b"], "labels": ["x", "y"]})
    for place in (0, 1):  # whichever place it has
        for bad, status in (("ds_00000000000000000000000000", 404), (texts.json()["id"], 422)):
            mixed = [dict(one) for one in encoders]
            mixed[place]["dataset_id"] = bad
            refused = client.post("/jobs", json=asked | {"encoders": mixed})
            code = "not_found" if status == 404 else "invalid_request"
            problem = assert_problem(refused, status, code, "encoders.dataset_id")
            assert problem["errors"][0]["row"] == place, problem


@pytest.mark.parametrize(
    ("changes", "field", "row", "said"),
    [
        ({"encoders": [MINILM]}, "encoders", None, "2 to 8 encoders, this one has 1"),
        (
            {"encoders": [MINILM | {"truncate_dim": width} for width in range(1, 10)]},
            "encoders",
            None,
            "this one has 9",
        ),
        ({"encoders": [MINILM, NARROW, MINILM]}, "encoders", 2, "the same as encoders[0]"),
        ({"encoders": [MINILM, {"name": "nobody"}]}, "encoders.name", 1, "no provider 'nobody'"),
        ({"encoders": [MINILM, {}]}, "encoders.name", 1, "needs name"),
        ({"encoders": [MINILM, {"name": "openai"}]}, "encoders.model", 1, "model is required"),
        (
            {"encoders": [MINILM, MINILM | {"truncate_dim": 384}]},
            "encoders.truncate_dim",
            1,
            "less than the width of the model's vectors, which is 384",
        ),
        ({"encoders": [MINILM, NARROW | {"truncate_dim": 0}]}, "encoders.truncate_dim", 1, "1"),
        (
            {"encoders": [MINILM, {"dataset_id": "ds_x"}]},
            "encoders.dataset_id",
            1,
            "Either all encoders are providers",
        ),
        (
            {"encoders": [MINILM, {"dataset_id": "ds_x", "model": "m"}]},
            "encoders.model",
            1,
            "leave out model",
        ),
        (
            {"encoders": [{"dataset_id": "a"}, {"dataset_id": "b"}]},
            "texts",
            None,
            "leave out texts",
        ),
        ({"provider": MINILM}, "provider", None, "not both"),
        ({"method": "nmtune"}, "method", None, "leave out method"),
        ({"sample": 49}, "sample", None, "50"),
        ({"encoders": None, "provider": MINILM, "sample": 50}, "sample", None, "leave it out"),
        (
            {"texts": None, "labels": None, "dataset_id": "EMBEDDINGS"},
            "encoders",
            None,
            "already embeddings",
        ),
    ],
)
@pytest.mark.parametrize("path", ["/jobs", "/jobs?plan=true"])
def test_what_does_not_go_together_is_refused(
    client: InProcess,
    store: Store,
    path: str,
    changes: dict[str, Any],
    field: str,
    row: int | None,
    said: str,
) -> None:
    sent = body(**changes)
    if sent.get("dataset_id") == "EMBEDDINGS":
        sent["dataset_id"] = add_dataset(store)
    response = client.post(path, json=sent)
    code = "invalid_provider" if "provider" in response.json()["code"] else "invalid_request"
    problem = assert_problem(response, 422, code, field)
    assert said in problem["detail"]
    assert problem["errors"][0].get("row") == row


def test_a_key_that_is_missing_is_said_before_anything_is_paid(client: InProcess) -> None:
    openai = {"name": "openai", "model": "text-embedding-3-small"}
    refused = client.post("/jobs", json=body(MINILM, openai))
    problem = assert_problem(refused, 422, "provider_key_missing", "encoders")
    assert problem["errors"][0]["row"] == 1
