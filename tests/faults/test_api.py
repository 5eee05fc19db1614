"""The API killed around its commit, and stopped while predictions are in flight."""

import signal
from typing import Any

import httpx
import pytest
from nmtune_client import Client

from store import datasets, jobs
from store.cleanup import garbage
from tests.faults.deployment import QUICK, Deployment, Predictions, head_versions, upload
from tests.support.processes import Process
from tests.support.waiting import wait_until

Arrays = dict[str, Any]
BODY = {"name": "pets", **QUICK}


def post(api: Process, dataset: str, *, key: str) -> httpx.Response:
    return httpx.post(
        f"{api.url}/jobs",
        json=BODY | {"dataset_id": dataset},
        headers={"idempotency-key": key},
        timeout=60,
    )


@pytest.mark.parametrize("where", ["submit.begun", "submit.committed"])
def test_an_api_killed_around_its_commit_makes_one_job_of_two_requests(
    deployment: Deployment, arrays: Arrays, where: str
) -> None:
    victim = deployment.start("api", NMTUNE_FAILPOINT=f"{where}:kill")
    dataset = upload(victim.client, arrays)
    with pytest.raises(httpx.TransportError):
        post(victim, dataset, key="the-same")
    api = deployment.start("api")
    with deployment.store() as store, store.database.read() as tx:
        recorded = len(jobs.page(tx, "default").items)
    assert recorded == (1 if where == "submit.committed" else 0)
    answers = [post(api, dataset, key="the-same") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].content == answers[1].content
    assert answers[1].headers["idempotent-replayed"] == "true"
    deployment.accepted.append(answers[0].json()["id"])
    deployment.start("worker")
    assert deployment.check()["succeeded"] == 1
    assert head_versions(deployment) == 1


def test_an_api_told_to_stop_answers_what_it_has_begun(
    deployment: Deployment, arrays: Arrays
) -> None:
    api, worker = deployment.start("api"), deployment.start("worker")
    deployment.submit(api, upload(api.client, arrays), alias="prod")
    deployment.check()
    other = deployment.start("api")
    with Predictions(other.url, "pets@prod", arrays["test_x"][:4]) as steady:
        with Predictions(api.url, "pets@prod", arrays["test_x"][:4]) as cut:
            api.signal(signal.SIGTERM)
            wait_until(lambda: not api.is_running())
            wait_until(lambda: cut.wrong)
        # Connections are refused once it has gone; none was broken off in the middle of an answer.
        assert all("ConnectError" in one or "disconnected" in one for one in cut.wrong)
    assert steady.wrong == []
    with Client(other.url) as client:
        assert client.heads.get("pets").aliases == {"prod": 1}
    assert worker.is_running()


def test_an_api_killed_between_bytes_and_row_leaves_bytes_that_are_collected(
    deployment: Deployment, arrays: Arrays
) -> None:
    dataset = upload(deployment.start("api").client, arrays)
    victim = deployment.start("api", NMTUNE_FAILPOINT="dataset.stored:kill")

    def correct(api: Process) -> httpx.Response:
        return httpx.post(
            f"{api.url}/datasets/{dataset}/corrections",
            json={"drop": [{"split": "train", "row": 0}]},
            headers={"idempotency-key": "the-same"},
            timeout=60,
        )

    with pytest.raises(httpx.TransportError):
        correct(victim)
    with deployment.store() as store:
        with store.database.read() as tx:
            assert [one.id for one in datasets.page(tx, "default").items] == [dataset]
        assert garbage.collect(store, older_than_seconds=0).n_artifacts == 1
    api = deployment.start("api")
    first, again = correct(api), correct(api)
    assert (first.status_code, again.content) == (201, first.content)
    assert first.json()["parent_id"] == dataset
    with deployment.store() as store:
        assert garbage.collect(store, older_than_seconds=0).n_artifacts == 0
        with store.database.read() as tx:
            assert len(datasets.page(tx, "default").items) == 2
