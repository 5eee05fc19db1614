"""The embedding stage of text jobs, against a provider that fails, and through restarts."""

import threading
from typing import Any

import numpy as np
import pytest

from store.files.dataset import DatasetFile
from store.jobs import PRICE
from store.registry import heads
from tests.servers import fault_server
from tests.servers.fault_server import Server, status
from tests.support.waiting import wait_until
from tests.workers.text_jobs import add_texts, asked_for, submit, texts
from tests.workers.workplace import Workplace
from workers.attempt import embedded_file
from workers.attempt.text_job import EMBEDDINGS


def test_texts_become_a_head_that_knows_its_encoder(place: Workplace, server: Server) -> None:
    job = place.run(submit(place, server, add_texts(place)))
    assert job is not None
    assert job.status == "succeeded", job.error
    assert len(asked_for(server)) == len(set(asked_for(server))) == 119, "once each"
    assert job.encoder is not None
    usage = job.encoder["usage"]
    assert (usage["n_texts"], usage["n_different"], usage["n_embedded"]) == (120, 119, 119)
    assert usage["n_tokens"] == sum(map(len, asked_for(server)))
    with place.store.database.read() as tx:
        head = heads.version(tx, "default", "texts", 1)
    assert head.n_columns == fault_server.WIDTH
    assert head.encoder is not None
    assert head.encoder["fingerprint"] == job.encoder["fingerprint"] == head.lineage["encoder"]
    assert head.encoder["base_url"] == server.url
    stages = [event.data["stage"] for event in place.events(job) if event.type == "job.stage"]
    assert stages[:2] == ["embedding", "loading"]
    fractions = [one["fraction"] for one in place.progress(job)]
    assert fractions == sorted(fractions)


@pytest.mark.slow
def test_another_job_with_the_same_texts_pays_for_nothing(place: Workplace, server: Server) -> None:
    place.run(submit(place, server, add_texts(place)))
    server.requests.clear()
    job = place.run(submit(place, server, add_texts(place)))
    assert job is not None
    assert job.status == "succeeded"
    assert asked_for(server) == []
    assert job.encoder is not None
    assert job.encoder["usage"]["n_embedded"] == 0


def test_a_stated_price_makes_a_cost_and_no_other_encoder(place: Workplace, server: Server) -> None:
    job = place.run(submit(place, server, add_texts(place), price=2.5))
    assert job is not None
    assert job.encoder is not None
    usage = job.encoder["usage"]
    assert usage["cost"] == pytest.approx(usage["n_tokens"] * 2.5e-6, abs=1e-6)
    assert place.progress(job)[0]["texts"]["cost"] <= usage["cost"]
    free = place.run(submit(place, server, add_texts(place), price=None))
    assert free is not None
    assert free.encoder is not None
    assert "cost" not in free.encoder["usage"]
    assert free.encoder["fingerprint"] == job.encoder["fingerprint"]
    with place.store.database.read() as tx:
        head = heads.version(tx, "default", "texts", 1)
    assert head.encoder is not None
    assert PRICE not in head.encoder


@pytest.mark.slow
def test_a_model_that_changed_behind_its_name_is_another_encoder(
    place: Workplace, server: Server
) -> None:
    first = place.run(submit(place, server, add_texts(place)))

    def changed(request: fault_server.Request, body: dict[str, Any]) -> bool:
        request.embeddings({"input": [text + "!" for text in body["input"]]})
        return True

    server.requests.clear()
    server.always = changed
    second = place.run(submit(place, server, add_texts(place)))
    assert first is not None
    assert second is not None
    assert first.encoder is not None
    assert second.encoder is not None
    assert second.encoder["fingerprint"] != first.encoder["fingerprint"]
    assert len(asked_for(server)) == 119, "the old vectors are of no use"


def test_what_an_interrupted_attempt_paid_for_is_kept(place: Workplace, server: Server) -> None:
    job = submit(place, server, add_texts(place, n=200))
    stopping = threading.Event()
    n_batches = iter(range(100))

    def stop_after_three(request: fault_server.Request, body: dict[str, Any]) -> bool:
        if next(n_batches) == 3:
            stopping.set()
        return False

    server.always = stop_after_three
    released = place.run(job, stopping=stopping)
    assert released is not None
    assert released.status == "queued"
    assert released.attempt == 0, "being stopped is no attempt"
    n_paid = len(asked_for(server))
    assert 0 < n_paid < 399
    server.always = None
    done = place.run(job)
    assert done is not None
    assert done.status == "succeeded"
    assert len(asked_for(server)) == len(set(asked_for(server))) == 399
    assert done.encoder is not None
    assert done.encoder["usage"]["n_embedded"] == 399


@pytest.mark.slow
def test_embeddings_are_kept_for_the_next_attempt(
    place: Workplace, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit(place, server, add_texts(place))
    stopping = threading.Event()
    write = embedded_file.write

    def write_and_stop(*arguments: Any) -> None:
        write(*arguments)
        stopping.set()

    monkeypatch.setattr(embedded_file, "write", write_and_stop)
    released = place.run(job, stopping=stopping)
    assert released is not None
    assert set(released.checkpoint) == {EMBEDDINGS}
    path = place.store.artifacts.open_path("default", released.checkpoint[EMBEDDINGS])
    file = DatasetFile.open(path)
    np.testing.assert_array_equal(
        file.splits["test"].x,
        np.array([fault_server.vector(text) for text in texts("test", 60)], np.float32),
    )
    np.testing.assert_array_equal(file.splits["train"].x[-1], file.splits["train"].x[-2])
    server.requests.clear()
    done = place.run(job)
    assert done is not None
    assert done.status == "succeeded"
    assert server.requests == [], "not even the probe texts"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (status(401, {"error": {"message": "bad key"}}), "provider_key_refused"),
        (status(402, {}), "provider_quota_exhausted"),
        (status(404, {"error": {"message": "no such model"}}), "invalid_provider"),
        (fault_server.edited(lambda data: data[:-1]), "provider_wrong_answer"),
    ],
)
def test_what_will_not_pass_fails_the_job_at_once(
    place: Workplace, server: Server, fault: fault_server.Fault, code: str
) -> None:
    server.always = fault
    job = place.run(submit(place, server, add_texts(place)))
    assert job is not None
    assert (job.status, job.attempt) == ("failed", 1)
    assert job.error is not None
    assert (job.error["code"], job.error["stage"]) == (code, "embedding")


def test_a_busy_provider_returns_the_job_to_the_queue(place: Workplace, server: Server) -> None:
    server.always = status(429, {}, Retry_After="900")
    job = place.run(submit(place, server, add_texts(place)))
    assert job is not None
    assert job.status == "queued"
    assert job.not_before_at is not None
    assert (job.not_before_at - job.updated_at).total_seconds() > 800


def test_the_row_of_a_refused_text_is_named(place: Workplace, server: Server) -> None:
    def refuse(request: fault_server.Request, body: dict[str, Any]) -> bool:
        if "test 7" not in body["input"]:
            return False
        request.answer(400, {"error": {"message": "not this one"}})
        return True

    server.always = refuse
    job = place.run(submit(place, server, add_texts(place)))
    assert job is not None
    assert job.error is not None
    assert "not this one" in job.error["message"]
    assert "row 67" in job.error["message"]


def test_a_cancelled_job_stops_asking(place: Workplace, server: Server) -> None:
    job = submit(place, server, add_texts(place))
    server.always = fault_server.hang
    with place.running(job):
        wait_until(lambda: server.requests)
        place.request_cancel(job)
    assert place.read(job).status == "cancelled"
    assert len(server.requests) <= 2
