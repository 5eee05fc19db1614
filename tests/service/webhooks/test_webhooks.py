"""Webhooks over HTTP: made, changed, pinged, rotated, replayed, and never showing a secret."""

import logging
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from service.settings import ServiceSettings
from service.webhooks import delivery_routes
from service.webhooks.schemas import NewWebhook, WebhookPatch
from store.store import Store
from store.webhooks.endpoints import MOST_ENDPOINTS
from tests.servers.receiver import Receiver
from tests.service.in_process import InProcess, add_dataset, assert_problem, example
from tests.service.webhooks.conftest import EVENTS, PUBLIC, Make
from tests.store.made_rows import clock_ahead
from tests.support.waiting import wait_until
from workers.webhooks.courier import Courier


def deliveries(client: InProcess, webhook: dict[str, Any], **query: str) -> list[dict[str, Any]]:
    response = client.get(f"/webhooks/{webhook['id']}/deliveries", params=query)
    assert response.status_code == 200, response.text
    items: list[dict[str, Any]] = response.json()["items"]
    return items


def when(client: InProcess, webhook: dict[str, Any], status: str) -> dict[str, Any]:
    """The webhook's latest delivery, once it has this status."""
    return wait_until(
        lambda: next(
            (one for one in deliveries(client, webhook)[:1] if one["status"] == status), None
        )
    )


def test_a_webhook_shows_its_secret_once(client: InProcess, make: Make) -> None:
    made = make()
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert len(secret) == 6 + 44
    assert made["events"] == EVENTS
    assert (made["status"], made["failing_since"]) == ("enabled", None)
    assert client.get("/webhooks").json() == {"items": [made]}
    assert client.get(f"/webhooks/{made['id']}").json() == made
    assert client.delete(f"/webhooks/{made['id']}").status_code == 204
    assert client.get("/webhooks").json() == {"items": []}


def test_the_examples_are_valid() -> None:
    for model in (NewWebhook, WebhookPatch):
        model.model_validate(example(model))


def test_an_event_arrives_and_is_logged(
    client: InProcess, make: Make, store: Store, receiver: Receiver, courier: Courier
) -> None:
    made = make()
    dataset_id = add_dataset(store)
    listed = when(client, made, "succeeded")
    assert listed["type"] == "dataset.created"
    assert listed["next_attempt_at"] is None
    shown = client.get(f"/deliveries/{listed['id']}").json()
    assert shown["body"]["data"]["dataset_id"] == dataset_id
    assert client.get(shown["body"]["data"]["path"]).status_code == 200
    assert [one["status"] for one in shown["attempts"]] == [204]
    assert receiver.ids == [shown["message_id"]]
    assert receiver.messages[0] == shown["body"]


def test_a_ping_shows_what_the_receiver_answered(
    client: InProcess, make: Make, receiver: Receiver, courier: Courier
) -> None:
    made = make()
    receiver.manner = lambda post: post.answer(418, b"I am a teapot")
    response = client.post(f"/webhooks/{made['id']}/ping")
    assert response.status_code == 200
    body = response.json()
    assert (body["type"], body["kind"], body["status"]) == ("ping", "ping", "failed")
    [attempt] = body["attempts"]
    assert (attempt["status"], attempt["excerpt"]) == (418, "I am a teapot")
    assert client.get(f"/webhooks/{made['id']}").json()["failing_since"] is None
    assert receiver.types == ["ping"]


def test_a_ping_without_a_worker_is_told_to_wait(
    client: InProcess, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_routes, "PING_SECONDS", 0.2)
    response = client.post(f"/webhooks/{make()['id']}/ping")
    assert response.status_code == 202
    assert (response.json()["status"], response.json()["attempts"]) == ("pending", [])


def test_after_a_rotation_both_secrets_verify(
    client: InProcess, make: Make, receiver: Receiver, courier: Courier
) -> None:
    made = make()
    rotated = client.post(f"/webhooks/{made['id']}/rotate").json()
    assert rotated["secret"] not in {made["secret"], None}
    assert rotated["old_secret_until"] is not None
    receiver.secrets = [made["secret"], rotated["secret"]]
    assert client.post(f"/webhooks/{made['id']}/ping").json()["status"] == "succeeded"
    assert receiver.refused == []


