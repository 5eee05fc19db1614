"""A migrated store on each back end."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from store.bytes.local import LocalArtifacts
from store.database.connection import Database
from store.store import Store
from tests.servers.postgres import PostgresServer
from tests.servers.s3 import s3, s3_client, s3_port, signed_in  # noqa: F401  fixtures
from tests.store.made_rows import Rows

OpenStore = Callable[[], Store]


@pytest.fixture
def folder(fast_folder: Path) -> Iterator[Path]:
    """A folder for one test."""
    with tempfile.TemporaryDirectory(dir=fast_folder) as name:
        yield Path(name)


@contextmanager
def _sqlite(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    path = folder / "nmtune.db"
    shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
    yield f"sqlite:///{path}"


@contextmanager
def _postgresql(request: pytest.FixtureRequest, _folder: Path) -> Iterator[str]:
    server: PostgresServer = request.getfixturevalue("postgres")
    name = f"test_{uuid4().hex}"
    yield server.create(name)
    server.drop(name)


# The conformance suite: every test that takes `store` runs on each back end named here.
BACKENDS = {"sqlite": _sqlite, "postgresql": _postgresql}


@pytest.fixture(params=BACKENDS)
def database_url(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """The URL of an empty, migrated database."""
    with BACKENDS[request.param](request, folder) as url:
        yield url


@pytest.fixture
def open_store(database_url: str, folder: Path) -> Iterator[OpenStore]:
    """Open the test's store once more, as another process would."""
    opened: list[Store] = []

    def open_one() -> Store:
        artifacts = LocalArtifacts(folder / "artifacts")
        opened.append(Store(database=Database.open(database_url), artifacts=artifacts))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: OpenStore) -> Store:
    """A store with nothing in it."""
    return open_store()


@pytest.fixture
def rows(store: Store) -> Rows:
    """Makes rows in the test's store."""
    return Rows(store)
