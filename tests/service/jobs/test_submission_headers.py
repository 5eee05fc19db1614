"""The headers of `POST /jobs`: `Idempotency-Key`, and `Prefer: wait`."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi import FastAPI

from service.app import create_app
from service.jobs.schemas import JobCreate
from service.settings import ServiceSettings
from store import jobs
from store.errors import DatabaseUnavailable
from store.store import Store
from tests.service.in_process import (
    InProcess,
    RecordingQueue,
    assert_problem,
    claim,
    example,
    job_and_dataset_counts,
    succeed,
)

EXAMPLE = example(JobCreate)


# Idempotency


def test_a_repeated_key_gets_the_first_answer_and_makes_nothing(
    client: InProcess, store: Store, queue: RecordingQueue
) -> None:
    headers = {"idempotency-key": "once"}
    first = client.post("/jobs", json=EXAMPLE, headers=headers)
    claim(store, first.json()["id"])  # the answer stays the first one, whatever happens meanwhile
    again = client.post("/jobs", json=EXAMPLE, headers=headers)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert job_and_dataset_counts(store) == (1, 1)
    assert queue.rung_for == [first.json()["id"]]


def test_a_key_is_of_one_request_only(client: InProcess) -> None:
    headers = {"idempotency-key": "once"}
    client.post("/jobs", json=EXAMPLE, headers=headers)
    other = client.post("/jobs", json=EXAMPLE | {"name": "other"}, headers=headers)
    assert_problem(other, 422, "idempotency_key_reused", "Idempotency-Key")


def test_a_refused_request_does_not_use_up_its_key(client: InProcess) -> None:
    headers = {"idempotency-key": "once"}
    refused = client.post("/jobs", json=EXAMPLE | {"config": {"epochs": 0}}, headers=headers)
    assert refused.status_code == 422
    assert client.post("/jobs", json=EXAMPLE, headers=headers).status_code == 202


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "tab\t", b"\xe9"])
def test_a_key_that_is_none_is_refused(refusing: InProcess, key: str | bytes) -> None:
    response = refusing.post("/jobs", json=EXAMPLE, headers={"idempotency-key": key})
    assert_problem(response, 422, "invalid_request", "Idempotency-Key")


def test_of_many_requests_at_once_with_one_key_one_makes_the_job(
    app: FastAPI, store: Store, queue: RecordingQueue
) -> None:
    InProcess(app).get("/jobs")  # its limits are known: event loops cannot wait for each other
    barrier = threading.Barrier(8)

    def submit(_: int) -> tuple[int, bytes]:
        barrier.wait()
        response = InProcess(app).post("/jobs", json=EXAMPLE, headers={"idempotency-key": "once"})
        return response.status_code, response.content

    with ThreadPoolExecutor(8) as threads:
        answers = set(threads.map(submit, range(8)))
    assert len(answers) == 1
    assert job_and_dataset_counts(store) == (1, 1)
    assert len(queue.rung_for) == 1


# Prefer: wait


def test_waiting_gives_up_after_the_time_and_says_that_it_waited(client: InProcess) -> None:
    response = client.post("/jobs", json=EXAMPLE, headers={"prefer": "respond-async, wait=0"})
    assert response.status_code == 202
    assert response.headers["preference-applied"] == "wait=0"


def test_waiting_ends_with_the_job(settings: ServiceSettings, store: Store, trained: bytes) -> None:
    class Working:
        """A queue whose ring makes a worker do the job at once, in a thread of its own."""

        def send(self, job_id: str, queue: str) -> None:
            threading.Thread(target=lambda: succeed(store, claim(store, job_id), trained)).start()

    client = InProcess(create_app(settings, store=store, queue=Working()))
    response = client.post("/jobs", json=EXAMPLE, headers={"prefer": "wait=60"})
    assert response.status_code == 200
    assert response.headers["preference-applied"] == "wait=60"
    assert response.json()["status"] == "succeeded"
    assert response.json()["head"] == {"name": "pets", "version": 1}
    assert client.get("/heads/pets").json()["aliases"] == {"prod": 1}


def test_a_database_that_goes_away_while_waiting_does_not_hide_the_job(
    client: InProcess, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_arguments: object) -> None:
        raise DatabaseUnavailable("not now")

    monkeypatch.setattr(jobs, "get", away)
    response = client.post("/jobs", json=EXAMPLE, headers={"prefer": "wait=60"})
    assert response.status_code == 202
    assert response.json()["status"] == "queued"
    assert job_and_dataset_counts(store) == (1, 1)


def test_waiting_is_cut_to_a_minute(client: InProcess, app: FastAPI) -> None:
    app.state.services.stopping.set()  # a service that stops does not wait
    response = client.post("/jobs", json=EXAMPLE, headers={"prefer": "wait=600"})
    assert response.status_code == 202
    assert response.headers["preference-applied"] == "wait=60"


@pytest.mark.parametrize("prefer", ["wait=soon", "await=1", "return=minimal", "wait=-1", ""])
def test_other_preferences_are_ignored(client: InProcess, prefer: str) -> None:
    response = client.post("/jobs", json=EXAMPLE, headers={"prefer": prefer})
    assert response.status_code == 202
    assert "preference-applied" not in response.headers
