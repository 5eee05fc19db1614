"""Home of the workers' fixtures: a workplace on a migrated SQLite file."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import migrations
from store.store import Store
from tests.providers import fault_server
from tests.providers.fault_server import Server
from tests.servers.redis import RedisServer
from tests.workers.support import OpenWorkplace, Workplace
from workers.settings import WorkerSettings


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database made by the migrations, to copy."""
    path = tmp_path_factory.mktemp("template") / "nmtune.db"
    migrations.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def open_workplace(sqlite_template: Path) -> Iterator[OpenWorkplace]:
    """Open a workplace in a folder; a short lease and one thread, so that tests are quick."""
    opened: list[Store] = []

    def open_one(folder: Path) -> Workplace:
        settings = WorkerSettings(
            data_dir=folder,
            n_threads=1,
            lease_seconds=4,
            checkpoint_seconds=0,
            poll_seconds=0.1,
            standby=False,  # the worker's children are then its trainings
        )
        shutil.copyfile(sqlite_template, folder / "nmtune.db")
        store = Store.open(settings)
        opened.append(store)
        return Workplace(store, settings)

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def workplace(open_workplace: OpenWorkplace, tmp_path: Path) -> Workplace:
    """A workplace with nothing in it."""
    return open_workplace(tmp_path)


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A broker of the test's own."""
    server = RedisServer(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def server() -> Iterator[Server]:
    with fault_server.serving() as server:
        yield server


@pytest.fixture
def place(workplace: Workplace, server: Server) -> Workplace:
    host, port = server.host
    workplace.settings = workplace.settings.model_copy(
        update={"provider_allow_hosts": f"{host}:{port}"}
    )
    return workplace