def test_what_failed_is_sent_again_under_its_id(
    client: InProcess, make: Make, store: Store, receiver: Receiver, courier: Courier
) -> None:
    made = make()
    receiver.manner = lambda post: post.answer(500)
    add_dataset(store)
    pending = when(client, made, "pending")
    off = client("PATCH", f"/webhooks/{made['id']}", json={"enabled": False}).json()
    assert (off["status"], off["disabled_why"]) == ("disabled", "by_hand")
    failed = when(client, made, "failed")
    assert failed["id"] == pending["id"]
    for path in (f"/deliveries/{failed['id']}/replay", f"/webhooks/{made['id']}/ping"):
        assert_problem(client.post(path), 409, "webhook_disabled")
    on = client("PATCH", f"/webhooks/{made['id']}", json={"enabled": True}).json()
    assert (on["status"], on["disabled_why"]) == ("enabled", None)
    receiver.manner = lambda post: post.answer(200)
    replay = f"/webhooks/{made['id']}/replay"
    response = client.post(replay, params={"since": "2026-01-01T00:00:00+01:00"})
    assert (response.status_code, response.json()) == (202, {"n_deliveries": 1})
    assert when(client, made, "succeeded")["kind"] == "replay"
    again = client.post(f"/deliveries/{failed['id']}/replay")
    assert (again.status_code, again.json()["status"]) == (202, "pending")
    wait_until(lambda: len(receiver.ids) >= 3)
    assert set(receiver.ids) == {failed["message_id"]}
    assert client.post(replay, params={"since": "2099-01-01T00:00:00Z"}).json() == {
        "n_deliveries": 0
    }


def test_deliveries_are_listed_by_page_and_status(
    client: InProcess, make: Make, store: Store
) -> None:
    made = make()
    for _ in range(3):
        add_dataset(store)
    assert len(deliveries(client, made)) == 3
    assert deliveries(client, made, status="failed") == []
    first = client.get(f"/webhooks/{made['id']}/deliveries", params={"limit": 2}).json()
    rest = deliveries(client, made, cursor=first["next_cursor"])
    assert [*first["items"], *rest] == deliveries(client, made)


def test_a_change_leaves_the_rest_as_it_is(client: InProcess, make: Make) -> None:
    made = make()
    del made["secret"]
    path = f"/webhooks/{made['id']}"
    assert client("PATCH", path, json={}).json() == made
    body = {"events": ["job.failed", "job.failed"], "description": "mine"}
    assert client("PATCH", path, json=body).json() == made | {
        "events": ["job.failed"],
        "description": "mine",
    }
    assert client("PATCH", path, json={"url": PUBLIC}).json()["url"] == PUBLIC


def test_what_is_older_than_30_days_is_gone(client: InProcess, make: Make, store: Store) -> None:
    made = make()
    add_dataset(store)
    [sent] = deliveries(client, made)
    with clock_ahead(31 * 86_400):
        assert_problem(client.post(f"/deliveries/{sent['id']}/replay"), 410, "message_gone")
        assert_problem(client.get(f"/deliveries/{sent['id']}"), 410, "message_gone")


def test_the_21st_webhook_is_refused(client: InProcess) -> None:
    body = {"url": PUBLIC, "events": EVENTS}
    for _ in range(MOST_ENDPOINTS):
        assert client.post("/webhooks", json=body).status_code == 201
    detail = assert_problem(client.post("/webhooks", json=body), 403, "quota_exceeded")["detail"]
    assert "20" in detail


def test_a_secret_is_in_no_log_no_database_and_no_error(
    client: InProcess,
    make: Make,
    store: Store,
    settings: ServiceSettings,
    receiver: Receiver,
    courier: Courier,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    token = "token-canary-4711"
    made = make(f"{receiver.url}&t={token}")
    rotated = client.post(f"/webhooks/{made['id']}/rotate").json()
    answers = [
        client.post(f"/webhooks/{made['id']}/ping"),
        client.get("/webhooks"),
        client.get(f"/webhooks/{made['id']}"),
        client.post("/webhooks", json={"url": PUBLIC, "events": [made["secret"]]}),
        client.get(f"/webhooks/{made['id']}/deliveries"),
    ]
    assert receiver.types == ["ping"]
    dump = "\n".join(sqlite3.connect(settings.data_dir / "nmtune.db").iterdump())
    everywhere = {"log": caplog.text, "database": dump}
    for n, answer in enumerate(answers[:3]):
        everywhere[f"answer {n}"] = answer.text
    for where, text in everywhere.items():
        for secret in (made["secret"], rotated["secret"]):
            assert secret not in text, where
            assert secret.removeprefix("whsec_") not in text, where
    assert token not in caplog.text


def test_a_secret_row_of_another_webhook_signs_nothing(
    client: InProcess,
    make: Make,
    settings: ServiceSettings,
    receiver: Receiver,
    courier: Courier,
) -> None:
    """Tenant and endpoint are sealed in."""
    first, second = make(), make()
    path: Path = settings.data_dir / "nmtune.db"
    with sqlite3.connect(path) as connection:
        connection.execute(
            "UPDATE webhook_endpoints SET sealed = (SELECT sealed FROM webhook_endpoints"
            " WHERE id = ?) WHERE id = ?",
            (first["id"], second["id"]),
        )
    connection.close()
    body = client.post(f"/webhooks/{second['id']}/ping").json()
    assert body["attempts"][0]["error"] == "secret_unreadable"
    assert receiver.ids == []
