"""`client.webhooks`, `nmtune webhooks`, and what a receiver verifies."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from nmtune_client import (
    APIConnectionError,
    AsyncClient,
    Client,
    ServerError,
    WebhookVerificationError,
    verify_webhook,
)
from standardwebhooks.webhooks import Webhook as Library

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
OTHER = "whsec_" + base64.b64encode(b"o" * 32).decode()
BODY = b'{"type":"job.succeeded","data":{"job_id":"job_1"}}'
WEBHOOK = {
    "id": "ep_1",
    "url": "https://hooks.example/",
    "events": ["job.failed"],
    "description": None,
    "status": "enabled",
    "disabled_why": None,
    "disabled_at": None,
    "failing_since": "2026-12-01T00:00:00Z",
    "old_secret_until": None,
    "created_at": "2026-12-01T00:00:00Z",
}
DELIVERY = {
    "id": "dlv_1",
    "webhook_id": "ep_1",
    "message_id": "msg_1",
    "type": "ping",
    "kind": "ping",
    "status": "failed",
    "n_attempts": 1,
    "next_attempt_at": None,
    "created_at": "2026-12-01T00:00:00Z",
    "finished_at": None,
}
TRIED = DELIVERY | {
    "body": {"type": "ping"},
    "attempts": [
        {"n": 1, "at": None, "milliseconds": 12, "status": 500, "error": None, "excerpt": "oops"}
    ],
}


def signed(
    body: bytes = BODY, secret: str = SECRET, *, age: int = 0, message_id: str = "msg_1"
) -> dict[str, str]:
    """What the public library signs."""
    moment = datetime.fromtimestamp(int(time.time()) - age, UTC)
    signature = Library(secret).sign(message_id, moment, body.decode())
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": signature,
    }


def test_a_message_of_the_public_library_is_read() -> None:
    assert verify_webhook(BODY, signed(), SECRET) == json.loads(BODY)
    assert verify_webhook(BODY.decode(), signed(age=-200), SECRET)["type"] == "job.succeeded"


def test_names_of_headers_may_be_in_any_case() -> None:
    headers = {name.title(): value for name, value in signed().items()}
    assert verify_webhook(BODY, headers, SECRET)["type"] == "job.succeeded"


@pytest.mark.parametrize("order", ["first", "last"])
def test_one_fitting_signature_of_several_is_enough(order: str) -> None:
    fitting, other = signed()["webhook-signature"], signed(secret=OTHER)["webhook-signature"]
    several = [fitting, "v1a,AAAA", "v1,%%", "nonsense", other]
    together = " ".join(several if order == "first" else reversed(several))
    message = verify_webhook(BODY, signed() | {"webhook-signature": together}, SECRET)
    assert message["type"] == "job.succeeded"


@pytest.mark.parametrize(
    ("body", "headers", "words"),
    [
        (BODY + b" ", lambda: signed(), "raw body"),
        (BODY, lambda: signed(secret=OTHER), "secret is another"),
        (BODY, lambda: signed() | {"webhook-id": "msg_2"}, "No signature"),
        (BODY, lambda: signed(age=301 + 60), "old"),
        (BODY, lambda: signed(age=-301 - 60), "future"),
        (BODY, lambda: signed() | {"webhook-timestamp": "soon"}, "no time"),
        (BODY, lambda: signed() | {"webhook-timestamp": "1" * 40}, "no time"),
        (BODY, lambda: signed() | {"webhook-signature": "v1a,AAAA"}, "No signature"),
        (BODY, lambda: signed() | {"webhook-signature": "v1,"}, "No signature"),
        (BODY, lambda: signed() | {"webhook-signature": ""}, "webhook-signature is missing"),
        (BODY, dict, "webhook-id is missing"),
        (b"[1]", lambda: signed(b"[1]"), "no JSON object"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_refused_in_words(
    body: bytes, headers: Callable[[], dict[str, str]], words: str
) -> None:
    with pytest.raises(WebhookVerificationError, match=words) as caught:
        verify_webhook(body, headers(), SECRET)
    assert SECRET not in str(caught.value)


def test_every_signature_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    compare = hmac.compare_digest
    monkeypatch.setattr("hmac.compare_digest", lambda a, b: compared.append(a) or compare(a, b))
    fitting, other = signed()["webhook-signature"], signed(secret=OTHER)["webhook-signature"]
    verify_webhook(BODY, signed() | {"webhook-signature": f"{fitting} {other}"}, SECRET)
    assert len(compared) == 2, "the first that fits ends nothing"


@pytest.mark.parametrize("secret", ["", "whsec_", "k" * 32, "whsec_%%%"])
def test_a_secret_that_is_none_is_said_at_once(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        verify_webhook(BODY, signed(), secret)


def test_a_parsed_body_is_refused() -> None:
    with pytest.raises(TypeError, match="raw bytes"):
        verify_webhook(json.loads(BODY), signed(), SECRET)  # type: ignore[arg-type]


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest, server: Any) -> Callable[[Callable[[Any], Any]], Any]:
    """The value of a call, made by either client."""

    def sync(call: Callable[[Any], Any]) -> Any:
        with Client(server.url) as client:
            return call(client)

    async def awaited(call: Callable[[Any], Any]) -> Any:
        async with AsyncClient(server.url) as client:
            return await call(client)

    return sync if request.param == "sync" else lambda call: asyncio.run(awaited(call))


def test_a_webhook_is_made_with_its_secret_which_no_repr_shows(server: Any, ask: Any) -> None:
    server.on("POST", "/webhooks", server.ok(WEBHOOK | {"secret": SECRET}, status=201))
    made = ask(lambda client: client.webhooks.create("https://hooks.example/", ["job.failed"]))
    assert made.secret == SECRET
    assert made.events == ("job.failed",)
    assert SECRET not in repr(made)
    assert server.seen("POST", "/webhooks")[0].json == {
        "url": "https://hooks.example/",
        "events": ["job.failed"],
        "description": None,
    }


@pytest.mark.parametrize("path", ["/webhooks", "/webhooks/ep_1/rotate"])
def test_what_would_be_done_twice_is_sent_once(server: Any, ask: Any, path: str) -> None:
    server.on("POST", path, server.problem(502, "bad_gateway", "a proxy lost the answer"))
    with pytest.raises(ServerError):
        ask(
            lambda client: (
                client.webhooks.create("https://a.example/", ["job.failed"])
                if path == "/webhooks"
                else client.webhooks.rotate("ep_1")
            )
        )
    assert len(server.seen("POST", path)) == 1


def test_only_what_is_given_is_changed(server: Any, ask: Any) -> None:
    server.on("PATCH", "/webhooks/ep_1", server.ok(WEBHOOK))
    changed = ask(lambda client: client.webhooks.update("ep_1", enabled=False))
    assert server.seen("PATCH", "/webhooks/ep_1")[0].json == {"enabled": False}
    assert changed.failing_since == datetime(2026, 12, 1, tzinfo=UTC)


def test_a_ping_has_the_receivers_answer(server: Any, ask: Any) -> None:
    server.on("POST", "/webhooks/ep_1/ping", server.ok(TRIED))
    delivery = ask(lambda client: client.webhooks.ping("ep_1"))
    assert (delivery.status, str(delivery.attempts[0])) == ("failed", "answered 500")
    assert delivery.body == {"type": "ping"}


def test_a_time_without_its_zone_is_refused_before_anything_is_sent(server: Any, ask: Any) -> None:
    with pytest.raises(ValueError, match="time zone"):
        ask(lambda client: client.webhooks.replay_failed("ep_1", since=datetime(2026, 12, 1)))  # noqa: DTZ001
    assert server.seen("POST", "/webhooks/ep_1/replay") == []


def test_deliveries_come_page_by_page(server: Any) -> None:
    server.on(
        "GET",
        "/webhooks/ep_1/deliveries",
        server.ok({"items": [DELIVERY], "next_cursor": "c"}),
        server.ok({"items": [DELIVERY | {"id": "dlv_2"}], "next_cursor": None}),
    )
    with Client(server.url) as client:
        found = [one.id for one in client.webhooks.deliveries("ep_1", status="failed")]
    assert found == ["dlv_1", "dlv_2"]


def test_the_command_shows_a_new_secret_alone_on_stdout(server: Any, nmtune: Any) -> None:
    server.on("POST", "/webhooks", server.ok(WEBHOOK | {"secret": SECRET}, status=201))
    code, out, err = nmtune("webhooks", "create", "https://hooks.example/", "job.failed")
    assert (code, out) == (0, f"{SECRET}\n")
    assert "never shows again" in err
    code, out, _ = nmtune("webhooks", "create", "https://hooks.example/", "job.failed", "--json")
    assert json.loads(out)["secret"] == SECRET


def test_the_other_commands(server: Any, nmtune: Any) -> None:
    server.on("GET", "/webhooks", server.ok({"items": [WEBHOOK]}))
    server.on("DELETE", "/webhooks/ep_1", server.ok(None, status=204))
    server.on("PATCH", "/webhooks/ep_1", server.ok(WEBHOOK))
    server.on("POST", "/webhooks/ep_1/rotate", server.ok(WEBHOOK | {"secret": SECRET}))
    server.on("POST", "/webhooks/ep_1/ping", server.ok(TRIED))
    page = {"items": [DELIVERY], "next_cursor": None}
    server.on("GET", "/webhooks/ep_1/deliveries", server.ok(page))
    server.on("POST", "/webhooks/ep_1/replay", server.ok({"n_deliveries": 3}, status=202))
    server.on("POST", "/deliveries/dlv_1/replay", server.ok(DELIVERY, status=202))
    for line, expected, words in [
        (["webhooks"], 0, "enabled (failing)"),
        (["webhooks", "list", "--json"], 0, '"id": "ep_1"'),
        (["webhooks", "delete", "ep_1"], 0, "Deleted ep_1"),
        (["webhooks", "enable", "ep_1"], 0, "Enabled ep_1"),
        (["webhooks", "rotate", "ep_1"], 0, SECRET),
        (["webhooks", "ping", "ep_1"], 1, "failed: answered 500 in 12 ms"),
        (["webhooks", "deliveries", "ep_1"], 0, "dlv_1"),
        (["webhooks", "replay", "dlv_1"], 0, "1 will be sent again"),
        (["webhooks", "replay", "ep_1", "--since", "2026-12-01T08:00Z"], 0, "3 will be"),
    ]:
        code, out, err = nmtune(*line)
        assert code == expected, (line, err)
        assert words in out + err, line
    sent = server.seen("POST", "/webhooks/ep_1/replay")[0]
    assert sent.query["since"].startswith("2026-12-01T")


def test_a_server_that_is_away_is_told(nmtune: Any) -> None:
    with pytest.raises(APIConnectionError), Client("http://127.0.0.1:9") as client:
        client.webhooks.create("https://hooks.example/", ["job.failed"])
