"""POST /jobs with paradigm lora: what is recorded, planned and refused."""

from typing import Any

import pytest

from store import jobs
from store.store import Store
from tests.service.in_process import InProcess, assert_problem

BODY: dict[str, Any] = {
    "name": "pets",
    "texts": ["a cat", "a dog", "cats", "dogs", "the cat", "the dog"],
    "labels": ["cat", "dog"] * 3,
    "splits": ["train"] * 4 + ["validation", "test"],
    "provider": {"name": "local-minilm"},
    "paradigm": "lora",
    "config": {"rank": 4, "batch_size": 2, "k": 2, "epochs": 3, "seed": 5},
}


pytest.importorskip("tokenizers")


def test_it_is_recorded_with_every_setting(client: InProcess, store: Store) -> None:
    response = client.post("/jobs", json=BODY)
    assert response.status_code == 202, response.text
    assert (response.json()["paradigm"], response.json()["method"]) == ("lora", "auto")
    with store.database.read() as tx:
        config = jobs.get(tx, "default", response.json()["id"]).config
    assert list(config["lora"]["configs"]) == ["lora", "lora_nmtune"]
    assert config["lora"]["configs"]["lora"]["rank"] == 4
    assert {one["seed"] for one in config["configs"].values()} == {5}
    frozen = client.post("/jobs", json={**BODY, "paradigm": "black_box", "config": {}})
    assert frozen.json()["paradigm"] == "black_box"


def test_the_plan_says_steps_and_memory(client: InProcess) -> None:
    body = {**BODY, "analyses": ["full_finetuning"]}
    plan = client.post("/jobs?plan=true", json=body).json()
    steps = {one["name"]: one["n_steps"] for one in plan["candidates"]}
    assert steps["lora"] == steps["lora_nmtune"] == steps["full_finetuning"] == 6
    assert "whitened_probe" in steps
    assert "nmtune" not in steps
    lighter = client.post("/jobs?plan=true", json=BODY).json()["memory_bytes"]
    assert 2**29 < lighter < plan["memory_bytes"] < 2**33
    assert (plan["seconds"], plan["n_jobs_measured"]) == (None, 0)
    assert plan["embedding"]["n_texts"] == 6


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"provider": {"name": "openai", "model": "m"}}, "encoder_closed", "provider.name"),
        ({"provider": None}, "provider_required", "provider"),
        ({"method": "nmtune"}, "invalid_request", "method"),
        ({"config": {"rank": 0}}, "invalid_config", "config.rank"),
        ({"config": {"l2": 1.0}}, "invalid_config", "config.l2"),
        ({"config": {"preset": "paper"}}, "invalid_config", "config.preset"),
        ({"analyses": ["ablation"]}, "invalid_request", "analyses"),
        (
            {"paradigm": "black_box", "config": {}, "analyses": ["full_finetuning"]},
            "invalid_request",
            "analyses",
        ),
    ],
)
@pytest.mark.parametrize("path", ["/jobs", "/jobs?plan=true"])
def test_what_cannot_be_is_named(
    client: InProcess, path: str, change: dict[str, Any], code: str, field: str
) -> None:
    assert_problem(client.post(path, json={**BODY, **change}), 422, code, field)


@pytest.mark.parametrize("path", ["/jobs", "/jobs?plan=true"])
def test_rows_that_are_embeddings_have_no_encoder_to_adapt(client: InProcess, path: str) -> None:
    rows = {"embeddings": [[float(row), 1.0] for row in range(6)], "labels": BODY["labels"]}
    stored = client.post("/datasets", json=rows).json()["id"]
    asked = {name: BODY[name] for name in ("name", "provider", "paradigm")}
    for more in (rows, {"dataset_id": stored}):
        answer = client.post(path, json=asked | more)
        assert_problem(answer, 422, "texts_required", "paradigm")
