"""Jobs that wait for their provider: no slot is held, the reason is shown, and there is an end."""

import dataclasses
import socket
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from nmtune import resolve
from providers import catalogue, probe_texts
from providers.embedder import Patience
from providers.errors import ProviderBusy, ProviderUnavailable
from service.jobs.schemas import Job as ShownJob
from store import jobs
from store.database import tables
from store.jobs import Job
from store.states import JobStatus
from tests.servers import fault_server
from tests.servers.fault_server import Server, status, when
from tests.support.waiting import wait_until
from tests.workers.text_jobs import QUICK, add_texts, asked_for, submit
from tests.workers.workplace import Workplace, start_worker
from workers.attempt.provider_wait import Memory

BUSY = status(429, {"error": {"message": "come back later"}}, Retry_After="900")


def ran(place: Workplace, job: Job) -> Job:
    ended = place.run(job)
    assert ended is not None
    return ended


def make_due(place: Workplace, job: Job) -> None:
    """As if the time had come."""
    with place.store.database.begin() as tx:
        tx.execute(
            tables.jobs.update().where(tables.jobs.c.id == job.id).values(not_before_at=None)
        )


def test_a_job_that_waits_gives_its_slot_back_and_says_why(
    place: Workplace, server: Server
) -> None:
    server.always = BUSY
    began = time.monotonic()
    job = ran(place, submit(place, server, add_texts(place)))
    assert time.monotonic() - began < 60, "it asked for 900 s"
    assert (job.status, job.attempt) == ("queued", 0), "waiting is no attempt"
    assert job.not_before_at is not None
    assert 895 < (job.not_before_at - job.updated_at).total_seconds() < 910
    shown = ShownJob.of(job)
    assert shown.waiting is not None
    assert shown.waiting.code == "provider_busy"
    assert "come back later" in shown.waiting.message
    assert "429" in shown.waiting.message
    assert shown.waiting.until == job.not_before_at
    assert shown.waiting.since is not None
    assert abs((shown.waiting.since - datetime.now(UTC)).total_seconds()) < 60
    assert shown.error is None
    (event,) = [one for one in place.events(job) if one.type == "job.requeued"]
    assert event.data["reason"] == "waiting"
    assert "come back later" in event.data["message"]
    assert datetime.fromisoformat(event.data["until"]) == job.not_before_at
    assert len(server.requests) == 1


def test_a_waiting_job_is_cancelled_at_once(place: Workplace, server: Server) -> None:
    server.always = BUSY
    job = ran(place, submit(place, server, add_texts(place)))
    place.request_cancel(job)
    cancelled = place.read(job)
    assert cancelled.status == "cancelled"
    assert ShownJob.of(cancelled).waiting is None


def test_waiting_has_an_end_with_the_reason(place: Workplace, server: Server) -> None:
    server.always = BUSY
    job = ran(place, submit(place, server, add_texts(place)))
    assert job.waiting is not None
    since = job.waiting["since"]
    make_due(place, job)
    again = ran(place, job)
    assert again.waiting is not None
    assert again.waiting["since"] == since, "counted from the first time"
    make_due(place, again)
    place.settings = place.settings.model_copy(update={"provider_patience_seconds": 1.0})
    failed = ran(place, again)
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error["code"] == "provider_busy"
    assert "come back later" in failed.error["message"]
    assert "memory" not in failed.error


def test_any_number_of_waits_is_no_attempt_and_nothing_is_paid_twice(
    place: Workplace, server: Server
) -> None:
    job = submit(place, server, add_texts(place, n=100))
    for n_batches in range(5):
        # the probe texts once, then one batch a time
        server.faults.extend([lambda request, body: False] * (2 if n_batches == 0 else 1))
        server.always = BUSY
        waiting = ran(place, job)
        assert (waiting.status, waiting.attempt) == ("queued", 0)
        server.faults.clear()
        make_due(place, job)
    server.always = None
    done = ran(place, job)
    assert done.status == "succeeded", done.error
    assert done.waiting is None
    served = len(set(asked_for(server)))
    assert served == 199
    asked = [body["input"] for _, _, body in server.requests]
    recognised = sum(texts == list(probe_texts.TEXTS) for texts in asked)
    assert recognised == 2, "once at first, and once when all is embedded"
    assert done.encoder is not None
    assert done.encoder["usage"]["n_embedded"] == 199


