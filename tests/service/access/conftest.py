"""The real app with keys on, and a key of each scope."""

from typing import Any

import pytest
from fastapi import FastAPI

from service.app import create_app
from service.settings import ServiceSettings
from store.queue import LocalQueue
from store.store import Store
from tests.service.access.asking import Asking
from tests.service.in_process import publish
from tests.store.access.access_calls import make_key

SCOPES = ("predict", "read", "write", "admin")


@pytest.fixture
def settings(settings: ServiceSettings) -> ServiceSettings:
    return settings.model_copy(update={"auth": "on"})


@pytest.fixture
def secrets(store: Store) -> dict[str, str]:
    """A key of each scope."""
    return {scope: make_key(store, name=scope, scopes=[scope]).secret for scope in SCOPES}


@pytest.fixture
def ask(app: FastAPI) -> Asking:
    """A client that sends keys."""
    return Asking(app)


@pytest.fixture
def other(settings: ServiceSettings, store: Store) -> Asking:
    """Another process of the same service, as far as keys are concerned."""
    return Asking(create_app(settings, store=store, queue=LocalQueue()))


@pytest.fixture
def head(store: Store, trained: bytes) -> str:
    """A head that answers."""
    publish(store, trained, alias="prod")
    return "pets"


@pytest.fixture
def row() -> dict[str, Any]:
    return {"head": "pets", "embeddings": [[0.1, 0.2, 0.3]]}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> "Clock":
    """This process's clock, to be moved; the database's stays."""
    clock = Clock()
    monkeypatch.setattr("service.access.known_keys.time.monotonic", clock.now)
    return clock


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.at = 1_000_000.0

    def now(self) -> float:
        return self.at

    def pass_seconds(self, seconds: float) -> None:
        self.at += seconds
