"""The real app in process, on a migrated SQLite file."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI

import migrations
from service.app import create_app
from service.settings import ServiceSettings
from store.queue import LocalQueue
from store.store import Store
from tests.service.in_process import N_COLUMNS, InProcess, RecordingQueue, publish, train
from tests.support.files.arrays import clouds, npz


def _settings(data_dir: Path) -> ServiceSettings:
    return ServiceSettings(
        data_dir=data_dir,
        database_url=f"sqlite:///{data_dir / 'nmtune.db'}",
        events_poll_seconds=0.02,
        events_heartbeat_seconds=0.1,
        max_json_bytes=256 * 1024,
        max_upload_bytes=1024 * 1024,
        max_predict_rows=1000,
        predict_reference_seconds=0,
    )


def _open(settings: ServiceSettings, sqlite_template: Path) -> Store:
    settings.data_dir.mkdir()
    shutil.copyfile(sqlite_template, settings.data_dir / "nmtune.db")
    return Store.open(settings)


@pytest.fixture
def settings(tmp_path: Path) -> ServiceSettings:
    return _settings(tmp_path / "data")


@pytest.fixture
def store(settings: ServiceSettings, sqlite_template: Path) -> Iterator[Store]:
    store = _open(settings, sqlite_template)
    yield store
    store.close()


@pytest.fixture
def queue() -> RecordingQueue:
    return RecordingQueue()


@pytest.fixture
def app(settings: ServiceSettings, store: Store, queue: RecordingQueue) -> FastAPI:
    return create_app(
        settings, store=store, queue=queue, expected_schema=migrations.head_revision()
    )


@pytest.fixture
def client(app: FastAPI) -> InProcess:
    return InProcess(app)


@pytest.fixture(scope="module")
def refusing(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> Iterator[InProcess]:
    """A client for tables of wrong requests, which leave nothing that another could meet."""
    settings = _settings(tmp_path_factory.mktemp("refusing") / "data")
    store = _open(settings, sqlite_template)
    yield InProcess(create_app(settings, store=store, queue=LocalQueue()))
    store.close()


@pytest.fixture(scope="module")
def asking(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, trained: bytes
) -> Iterator[InProcess]:
    """A client of a service that has the head pets@prod, for tests that only ask."""
    settings = _settings(tmp_path_factory.mktemp("asking") / "data")
    store = _open(settings, sqlite_template)
    publish(store, trained, alias="prod")
    yield InProcess(create_app(settings, store=store, queue=LocalQueue()))
    store.close()


@pytest.fixture(scope="session")
def rows() -> tuple[np.ndarray, np.ndarray]:
    """Two clouds of 20 rows each: embeddings (40, 3) and class indices."""
    rng = np.random.default_rng(7)
    centres = np.array([[1.0, 0.0, 0.3], [0.0, 1.0, -0.3]])
    y = np.repeat([0, 1], 20)
    return (centres[y] + 0.1 * rng.normal(size=(40, N_COLUMNS))).astype(np.float32), y


@pytest.fixture(scope="session")
def trained(rows: tuple[np.ndarray, np.ndarray]) -> bytes:
    """The bytes of a small true head."""
    return train(rows, seed=0)


@pytest.fixture
def content() -> bytes:
    """An `.npz` file that is in order."""
    return npz(clouds())


@pytest.fixture
def leftovers(settings: ServiceSettings) -> Callable[[], list[str]]:
    """What is on disk for uploads that have ended: must be nothing."""
    return lambda: [path.name for path in (settings.data_dir / "tmp").iterdir()]