def test_a_batch_that_is_refused_after_every_wait_is_made_smaller(
    place: Workplace, server: Server
) -> None:
    """By a provider that asks for longer waits than a slot is held for."""
    job = submit(place, server, add_texts(place))
    server.always = when(lambda texts: len(texts) > 10, 429, {}, Retry_After="60")
    for _ in range(8):
        job = ran(place, job)
        if job.status.is_final:
            break
        make_due(place, job)
    assert job.status == "succeeded"


def test_short_pauses_are_shown_while_the_job_runs(place: Workplace, server: Server) -> None:
    told = {"error": {"message": "quota per minute; retry in 1.5s", "code": 429}}
    server.faults.extend([lambda request, body: False, status(429, told)])
    job = ran(place, submit(place, server, add_texts(place)))
    assert job.status == "succeeded", job.error
    waits = [one["waiting"] for one in place.progress(job) if "waiting" in one]
    assert "retry in 1.5s" in waits[0]["message"]
    running = {"status": "running", "progress": {"fraction": 0.1, "waiting": waits[0]}}
    late = ShownJob.of(replaced(job, **running))
    assert late.waiting is None, "it is over"
    assert late.progress == {"fraction": 0.1}
    running["progress"]["waiting"] = waits[0] | {"until": "2999-01-01T00:00:00+00:00"}  # type: ignore[index]
    now = ShownJob.of(replaced(job, **running))
    assert now.waiting is not None
    assert "retry in 1.5s" in now.waiting.message


def replaced(job: Job, **values: Any) -> Job:
    return dataclasses.replace(job, **values | {"status": JobStatus(values["status"])})


def _impatient(init: Any) -> Any:
    """Waits for a second in place of fifteen."""

    def made(self: Patience, **given: Any) -> None:
        init(self, **{"give_up_seconds": 1.0, **given})

    return made


