"""The jobs resource: submitted, refused, listed, shown and cancelled."""

import base64
import json
from typing import Any

import numpy as np
import pytest

from service.app import create_app
from service.jobs.schemas import JobCreate
from service.settings import ServiceSettings
from store import datasets, transitions
from store.files.dataset import DatasetFile
from store.names import DEFAULT_TENANT
from store.store import Store
from tests.service.in_process import (
    InProcess,
    RecordingQueue,
    add_dataset,
    add_job,
    assert_problem,
    claim,
    example,
    job_and_dataset_counts,
    publish,
    succeed,
)

EXAMPLE = example(JobCreate)
ROWS = {"embeddings": EXAMPLE["embeddings"], "labels": EXAMPLE["labels"]}


def test_the_documented_example_is_taken(
    client: InProcess, store: Store, queue: RecordingQueue
) -> None:
    response = client.post("/jobs", json=EXAMPLE)
    assert response.status_code == 202
    job = response.json()
    assert response.headers["location"] == f"/jobs/{job['id']}"
    assert job["status"] == "queued"
    assert job["alias"] == "prod"
    assert job["head"] is None
    assert job["method"] == job["config"]["method"] == "auto"
    assert list(job["config"]["configs"]) == [
        "linear_probe",
        "robust_probe",
        "trimmed_probe",
        "whitened_probe",
        "mlp_ensemble",
        "mlp",
        "nmtune",
    ]
    assert job["config"]["configs"]["nmtune"]["epochs"] == 60
    assert job["created_at"].endswith("Z")
    assert queue.rung_for == [job["id"]]
    assert client.get(response.headers["location"]).json() == job
    with store.database.read() as tx:
        dataset = datasets.get(tx, DEFAULT_TENANT, job["dataset_id"])
    file = DatasetFile.open(store.artifacts.open_path(DEFAULT_TENANT, dataset.sha256))
    assert file.splits["train"].x.shape == (4, 3)
    assert file.splits["test"].x.shape == (2, 3)


def test_embeddings_in_base64_are_the_same_dataset(client: InProcess, store: Store) -> None:
    x = np.array(EXAMPLE["embeddings"], "<f4")
    packed = {
        "base64": base64.b64encode(x.tobytes()).decode(),
        "shape": list(x.shape),
        "dtype": "float32",
    }
    ids = [
        client.post("/jobs", json=EXAMPLE | {"embeddings": embeddings}).json()["dataset_id"]
        for embeddings in (EXAMPLE["embeddings"], packed)
    ]
    with store.database.read() as tx:
        first, second = (datasets.get(tx, DEFAULT_TENANT, dataset_id) for dataset_id in ids)
    assert first.sha256 == second.sha256


