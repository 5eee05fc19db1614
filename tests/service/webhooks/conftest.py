"""A service that takes webhooks, a receiver it may reach, and a courier beside it."""

import base64
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from service.app import create_app
from service.settings import ServiceSettings
from store.store import Store
from tests.servers.receiver import Receiver, receiving
from tests.service.in_process import InProcess, RecordingQueue
from workers.webhooks.courier import Courier

SECRET_KEY = base64.b64encode(b"s" * 32).decode()
PUBLIC = "https://8.8.8.8/hook"
"""An address that needs no name server, and that nothing is sent to."""
EVENTS = ["dataset.created"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def settings(settings: ServiceSettings, receiver: Receiver) -> ServiceSettings:
    host, port = receiver.host
    given = settings.model_dump(include={"data_dir", "database_url", "events_poll_seconds"})
    return ServiceSettings(
        **given, secret_key=SECRET_KEY, webhook_allow_hosts=f"{host}:{port}, good.example:80"
    )


@pytest.fixture
def client(settings: ServiceSettings, store: Store) -> Iterator[InProcess]:
    app = create_app(settings, store=store, queue=RecordingQueue())
    yield InProcess(app)
    app.state.services.text_predictor.close()


@pytest.fixture
def courier(settings: ServiceSettings, store: Store) -> Iterator[Courier]:
    courier = Courier(store, key=settings.secret, allowed=settings.webhook_hosts, poll_seconds=0.02)
    courier.start()
    yield courier
    courier.stop()


Make = Callable[..., dict[str, Any]]


@pytest.fixture
def make(client: InProcess, receiver: Receiver) -> Make:
    """Make a webhook; the receiver then verifies with its secret."""

    def make(url: str = receiver.url, events: list[str] = EVENTS) -> dict[str, Any]:
        response = client.post("/webhooks", json={"url": url, "events": events})
        assert response.status_code == 201, response.text
        made: dict[str, Any] = response.json()
        receiver.secrets = [made["secret"]]
        return made

    return make
