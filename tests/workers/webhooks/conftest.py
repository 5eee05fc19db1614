"""A store, a receiver that verifies, and couriers between them."""

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from outbound import webhook_secret
from store.bytes.local import LocalArtifacts
from store.database.connection import Database
from store.store import Store
from store.webhooks import endpoints
from store.webhooks.endpoints import Endpoint
from tests.servers.postgres import PostgresServer
from tests.servers.receiver import Receiver, receiving
from workers.webhooks.courier import Courier

KEY = secrets.token_bytes(32)
Subscribe = Callable[..., Endpoint]


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(
    request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path
) -> Iterator[str]:
    if request.param == "sqlite":
        path = tmp_path / "nmtune.db"
        shutil.copyfile(sqlite_template, path)
        yield f"sqlite:///{path}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = f"test_{secrets.token_hex(8)}"
    yield server.create(name)
    server.drop(name)


@pytest.fixture
def store(database_url: str, tmp_path: Path) -> Iterator[Store]:
    store = Store(
        database=Database.open(database_url), artifacts=LocalArtifacts(tmp_path / "artifacts")
    )
    yield store
    store.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def subscribe(store: Store, receiver: Receiver) -> Subscribe:
    """Make an endpoint at the receiver, which then verifies with its secret."""

    def subscribe(url: str = receiver.url, *, key: bytes = KEY) -> Endpoint:
        endpoint_id, secret = endpoints.new_endpoint_id(), webhook_secret.new_secret()
        sealed = webhook_secret.seal(secret, key=key, tenant_id="default", endpoint_id=endpoint_id)
        receiver.secrets = [secret]
        with store.database.begin() as tx:
            return endpoints.add(
                *(tx, "default", endpoint_id),
                url=url,
                events=["dataset.created"],
                sealed=sealed,
            )

    return subscribe


@contextmanager
def carrying(store: Store, receiver: Receiver, **options: object) -> Iterator[Courier]:
    """A courier at work, that may go to the receiver."""
    usual = {"key": KEY, "allowed": frozenset([receiver.host]), "poll_seconds": 0.02}
    courier = Courier(store, **usual | options)  # type: ignore[arg-type]
    courier.start()
    try:
        yield courier
    finally:
        courier.stop()