def test_a_stored_dataset_is_used_as_it_is(client: InProcess, store: Store) -> None:
    dataset_id = add_dataset(store)
    response = client.post(
        "/jobs", json={"name": "pets", "dataset_id": dataset_id, "method": "linear_probe"}
    )
    assert response.status_code == 202
    assert response.json()["dataset_id"] == dataset_id
    assert job_and_dataset_counts(store) == (1, 1)


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"name": None}, "invalid_request", "name"),
        ({"name": "../../etc"}, "invalid_request", "name"),
        ({"name": "a\u0000"}, "invalid_request", "name"),
        ({"name": "a\n"}, "invalid_request", "name"),
        ({"name": "x" * 65}, "invalid_request", "name"),
        ({"name": "é"}, "invalid_request", "name"),
        ({"name": 7}, "invalid_request", "name"),
        ({"method": "svm"}, "invalid_request", "method"),
        ({"alias": "latest"}, "invalid_request", "alias"),
        ({"alias": "12"}, "invalid_request", "alias"),
        ({"alias": "a b"}, "invalid_request", "alias"),
        ({"tenant_id": "other"}, "invalid_request", "tenant_id"),
        ({"status": "succeeded"}, "invalid_request", "status"),
        ({"config": []}, "invalid_request", "config"),
        ({"config": {"epochs": 0}}, "invalid_config", "config.epochs"),
        ({"config": {"epochs": 10**9}}, "invalid_config", "config.epochs"),
        ({"config": {"epochs": True}}, "invalid_config", "config.epochs"),
        ({"config": {"epochs": "10"}}, "invalid_config", "config.epochs"),
        ({"config": {"epochs": [10]}}, "invalid_config", "config.epochs"),
        ({"config": {"w_covariance": -1}}, "invalid_config", "config.w_covariance"),
        ({"config": {"lerning_rate": 0.1}}, "invalid_config", "config.lerning_rate"),
        ({"config": {"preset": "best"}}, "invalid_config", "config.preset"),
        ({"dataset_id": "ds_1"}, "invalid_request", "embeddings"),
        ({"dataset_id": "ds\0"}, "invalid_request", "dataset_id"),
        ({"embeddings": None}, "invalid_request", "embeddings"),
        ({"labels": None}, "invalid_request", "labels"),
        ({"labels": ["a"] * 5}, "length_mismatch", "labels"),
        ({"labels": ["a"] * 6}, "too_few_classes", "labels"),
        ({"labels": ["a", "b", None, "a", "b", "a"]}, "invalid_label", "labels"),
        ({"splits": ["train"]}, "length_mismatch", "splits"),
        ({"splits": ["test"] * 6}, "no_train_rows", "splits"),
        ({"splits": ["train"] * 5 + ["../x"]}, "invalid_split", "splits"),
        ({"splits": ["train", "train", "train", "test", "test", "test"]}, "too_few_classes", None),
        ({"embeddings": [[1, 2]] * 5 + [[1]]}, "invalid_embeddings", "embeddings"),
        ({"embeddings": [[1, 2]] * 5 + [[1, 1e39]]}, "not_finite", "embeddings"),
        ({"embeddings": {"base64": "", "shape": [6, 2]}}, "invalid_embeddings", "embeddings"),
    ],
)
def test_a_wrong_job_is_refused_with_the_name_of_the_field(
    refusing: InProcess, changes: dict[str, Any], code: str, field: str | None
) -> None:
    body = {key: value for key, value in (EXAMPLE | changes).items() if value is not None}
    if changes.get("dataset_id"):
        body = {"name": "pets", **ROWS, **changes}
    problem = assert_problem(refusing.post("/jobs", json=body), 422, code, field)
    assert problem["errors"][0]["message"]


def test_the_name_of_a_setting_does_not_come_back_at_any_length(refusing: InProcess) -> None:
    response = refusing.post("/jobs", json=EXAMPLE | {"config": {"x" * 100_000: 1}})
    assert_problem(response, 422, "invalid_config")
    assert len(response.content) < 1000


def test_the_row_and_the_column_of_a_wrong_value_are_named(refusing: InProcess) -> None:
    embeddings = [[0.0, 1.0]] * 5 + [[0.0, "x"]]
    body = assert_problem(
        refusing.post("/jobs", json=EXAMPLE | {"embeddings": embeddings}),
        422,
        "invalid_embeddings",
    )
    assert (body["errors"][0]["row"], body["errors"][0]["column"]) == (5, 1)


