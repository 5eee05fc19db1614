"""The app behind a real uvicorn: streams, clients that leave, and an orderly stop."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from fastapi import FastAPI

from store import transitions
from store.store import Store
from tests.service.in_process import add_job, claim, succeed
from tests.support.http import Running, serve
from tests.support.waiting import wait_until

STREAM = {"accept": "text/event-stream"}


@pytest.fixture
def running(app: FastAPI) -> Iterator[Running]:
    with serve(app) as found:
        yield found


@contextmanager
def _stream(running: Running, job_id: str) -> Iterator[Iterator[str]]:
    with httpx.stream(
        "GET", f"{running.url}/jobs/{job_id}/events", headers=STREAM, timeout=60
    ) as response:
        assert response.status_code == 200
        yield response.iter_lines()


def _next_event(lines: Iterator[str]) -> str:
    return next(line for line in lines if line.startswith("event: "))


def test_a_stream_tells_events_as_they_happen_and_that_it_lives_between_them(
    running: Running, store: Store, trained: bytes
) -> None:
    job_id = add_job(store)
    with _stream(running, job_id) as lines:
        assert _next_event(lines) == "event: job.queued"
        job = claim(store, job_id)
        assert _next_event(lines) == "event: job.started"
        comment = next(line for line in lines if line.startswith(":"))
        assert comment == ": still here"
        succeed(store, job, trained)
        assert _next_event(lines) == "event: head.published"
        assert _next_event(lines) == "event: job.succeeded"
        assert [line for line in lines if line.startswith("event")] == []


def test_a_stopping_server_ends_its_streams_at_once(running: Running, store: Store) -> None:
    job_id = add_job(store)
    with _stream(running, job_id) as lines:
        assert _next_event(lines) == "event: job.queued"
        running.stop()
        assert not any(line.startswith("event") for line in lines)
    running.thread.join(30)
    assert not running.thread.is_alive()


def test_a_client_that_leaves_ends_its_stream(
    running: Running, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    job_id = add_job(store)
    with _stream(running, job_id) as lines:
        assert _next_event(lines) == "event: job.queued"
    wait_until(lambda: f"path=/jobs/{job_id}/events" in caplog.text)
    assert "Traceback" not in caplog.text
    assert "request.crashed" not in caplog.text


def test_a_client_that_leaves_in_the_middle_of_a_body_is_no_crash(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    address = httpx.URL(running.url)
    with socket.create_connection((address.host, address.port or 0), timeout=60) as connection:
        connection.sendall(
            b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b'Content-Length: 1000\r\n\r\n{"name":'
        )
        wait_until(lambda: bool(running.server.server_state.tasks))
    wait_until(lambda: "request.finished" in caplog.text)
    assert "request.crashed" not in caplog.text
    assert "Traceback" not in caplog.text


def test_a_body_that_is_too_large_is_answered_over_a_true_connection(running: Running) -> None:
    response = httpx.post(
        f"{running.url}/jobs",
        content=(b" " * 10_000 for _ in range(30)),
        headers={"content-type": "application/json"},
    )
    assert response.status_code == 413
    assert response.json()["code"] == "body_too_large"


def test_a_cancelled_job_ends_its_stream(running: Running, store: Store) -> None:
    job_id = add_job(store)
    job = claim(store, job_id)
    with _stream(running, job_id) as lines:
        httpx.post(f"{running.url}/jobs/{job_id}/cancel")
        with store.database.begin() as tx:
            transitions.cancel(tx, job)
        events = [line for line in lines if line.startswith("event")]
    assert events[-2:] == ["event: job.cancel_requested", "event: job.cancelled"]
