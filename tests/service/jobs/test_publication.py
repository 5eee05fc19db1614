"""POST /jobs/{id}/publish: another candidate of a job becomes the next version of its head."""

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from nmtune import Head
from store.cleanup import garbage
from store.jobs import Job
from store.store import Store
from tests.service.candidate_jobs import CandidateJob, right
from tests.service.in_process import InProcess, add_job, assert_problem, claim, train
from tests.store.made_rows import clock_ahead

Rows = tuple[np.ndarray, np.ndarray]
ABOUT = {"job_id", "dataset_id", "description", "tags", "lineage", "classes", "n_columns"}
"""What versions of one job have in common."""


@pytest.fixture(scope="module")
def of_mlp(rows: Rows) -> bytes:
    """Another head than `trained`."""
    return train(rows, seed=1)


@pytest.fixture
def job(store: Store, trained: bytes, of_mlp: bytes) -> Job:
    """A job that published nmtune as pets@1 = pets@prod, and keeps the head of the MLP."""
    said = {"test": {"nmtune": right(1, 2), "mlp": right(1)}}
    return CandidateJob(heads={"nmtune": trained, "mlp": of_mlp}, said=said).run(
        store, alias="prod"
    )


def publish(client: InProcess, job: Job, candidate: str = "mlp", **more: Any) -> Any:
    return client.post(f"/jobs/{job.id}/publish", json={"candidate": candidate, **more})


def served(client: InProcess, head: str) -> int:
    """The number of the version that answers."""
    found = client.post("/predict", json={"head": head, "embeddings": [[0, 0, 0]]})
    number: int = found.json()["head"]["version"]
    return number


def test_a_candidate_becomes_the_next_version_and_serves(
    client: InProcess, job: Job, of_mlp: bytes, rows: Rows
) -> None:
    answer = publish(client, job)
    assert (answer.status_code, answer.headers["location"]) == (201, "/heads/pets/versions/2")
    made, own = answer.json(), client.get("/heads/pets/versions/1").json()
    assert client.get(answer.headers["location"]).json() == made
    assert (made["method"], made["config"], made["n_parameters"]) == ("mlp", {"preset": "mlp"}, 103)
    assert made["metrics"]["test"]["accuracy"] == 0.995
    assert own["metrics"]["test"]["accuracy"] == 0.99
    assert {name: made[name] for name in ABOUT} == {name: own[name] for name in ABOUT}
    assert (made["aliases"], own["aliases"]) == ([], ["prod"])
    x = rows[0][:5].tolist()
    for head, data in (("pets@2", of_mlp), ("pets", of_mlp)):
        found = client.post("/predict", json={"head": head, "embeddings": x}).json()
        np.testing.assert_allclose(
            found["probabilities"], Head.from_bytes(data).predict_proba(x), atol=1e-5
        )


def test_sent_again_it_is_the_same_version(
    client: InProcess, job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first = publish(client, job)
    again = publish(client, job)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    own = publish(client, job, "nmtune")
    assert (own.status_code, own.json()["version"]) == (200, 1)
    told = [one.getMessage() for one in caplog.records if "head.published" in one.getMessage()]
    assert [line.split()[1:3] for line in told] == [["name=pets", "version=2"]]


def test_requests_at_once_make_one_version(client: InProcess, job: Job) -> None:
    client.get("/heads")  # the tenant's limits are known: event loops cannot wait for each other
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: publish(client, job), range(6)))
    assert sorted(one.status_code for one in answers) == [200] * 5 + [201]
    assert len({one.content for one in answers}) == 1
    assert len(client.get("/heads/pets").json()["versions"]) == 2


def test_alias_and_notes_are_set_on_a_version_that_is_there_too(
    client: InProcess, job: Job
) -> None:
    made = publish(client, job, alias="prod", description="best on our rows", tags={"by": "me"})
    assert made.json()["aliases"] == ["prod"]
    assert (made.json()["description"], made.json()["tags"]) == ("best on our rows", {"by": "me"})
    assert served(client, "pets@prod") == 2
    back = publish(client, job, "nmtune", alias="prod", description=None)
    assert (back.status_code, back.json()["aliases"]) == (200, ["prod"])
    assert (back.json()["description"], back.json()["tags"]) == (None, {"ticket": "ML-12"})
    assert served(client, "pets@prod") == 1
    rolled_back = client.post("/heads/pets/aliases/prod/rollback")
    assert rolled_back.json()["version"] == 2


def test_a_deleted_version_comes_back_under_a_new_number(
    client: InProcess, store: Store, job: Job
) -> None:
    publish(client, job)
    assert client.delete("/heads/pets/versions/2").status_code == 204
    garbage.collect(store, older_than_seconds=-60)
    again = publish(client, job)
    assert (again.status_code, again.json()["version"]) == (201, 3)
    assert served(client, "pets@3") == 3
    assert client.delete("/heads/pets?force=true").status_code == 204
    assert publish(client, job).json()["version"] == 4
    problem = assert_problem(publish(client, job, "nmtune"), 410, "head_deleted")
    assert "pets@1" in problem["detail"]


def test_what_cannot_be_published_is_told_why(
    client: InProcess, store: Store, job: Job, trained: bytes
) -> None:
    problem = assert_problem(
        publish(client, job, "linear_probe"), 422, "unknown_candidate", "candidate"
    )
    assert "It has nmtune, mlp." in problem["detail"]
    assert_problem(publish(client, job, "no such name"), 422, "invalid_request", "candidate")
    assert_problem(publish(client, job, alias="latest"), 422, "invalid_request", "alias")
    assert_problem(publish(client, job, nickname="prod"), 422, "invalid_request", "nickname")
    assert_problem(client.post(f"/jobs/{job.id}/publish"), 422, "invalid_request")
    nowhere = client.post(f"/jobs/{job.id[:-1]}x/publish", json={"candidate": "mlp"})
    assert_problem(nowhere, 404, "not_found")
    queued = client.get(f"/jobs/{add_job(store)}").json()["id"]
    problem = assert_problem(
        client.post(f"/jobs/{queued}/publish", json={"candidate": "mlp"}),
        *(409, "candidates_not_ready"),
    )
    assert "wait until it has succeeded" in problem["detail"]
    claim(store, queued)
    assert_problem(
        client.post(f"/jobs/{queued}/publish", json={"candidate": "mlp"}),
        *(409, "candidates_not_ready"),
    )
    assert len(client.get("/heads/pets").json()["versions"]) == 1
    older = CandidateJob(heads={"nmtune": trained, "mlp": trained}, keeps_heads=False).run(store)
    assert (
        "earlier version"
        in assert_problem(publish(client, older), 404, "job_file_missing")["detail"]
    )


def test_a_head_that_is_no_longer_kept_is_410(client: InProcess, store: Store, job: Job) -> None:
    with clock_ahead(91 * 86_400):
        garbage.collect(store, job_files_days=90)
    problem = assert_problem(publish(client, job), 410, "job_file_expired")
    assert "train again" in problem["detail"]
    assert len(client.get("/heads/pets").json()["versions"]) == 1


def test_an_alias_that_cannot_be_set_publishes_nothing(
    client: InProcess, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole or not at all: what fails after the version was written takes it back."""
    assert_problem(publish(client, job, alias="7"), 422, "invalid_request", "alias")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "no space left")

    monkeypatch.setattr("service.jobs.publication.heads.set_alias", fail)
    assert publish(client, job, alias="next").status_code == 503
    monkeypatch.undo()
    assert [one["version"] for one in client.get("/heads/pets").json()["versions"]] == [1]