def test_a_provider_that_is_away_is_only_looked_at_the_next_time(
    place: Workplace, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.always = status(503, {"error": {"message": "being moved"}})
    monkeypatch.setattr(Patience, "__init__", _impatient(Patience.__init__))
    job = ran(place, submit(place, server, add_texts(place)))
    assert job.status == "queued"
    assert job.not_before_at is not None
    first = (job.not_before_at - job.updated_at).total_seconds()
    make_due(place, job)
    server.requests.clear()
    again = ran(place, job)
    # Patience would ask again and again: what is counted needs no clock.
    assert len(server.requests) == 2, "once, and once whether it answers anything"
    assert again.not_before_at is not None
    assert (again.not_before_at - again.updated_at).total_seconds() > 1.5 * first


@pytest.mark.parametrize("host", ["no-such-host.invalid", "typo"])
def test_a_name_that_does_not_exist_fails_the_job_at_once(
    place: Workplace, server: Server, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("outbound.sockets.socket.getaddrinfo", unknown)
    place.settings = place.settings.model_copy(update={"provider_allow_hosts": f"{host}:80"})
    job = submit_to(place, f"http://{host}/v1")
    began = time.monotonic()
    failed = ran(place, job)
    assert time.monotonic() - began < Patience().give_up_seconds
    assert (failed.status, failed.attempt) == ("failed", 1)
    assert failed.error is not None
    assert failed.error["code"] == "invalid_provider"
    assert host in failed.error["message"]


def test_a_name_that_cannot_be_looked_up_now_is_waited_for(
    place: Workplace, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr("outbound.sockets.socket.getaddrinfo", away)
    place.settings = place.settings.model_copy(update={"provider_allow_hosts": "gpu-box:80"})
    waiting = ran(place, submit_to(place, "http://gpu-box/v1"))
    assert waiting.status == "queued"
    shown = ShownJob.of(waiting)
    assert shown.waiting is not None
    assert "gpu-box" in shown.waiting.message
    assert "Temporary failure" in shown.waiting.message


def submit_to(place: Workplace, url: str) -> Job:
    encoder = catalogue.resolve(
        "openai-compatible", model="m", base_url=url, allowed=place.settings.provider_hosts
    )
    dataset = add_texts(place)
    with place.store.database.begin() as tx:
        return jobs.submit(
            tx,
            "default",
            name="texts",
            dataset_id=dataset.id,
            method="linear_probe",
            config=resolve(method="linear_probe", config=QUICK).to_dict(),
            encoder=encoder.to_dict(),
        )


def test_one_job_that_waits_does_not_hold_up_the_others(place: Workplace, server: Server) -> None:
    """The same slot does another job meanwhile."""
    away = submit(place, server, add_texts(place), model="away")
    here = submit(place, server, add_texts(place), model="here")

    def only_one(request: fault_server.Request, body: dict[str, Any]) -> bool:
        return body["model"] == "away" and BUSY(request, body)

    server.always = only_one
    worker = start_worker(place)
    try:
        wait_until(lambda: place.read(here).status.is_final)
    finally:
        worker.stop()
    assert place.read(here).status == "succeeded"
    assert place.read(away).status == "queued"
    assert ShownJob.of(place.read(away)).waiting is not None


@pytest.mark.parametrize(
    "end", ["", "/", "/v1/embeddings", "/v1/embeddings/", "/embeddings", "/v1//"]
)
def test_a_base_url_that_is_nearly_right_is_found(
    place: Workplace, server: Server, end: str
) -> None:
    def only_v1(request: fault_server.Request, body: dict[str, Any]) -> bool:
        is_right = request.path == "/v1/embeddings"
        return not is_right and status(404, {"detail": "Not Found"})(request, body)

    server.always = only_v1
    root = server.url.removesuffix("/v1")
    job = ran(place, submit(place, server, add_texts(place), base_url=root + end))
    assert job.status == "succeeded", job.error
    assert job.encoder is not None
    assert job.encoder["base_url"] == server.url, "the head asks there"


def test_a_base_url_that_leads_nowhere_is_named_whole(place: Workplace, server: Server) -> None:
    server.always = status(404, {"detail": "Not Found"})
    job = ran(place, submit(place, server, add_texts(place), base_url=f"{server.url}/x"))
    assert job.status == "failed"
    assert job.error is not None
    assert f"{server.url}/x/embeddings" in job.error["message"]
    assert "/v1" in job.error["message"]
    assert len(server.requests) <= 4


def test_the_one_bad_text_is_named_by_row_and_its_neighbours_are_not_paid_again(
    place: Workplace, server: Server
) -> None:
    dataset = add_texts(place)
    server.always = when(lambda texts: "test 7" in texts, 500, {"error": "cannot do that"})
    failed = ran(place, submit(place, server, dataset))
    assert (failed.status, failed.attempt) == ("failed", 1)
    assert failed.error is not None
    assert (failed.error["row"], failed.error["split"]) == (67, "test")
    assert "row 67" in failed.error["message"]
    assert len(server.requests) <= 30
    server.requests.clear()
    server.always = None
    done = ran(place, submit(place, server, dataset))
    assert done.status == "succeeded"
    assert "test 7" in asked_for(server)
    assert len(asked_for(server)) < 119, "those that came with it were kept"


@pytest.mark.parametrize("code", [ProviderBusy.code, ProviderUnavailable.code])
def test_probe_texts_after_a_wait_are_only_looked_at_for_others_want_the_slot(code: str) -> None:
    assert Memory(n_waits=1, code=code).patience(is_for_probes=True).give_up_seconds == 0
    assert Memory().patience(is_for_probes=True).give_up_seconds > 0
    is_patient = Memory(n_waits=1, code=code).patience().give_up_seconds > 0
    assert is_patient == (code == ProviderBusy.code)
