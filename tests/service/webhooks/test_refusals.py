"""What bad input gets: each row of the table, and nothing half done."""

from typing import Any

import pytest

from outbound import sockets
from service.app import create_app
from service.settings import ServiceSettings
from store.store import Store
from store.webhooks import endpoints
from tests.service.in_process import InProcess, RecordingQueue, assert_problem
from tests.service.webhooks.conftest import EVENTS, PUBLIC, Make

URLS = {
    "plain http": "http://8.8.8.8/",
    "userinfo": "https://user:pw@8.8.8.8/",
    "fragment": "https://8.8.8.8/#x",
    "port 0": "https://8.8.8.8:0/",
    "loopback": "https://127.0.0.1/",
    "private": "https://10.0.0.1/",
    "metadata": "https://169.254.169.254/latest/meta-data/",
    "metadata by IPv6": "https://[fd00:ec2::254]/",
    "mapped": "https://[::ffff:169.254.169.254]/",
    "odd spelling": "https://0x7f000001/",
    "another odd spelling": "https://2130706433/",
    "name of this machine": "https://localhost/",
    "no host": "https:///x",
    "control characters": "https://8.8.8.8/\n",
    "another port of an allowed host": "http://good.example:81/",
}


@pytest.mark.parametrize("url", URLS.values(), ids=URLS)
def test_a_url_where_nothing_may_go_is_refused(client: InProcess, make: Make, url: str) -> None:
    body = {"url": url, "events": EVENTS}
    problem = assert_problem(client.post("/webhooks", json=body), 422, "url_not_allowed", "url")
    assert "pw" not in problem["detail"]
    assert client.get("/webhooks").json() == {"items": []}
    made = make(PUBLIC)
    changed = client("PATCH", f"/webhooks/{made['id']}", json={"url": url})
    assert_problem(changed, 422, "url_not_allowed", "url")
    assert client.get(f"/webhooks/{made['id']}").json()["url"] == PUBLIC


def test_a_name_that_leads_inside_is_refused_and_its_addresses_are_not_told(
    client: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sockets.socket,
        "getaddrinfo",
        lambda *_, **__: [(0, 0, 0, "", (ip, 443)) for ip in ("8.8.8.8", "10.77.0.1")],
    )
    body = {"url": "https://inside.example/", "events": EVENTS}
    problem = assert_problem(client.post("/webhooks", json=body), 422, "url_not_allowed", "url")
    assert "NMTUNE_WEBHOOK_ALLOW_HOSTS" in problem["detail"]
    assert "10.77" not in problem["detail"]


@pytest.mark.parametrize(
    ("trouble", "status"),
    [(sockets.socket.EAI_NONAME, 422), (sockets.socket.EAI_AGAIN, 201)],
    ids=["no such name", "no name server"],
)
def test_a_name_that_does_not_exist_is_refused_but_not_one_that_may(
    client: InProcess, monkeypatch: pytest.MonkeyPatch, trouble: int, status: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise sockets.socket.gaierror(trouble, "as told")

    monkeypatch.setattr(sockets.socket, "getaddrinfo", fail)
    body = {"url": "https://hooks.example/", "events": EVENTS}
    assert client.post("/webhooks", json=body).status_code == status


BODIES: dict[str, tuple[dict[str, Any], str]] = {
    "unknown event": ({"url": PUBLIC, "events": ["job.done"]}, "events"),
    "ping": ({"url": PUBLIC, "events": ["ping"]}, "events"),
    "empty list": ({"url": PUBLIC, "events": []}, "events"),
    "no events": ({"url": PUBLIC}, "events"),
    "no url": ({"events": EVENTS}, "url"),
    "empty url": ({"url": "", "events": EVENTS}, "url"),
    "long url": ({"url": PUBLIC + "a" * 2000, "events": EVENTS}, "url"),
    "long note": ({"url": PUBLIC, "events": EVENTS, "description": "a" * 501}, "description"),
    "own secret": ({"url": PUBLIC, "events": EVENTS, "secret": "whsec_a"}, "secret"),
    "wrong type": ({"url": 7, "events": EVENTS}, "url"),
}


@pytest.mark.parametrize("case", BODIES)
def test_a_wrong_body_names_its_field(client: InProcess, case: str) -> None:
    body, field = BODIES[case]
    assert_problem(client.post("/webhooks", json=body), 422, "invalid_request", field)
    assert client.get("/webhooks").json() == {"items": []}


@pytest.mark.parametrize(
    "body", [{"events": []}, {"url": None}, {"enabled": None}, {"status": "enabled"}], ids=str
)
def test_a_wrong_change_changes_nothing(
    client: InProcess, make: Make, body: dict[str, Any]
) -> None:
    made = make(PUBLIC)
    before = client.get(f"/webhooks/{made['id']}").json()
    refused = client("PATCH", f"/webhooks/{made['id']}", json=body | {"description": "new"})
    assert_problem(refused, 422, "invalid_request", next(iter(body)))
    assert client.get(f"/webhooks/{made['id']}").json() == before


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "since"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-12-01T00:00:00"}, "since"),
        ({"since": "2026-12-01T00:00:00Z", "limit": "1"}, "limit"),
    ],
    ids=str,
)
def test_a_replay_needs_a_time_with_its_zone(
    client: InProcess, make: Make, query: dict[str, str], field: str
) -> None:
    path = f"/webhooks/{make(PUBLIC)['id']}/replay"
    assert_problem(client.post(path, params=query), 422, "invalid_request", field)


@pytest.mark.parametrize(
    "line",
    [
        "GET /webhooks/ep_1",
        "PATCH /webhooks/ep_1",
        "DELETE /webhooks/ep_1",
        "POST /webhooks/ep_1/rotate",
        "POST /webhooks/ep_1/ping",
        "POST /webhooks/ep_1/replay?since=2026-12-01T00:00:00Z",
        "GET /webhooks/ep_1/deliveries",
        "GET /deliveries/dlv_1",
        "POST /deliveries/dlv_1/replay",
    ],
)
def test_what_does_not_exist_is_not_found(client: InProcess, line: str) -> None:
    method, path = line.split()
    body = {"json": {"description": "x"}} if method == "PATCH" else {}
    assert_problem(client(method, path, **body), 404, "not_found")


@pytest.mark.parametrize(
    "path", ["/webhooks/ep_1/deliveries?cursor=x", "/webhooks/ep_1/deliveries?status=lost"]
)
def test_a_wrong_list_is_refused(client: InProcess, make: Make, path: str) -> None:
    made = make(PUBLIC)
    response = client.get(path.replace("ep_1", made["id"]))
    assert response.status_code == 422


def test_without_a_secret_key_no_webhook_is_made(settings: ServiceSettings, store: Store) -> None:
    given = settings.model_dump(include={"data_dir", "database_url"})
    app = create_app(ServiceSettings(**given), store=store, queue=RecordingQueue())
    client = InProcess(app)
    endpoint_id = endpoints.new_endpoint_id()
    with store.database.begin() as tx:
        endpoints.add(
            tx, "default", endpoint_id, url=PUBLIC, events=EVENTS, sealed=b"by another process"
        )
    for path, body in (
        ("/webhooks", {"url": PUBLIC, "events": EVENTS}),
        (f"/webhooks/{endpoint_id}/rotate", {}),
    ):
        refused = client.post(path, **({"json": body} if body else {}))
        detail = assert_problem(refused, 409, "secret_key_missing")["detail"]
        assert "openssl rand -base64 32" in detail
    assert [one["id"] for one in client.get("/webhooks").json()["items"]] == [endpoint_id]
    app.state.services.text_predictor.close()
