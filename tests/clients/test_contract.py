"""The client's calls against the server's own description of its routes."""

import re
from pathlib import Path

import pytest

from service.app import create_app
from service.settings import ServiceSettings
from store.queue import LocalQueue
from store.store import Store
from tests.clients.routes import routes_of_the_client

# For people, browsers and orchestrators; a batch of one goes through POST /predict.
NOT_FOR_THIS_CLIENT = {("GET", path) for path in ("/livez", "/readyz", "/metrics", "/predict")}
# For browsers, which keep a session where this client sends a key.
NOT_FOR_THIS_CLIENT |= {("POST", "/session"), ("DELETE", "/session")}
# For tus clients that others wrote; this one asks with GET.
NOT_FOR_THIS_CLIENT |= {("OPTIONS", "/uploads"), ("HEAD", "/uploads/{}")}
# For the clients of the Open Inference Protocol.
OTHERS_FOLDER = "v2"


@pytest.fixture(scope="module")
def offered(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    folder: Path = tmp_path_factory.mktemp("contract")
    settings = ServiceSettings(data_dir=folder)
    store = Store.open(settings)
    try:
        description = create_app(settings, store=store, queue=LocalQueue()).openapi()
    finally:
        store.close()
    return {
        (method.upper(), anonymous(path))
        for path, methods in description["paths"].items()
        if path.split("/")[1] != OTHERS_FOLDER
        for method in methods
    }


def anonymous(template: str) -> str:
    """A path template without the names of its parameters."""
    return re.sub(r"\{[^}]*\}", "{}", template)


def asked() -> set[tuple[str, str]]:
    return {(route.method, anonymous(route.template)) for route in routes_of_the_client()}


def test_every_call_has_its_route(offered: set[tuple[str, str]]) -> None:
    assert asked() - offered == set()


def test_every_route_has_its_call(offered: set[tuple[str, str]]) -> None:
    assert offered - asked() == NOT_FOR_THIS_CLIENT