def test_a_refused_job_leaves_no_row_and_no_ring(
    client: InProcess, store: Store, queue: RecordingQueue, settings: ServiceSettings
) -> None:
    splits = ["train", "train", "train", "test", "test", "test"]  # cats only to learn from
    assert client.post("/jobs", json=EXAMPLE | {"splits": splits}).status_code == 422
    assert job_and_dataset_counts(store) == (0, 0)
    assert queue.rung_for == []
    assert list((settings.data_dir / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("splits", "code"),
    [
        ([{"name": "test", "n_rows": 9, "class_counts": [4, 5]}], "no_train_rows"),
        ([{"name": "train", "n_rows": 9, "class_counts": [9, 0]}], "too_few_classes"),
    ],
)
def test_a_dataset_that_no_worker_could_train_on_is_refused_at_once(
    client: InProcess, store: Store, splits: list[dict[str, Any]], code: str
) -> None:
    dataset_id = add_dataset(store, splits=splits)
    response = client.post("/jobs", json={"name": "pets", "dataset_id": dataset_id})
    assert_problem(response, 422, code, "dataset_id")


def test_an_unknown_dataset_is_not_found(refusing: InProcess) -> None:
    response = refusing.post("/jobs", json={"name": "pets", "dataset_id": "ds_none"})
    assert_problem(response, 404, "not_found")


def test_a_broken_doorbell_loses_nothing(
    settings: ServiceSettings, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def send(self, job_id: str, queue: str) -> None:
            raise ConnectionError(f"nobody there for {job_id}")

    client = InProcess(create_app(settings, store=store, queue=Broken()))
    response = client.post("/jobs", json=EXAMPLE)
    assert response.status_code == 202
    assert job_and_dataset_counts(store) == (1, 1)
    assert f"queue.send_failed job_id={response.json()['id']}" in caplog.text


# Reading and cancelling


def test_jobs_are_listed_newest_first_by_pages(client: InProcess, store: Store) -> None:
    ids = [add_job(store, name=f"head-{i}") for i in range(5)]
    first = client.get("/jobs?limit=3").json()
    rest = client.get("/jobs", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    assert [job["id"] for job in first["items"] + rest["items"]] == ids[::-1]
    assert rest["next_cursor"] is None


def test_jobs_can_be_listed_by_status(client: InProcess, store: Store) -> None:
    queued, running = add_job(store), add_job(store)
    claim(store, running)
    assert [job["id"] for job in client.get("/jobs?status=running").json()["items"]] == [running]
    assert [job["id"] for job in client.get("/jobs?status=queued").json()["items"]] == [queued]


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("limit=0", "invalid_request", "limit"),
        ("limit=201", "invalid_request", "limit"),
        ("limit=ten", "invalid_request", "limit"),
        ("limit=99999999999999999999999", "invalid_request", "limit"),
        ("status=done", "invalid_request", "status"),
        ("cursor=abc", "invalid_cursor", "cursor"),
        ("cursor=%00", "invalid_cursor", "cursor"),
        ("cursor=%ff", "invalid_cursor", "cursor"),
        ("cursor=" + "a" * 300, "invalid_request", "cursor"),
        ("sort=name;drop table jobs", "invalid_request", "sort"),
    ],
)
def test_a_wrong_list_query_is_refused(
    refusing: InProcess, query: str, code: str, field: str
) -> None:
    assert_problem(refusing.get(f"/jobs?{query}"), 422, code, field)


@pytest.mark.parametrize("path", ["/jobs/{}", "/jobs/{}/report", "/jobs/{}/events"])
def test_an_unknown_job_is_not_found_and_an_impossible_id_refused(
    refusing: InProcess, path: str
) -> None:
    assert_problem(refusing.get(path.format("job_none")), 404, "not_found")
    for impossible in ("%00", "a%20b", "x" * 65, "..%5c", "é"):
        assert_problem(refusing.get(path.format(impossible)), 422, "invalid_request", "job_id")


def test_cancelling_a_queued_job_ends_it_and_again_changes_nothing(
    client: InProcess, store: Store
) -> None:
    job_id = add_job(store)
    first = client.post(f"/jobs/{job_id}/cancel")
    assert (first.status_code, first.json()["status"]) == (200, "cancelled")
    assert client.post(f"/jobs/{job_id}/cancel").json() == first.json()


def test_cancelling_a_running_job_is_a_request(client: InProcess, store: Store) -> None:
    job_id = add_job(store)
    claim(store, job_id)
    job = client.post(f"/jobs/{job_id}/cancel").json()
    assert job["status"] == "running"
    assert job["cancel_requested_at"] is not None


def test_cancelling_an_unknown_job_is_not_found(refusing: InProcess) -> None:
    assert_problem(refusing.post("/jobs/job_none/cancel"), 404, "not_found")


def test_a_running_job_shows_its_progress(client: InProcess, store: Store) -> None:
    job = claim(store, add_job(store))
    progress = {"candidate": "mlp", "epoch": 1, "fraction": 0.2, "losses": {"total": 0.5}}
    with store.database.begin() as tx:
        transitions.heartbeat(tx, job, lease_seconds=60, stage="training", progress=progress)
    shown = client.get(f"/jobs/{job.id}").json()
    assert (shown["stage"], shown["progress"], shown["attempt"]) == ("training", progress, 1)


def test_a_failed_job_shows_why(client: InProcess, store: Store) -> None:
    job = claim(store, add_job(store))
    error = {"code": "invalid_data", "message": "too few rows"}
    with store.database.begin() as tx:
        transitions.fail(tx, job, error=error)
    shown = client.get(f"/jobs/{job.id}").json()
    assert (shown["status"], shown["error"]) == ("failed", error)
    assert shown["finished_at"] is not None
    report = assert_problem(client.get(f"/jobs/{job.id}/report"), 409, "report_not_ready")
    assert "failed" in report["detail"]


def test_the_report_is_what_the_worker_wrote(
    client: InProcess, store: Store, trained: bytes
) -> None:
    job = claim(store, add_job(store))
    assert_problem(client.get(f"/jobs/{job.id}/report"), 409, "report_not_ready")
    report = json.dumps({"version": 1, "verdict": {"summary": "é"}}, ensure_ascii=False).encode()
    succeed(store, job, trained, report=report)
    response = client.get(f"/jobs/{job.id}/report")
    assert response.headers["content-type"] == "application/json"
    assert response.content == report


def test_job_event_and_report_say_what_became_of_the_alias(
    client: InProcess, store: Store, trained: bytes
) -> None:
    published = []
    for advice in (None, 'the report advises against this head ("Use the linear probe")'):
        job = claim(store, add_job(store, alias="prod"))
        succeed(store, job, trained, report=b'{"version": 2}', advised_against_because=advice)
        body = client.get(f"/jobs/{job.id}").json()
        event = client.get(f"/jobs/{job.id}/events", headers={"Accept": "application/json"}).json()[
            "items"
        ][-1]
        report = client.get(f"/jobs/{job.id}/report").json()
        assert body["alias_outcome"] == event["data"]["alias"] == report["alias"]
        assert report["version"] == 2
        assert (body["progress"]["fraction"], body["progress"]["eta_seconds"]) == (1.0, 0.0)
        assert (event["data"]["fraction"], event["data"]["eta_seconds"]) == (1.0, 0.0)
        published.append(body["alias_outcome"])
    assert [one["moved"] for one in published] == [True, False]
    assert published[1] == {
        "name": "prod",
        "moved": False,
        "version": 1,
        "previous_version": 1,
        "reason": "pets@prod did not move to version 2 and still names version 1: the report "
        'advises against this head ("Use the linear probe").',
        "command": "nmtune heads alias pets prod 2",
    }
    assert client.get("/heads/pets").json()["aliases"] == {"prod": 1}
    # The one command moves it.
    assert client.put("/heads/pets/aliases/prod", json={"version": 2}).status_code == 200
    assert client.get("/heads/pets").json()["aliases"] == {"prod": 2}


def test_alias_always_is_kept_and_needs_an_alias(client: InProcess) -> None:
    body = example(JobCreate)
    assert client.post("/jobs", json=body).json()["alias_always"] is False
    asked = client.post("/jobs", json=body | {"alias_always": True}).json()
    assert (asked["alias_always"], asked["alias_outcome"]) == (True, None)
    lacking = {name: value for name, value in body.items() if name != "alias"}
    response = client.post("/jobs", json=lacking | {"alias_always": True})
    assert_problem(response, 422, "invalid_request", "alias_always")


def test_a_damaged_report_is_no_report(
    client: InProcess, store: Store, settings: ServiceSettings, trained: bytes
) -> None:
    job = succeed(store, claim(store, add_job(store)), trained, report=b'{"version":1}')
    (path,) = settings.artifacts_dir.rglob(job.report_sha256 or "-")
    path.chmod(0o600)
    path.write_bytes(b'{"version":2}')
    problem = assert_problem(client.get(f"/jobs/{job.id}/report"), 503, "artifact_corrupt")
    assert "backup" in problem["detail"]
    path.unlink()
    assert_problem(client.get(f"/jobs/{job.id}/report"), 503, "artifact_missing")


def test_a_second_job_of_the_name_makes_the_next_version(
    client: InProcess, store: Store, trained: bytes
) -> None:
    publish(store, trained)
    publish(store, trained)
    versions = {job["head"]["version"] for job in client.get("/jobs").json()["items"]}
    assert versions == {1, 2}
