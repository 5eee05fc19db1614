"""The real app with keys on and a secret that seals; a key of the scope admin."""

import base64
from collections.abc import Iterator

import pytest

from service.app import create_app
from service.settings import ServiceSettings
from store.access.keys import NewKey
from store.store import Store
from tests.service.access.asking import Asking
from tests.service.in_process import RecordingQueue
from tests.store.access.access_calls import make_key


@pytest.fixture
def settings(settings: ServiceSettings) -> ServiceSettings:
    return ServiceSettings(
        **settings.model_dump(include={"data_dir", "database_url", "predict_reference_seconds"}),
        auth="on",
        secret_key=base64.b64encode(b"s" * 32).decode(),
    )


@pytest.fixture
def ask(settings: ServiceSettings, store: Store) -> Iterator[Asking]:
    """A client that sends keys."""
    app = create_app(settings, store=store, queue=RecordingQueue())
    yield Asking(app)
    app.state.services.text_predictor.close()


@pytest.fixture
def admin(store: Store) -> NewKey:
    return make_key(store)
