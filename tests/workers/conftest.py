"""A workplace on a migrated SQLite file."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.store import Store
from tests.servers import fault_server
from tests.servers.fault_server import Server
from tests.workers.workplace import OpenWorkplace, Workplace
from workers.settings import WorkerSettings


@pytest.fixture(scope="session")
def open_workplace(sqlite_template: Path) -> Iterator[OpenWorkplace]:
    """Open a workplace in a folder: one thread, and a lease that outlasts any pause."""
    opened: list[Store] = []

    def open_one(folder: Path) -> Workplace:
        settings = WorkerSettings(
            data_dir=folder,
            n_threads=1,
            lease_seconds=60,
            checkpoint_seconds=0,
            poll_seconds=0.1,
            standby="never",  # the worker's children are then its trainings
            map_seconds=0,
        )
        shutil.copyfile(sqlite_template, folder / "nmtune.db")
        store = Store.open(settings)
        opened.append(store)
        return Workplace(store, settings)

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def workplace(open_workplace: OpenWorkplace, tmp_path: Path) -> Iterator[Workplace]:
    """A workplace with nothing in it; however its jobs end, no folder of theirs may stay."""
    place = open_workplace(tmp_path)
    yield place
    assert not list(place.settings.work_dir.glob("*"))


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
