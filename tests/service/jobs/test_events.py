"""A job's events: listed by pages, streamed, and resumed after a break."""

import json
from typing import Any

import pytest
from fastapi import FastAPI

from service.app import create_app
from service.settings import ServiceSettings
from store import transitions
from store.queue import LocalQueue
from store.store import Store
from tests.service.in_process import InProcess, add_job, assert_problem, claim, succeed

STREAM = {"accept": "text/event-stream"}


@pytest.fixture
def finished(store: Store, trained: bytes) -> str:
    """A job with the events queued, started, progress x 2, published, succeeded."""
    job = claim(store, add_job(store))
    for epoch in (1, 2):
        with store.database.begin() as tx:
            transitions.heartbeat(
                tx, job, lease_seconds=60, events=[("job.progress", {"epoch": epoch})]
            )
    return succeed(store, job, trained).id


def _messages(text: str) -> list[dict[str, Any]]:
    """The messages of a stream, by the format's own rules; comments are left out."""
    messages = []
    for block in text.split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in block.split("\n") if line[:1] not in ("", ":")
        )
        if fields:
            messages.append({**fields, "data": json.loads(fields["data"])})
    return messages


def test_events_are_listed_oldest_first_by_pages(client: InProcess, finished: str) -> None:
    first = client.get(f"/jobs/{finished}/events?limit=4").json()
    assert [event["type"] for event in first["items"]] == [
        "job.queued",
        "job.started",
        "job.progress",
        "job.progress",
    ]
    assert first["next_cursor"] == "evt_000004"
    rest = client.get(f"/jobs/{finished}/events?after=evt_000004").json()
    assert [event["id"] for event in rest["items"]] == ["evt_000005", "evt_000006"]
    assert rest["items"][0]["type"] == "head.published"
    assert rest["next_cursor"] is None


def test_a_stream_is_the_same_events_and_ends_with_the_job(
    client: InProcess, finished: str
) -> None:
    response = client.get(f"/jobs/{finished}/events", headers=STREAM)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert "no-cache" in response.headers["cache-control"]
    assert response.headers["x-accel-buffering"] == "no"
    messages = _messages(response.text)
    listed = client.get(f"/jobs/{finished}/events").json()["items"]
    assert [message["data"] for message in messages] == listed
    assert [message["id"] for message in messages] == [event["id"] for event in listed]
    assert messages[-1]["event"] == "job.succeeded"


def test_a_broken_stream_goes_on_where_it_was(client: InProcess, finished: str) -> None:
    path = f"/jobs/{finished}/events"
    resumed = client.get(path, headers=STREAM | {"last-event-id": "evt_000004"})
    assert [message["id"] for message in _messages(resumed.text)] == ["evt_000005", "evt_000006"]
    by_query = client.get(f"{path}?after=evt_000004", headers=STREAM)
    assert by_query.text == resumed.text


def test_the_header_of_a_reconnecting_browser_wins_over_the_query(
    client: InProcess, finished: str
) -> None:
    path = f"/jobs/{finished}/events?after=evt_000001"
    resumed = client.get(path, headers=STREAM | {"last-event-id": "evt_000005"})
    assert [message["id"] for message in _messages(resumed.text)] == ["evt_000006"]


def test_a_stream_resumed_after_the_last_event_ends_at_once(
    client: InProcess, finished: str
) -> None:
    path = f"/jobs/{finished}/events"
    response = client.get(path, headers=STREAM | {"last-event-id": "evt_000006"})
    assert (response.status_code, response.text) == (200, "")


def test_a_stream_ends_when_the_service_stops(
    app: FastAPI, client: InProcess, store: Store
) -> None:
    app.state.services.stopping.set()
    response = client.get(f"/jobs/{add_job(store)}/events", headers=STREAM)
    assert [message["event"] for message in _messages(response.text)] == ["job.queued"]


def test_more_events_than_a_batch_all_come(store: Store, settings: ServiceSettings) -> None:
    job = claim(store, add_job(store))
    with store.database.begin() as tx:
        many = [("job.progress", {"epoch": epoch}) for epoch in range(250)]
        transitions.heartbeat(tx, job, lease_seconds=60, events=many)
        transitions.cancel(tx, job)
    client = InProcess(create_app(settings, store=store, queue=LocalQueue()))
    messages = _messages(client.get(f"/jobs/{job.id}/events", headers=STREAM).text)
    assert [message["id"] for message in messages] == [f"evt_{i:06d}" for i in range(1, 254)]


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("text/event-stream", "text/event-stream"),
        ("text/*", "text/event-stream"),
        ("application/json;q=0.5, text/event-stream", "text/event-stream"),
        ("text/event-stream;q=0.5, application/*;q=0.9", "application/json"),
        ("text/html, */*;q=0.1", "application/json"),
    ],
)
def test_accept_chooses_the_form(
    client: InProcess, finished: str, accept: str, expected: str
) -> None:
    response = client.get(f"/jobs/{finished}/events", headers={"accept": accept})
    assert response.headers["content-type"].partition(";")[0] == expected


@pytest.mark.parametrize("accept", ["image/png", "text/html", "application/json;q=0", "x", ""])
def test_another_form_is_not_to_be_had(client: InProcess, finished: str, accept: str) -> None:
    response = client.get(f"/jobs/{finished}/events", headers={"accept": accept})
    assert_problem(response, 406, "not_acceptable")


@pytest.mark.parametrize(
    ("query", "headers", "field"),
    [
        ("after=12", {}, "after"),
        ("after=evt_x", {}, "after"),
        ("after=evt_9999999999", {}, "after"),
        ("limit=0", {}, "limit"),
        ("after_id=evt_000001", {}, "after_id"),
        ("", {"last-event-id": "12"}, "Last-Event-ID"),
    ],
)
def test_a_wrong_question_is_refused(
    refusing: InProcess, query: str, headers: dict[str, str], field: str
) -> None:
    response = refusing.get(f"/jobs/job_1/events?{query}", headers=headers)
    assert_problem(response, 422, "invalid_request", field)


def test_a_stream_of_an_unknown_job_is_a_404_not_an_empty_stream(refusing: InProcess) -> None:
    assert_problem(refusing.get("/jobs/job_none/events", headers=STREAM), 404, "not_found")
