"""A job whose head is published and whose report is not complete, as the API shows it."""

import json

from store import jobs, transitions
from store.store import Store
from tests.service.in_process import (
    InProcess,
    add_job,
    assert_problem,
    claim,
    publish_first,
    succeed,
)

HEAD = {"name": "pets", "version": 1}
SO_FAR = json.dumps(
    {
        "version": 2,
        "job_id": "job_1",
        "name": "pets",
        "method": "nmtune",
        "missing": ["comparison", "findings"],
        "verdict": {"summary": "This report is incomplete.", "sentences": []},
        "candidates": {"nmtune": {"metrics": {"test": {"n_rows": 8, "accuracy": 1.0}}}},
    }
).encode()
ROWS = [[0.5, 0.5, 0.5]]


def test_head_answers_while_its_job_runs(client: InProcess, store: Store, trained: bytes) -> None:
    job_id = add_job(store, alias="prod")
    assert client.get(f"/jobs/{job_id}").json()["report_status"] is None
    job = publish_first(store, claim(store, job_id), trained, report=SO_FAR)
    shown = client.get(f"/jobs/{job_id}").json()
    assert (shown["status"], shown["head"]) == ("running", HEAD)
    assert shown["report_status"] == "incomplete"
    for head in ("pets@1", "pets@prod"):
        answer = client.post("/predict", json={"head": head, "embeddings": ROWS})
        assert (answer.status_code, answer.json()["head"]["version"]) == (200, 1)
    report = client.get(f"/jobs/{job_id}/report").json()
    assert report["missing"] == ["comparison", "findings"]
    assert "This report is incomplete." in client.get(f"/ui/jobs/{job_id}/report").text
    publishing = client.post(f"/jobs/{job_id}/publish", json={"candidate": "mlp"})
    assert_problem(publishing, 409, "candidates_not_ready")

    succeed(store, job, trained, report=SO_FAR.replace(b"findings", b"nothing"))
    shown = client.get(f"/jobs/{job_id}").json()
    assert (shown["status"], shown["report_status"]) == ("succeeded", "complete")
    assert client.get("/heads/pets").json()["latest_version"] == 1


def test_job_that_fails_after_its_head_does_not_pass_for_complete(
    client: InProcess, store: Store, trained: bytes
) -> None:
    job = publish_first(store, claim(store, add_job(store)), trained, report=SO_FAR)
    with store.database.begin() as tx:
        transitions.fail(tx, job, error={"code": "internal", "message": "It stopped."})
    shown = client.get(f"/jobs/{job.id}").json()
    assert (shown["status"], shown["head"]) == ("failed", HEAD)
    assert shown["report_status"] == "incomplete"
    assert shown["error"]["message"].startswith("It stopped. Its head pets@1 was published before")
    assert client.get(f"/jobs/{job.id}/report").json()["missing"] == ["comparison", "findings"]
    page = client.get(f"/ui/jobs/{job.id}").text
    assert "is published and stays" in page


def test_job_that_is_cancelled_after_its_head_keeps_it(
    client: InProcess, store: Store, trained: bytes
) -> None:
    job = publish_first(store, claim(store, add_job(store)), trained, report=SO_FAR)
    client.post(f"/jobs/{job.id}/cancel")
    with store.database.begin() as tx:
        transitions.cancel(tx, job)
    shown = client.get(f"/jobs/{job.id}").json()
    assert (shown["status"], shown["head"], shown["report_status"]) == (
        "cancelled",
        HEAD,
        "incomplete",
    )
    answer = client.post("/predict", json={"head": "pets", "embeddings": ROWS})
    assert answer.status_code == 200


def test_comparison_can_be_left_out(client: InProcess, store: Store) -> None:
    body = {
        "name": "pets",
        "embeddings": [[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8]],
        "labels": ["cat", "cat", "dog", "dog"],
        "splits": ["train"] * 4,
    }
    planned = client.post("/jobs?plan=true", json={**body, "compare": False}).json()
    names = [one["name"] for one in planned["candidates"]]
    assert not {"mlp", "nmtune"} & set(names)
    job = client.post("/jobs", json={**body, "compare": False}).json()
    assert job["config"]["compare"] is False
    assert list(job["config"]["configs"]) == names
    with store.database.read() as tx:
        assert jobs.get(tx, "default", job["id"]).config["compare"] is False
    assert "compare=false" in client.get(f"/ui/jobs/{job['id']}").text, "run again with the same"

    refused = client.post("/jobs", json={**body, "compare": False, "config": {"epochs": 3}})
    assert_problem(refused, 422, "invalid_config", "config.epochs")
