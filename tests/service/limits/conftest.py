"""The real app with keys on, limits to choose, and a clock of the limits that a test moves."""

from collections.abc import Callable
from typing import Any

import pytest

from service.app import create_app
from service.settings import ServiceSettings
from store.queue import LocalQueue
from store.store import Store
from tests.service.access.asking import Asking
from tests.service.in_process import publish
from tests.store.access.access_calls import make_key

ROW = {"head": "pets@prod", "embeddings": [[0.1, 0.2, 0.3]]}
Limited = Callable[..., Asking]


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.at = 1_000_000.0

    def now(self) -> float:
        return self.at

    def pass_seconds(self, seconds: float) -> None:
        self.at += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the buckets."""
    clock = Clock()
    monkeypatch.setattr("service.limits.allowance.time.monotonic", clock.now)
    return clock


@pytest.fixture
def limited(settings: ServiceSettings, store: Store) -> Limited:
    """Makes an app with keys whose settings have these limits, and no others."""

    def make(**limits: Any) -> Asking:
        rates = ("predict_rows", "reads", "writes", "uploads")
        chosen = {f"limit_{name}_per_second": "none" for name in rates}
        chosen |= {"auth": "on"} | {f"limit_{name}": value for name, value in limits.items()}
        return Asking(
            create_app(settings.model_copy(update=chosen), store=store, queue=LocalQueue())
        )

    return make


@pytest.fixture
def key(store: Store) -> str:
    return make_key(store).secret


@pytest.fixture
def head(store: Store, trained: bytes) -> str:
    """A head that answers."""
    publish(store, trained, alias="prod")
    return "pets"
