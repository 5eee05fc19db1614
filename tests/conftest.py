"""Give every test its turn, check that it leaves nothing, and start the shared servers."""

import os
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import migrations
from tests.servers.postgres import PostgresServer, migrated
from tests.servers.redis import RedisServer
from tests.support import leftovers, places
from tests.support.run_end import pytest_sessionfinish as pytest_sessionfinish  # a hook
from tests.support.told import pytest_configure as pytest_configure  # a hook
from tests.support.turns import Turns

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_TURNS = pytest.StashKey[Turns]()


def _is_serial(item: pytest.Item | None) -> bool:
    return item is not None and item.get_closest_marker("serial") is not None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The serial tests first: the other processes of a run then wait for them once."""
    items.sort(key=lambda item: not _is_serial(item))


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around pytest-timeout, whose clock runs later
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """Wait for a turn; one serial test hands its turn to the next."""
    turns = item.config.stash[_TURNS]
    turns.take(alone=_is_serial(item))
    try:
        return (yield)
    finally:
        if not (_is_serial(item) and _is_serial(nextitem)):
            turns.give()


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Prepare this process; with xdist that is each worker, all with one folder of locks."""
    leftovers.adopt_orphans()
    base: Path = session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    is_worker = hasattr(session.config, "workerinput")
    session.config.stash[_TURNS] = Turns(base.parent if is_worker else base)
    os.environ["TMPDIR"] = tempfile.tempdir = str(base / "system-temporary")
    Path(tempfile.tempdir).mkdir()
    places.WATCHED.append(Path(tempfile.tempdir))


def pytest_unconfigure(config: pytest.Config) -> None:
    if turns := config.stash.get(_TURNS, None):
        turns.close()


@pytest.fixture(autouse=True)
def leaves_nothing() -> Iterator[None]:
    """A test leaves no process, no listening socket, no thread, and no file outside its folder."""
    before = leftovers.State.now()
    yield
    left = leftovers.left_since(before)
    assert not left, f"the test left behind: {'; '.join(left)}"


@pytest.fixture(scope="session")
def fast_folder() -> Iterator[Path]:
    """A folder for the session, in memory if the machine can."""
    with tempfile.TemporaryDirectory(prefix="nmtune-test-", dir=places.MEMORY) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def sqlite_template(fast_folder: Path) -> Path:
    """A database file made by the migrations, to copy: tests see the schema that users have."""
    path = fast_folder / "template.db"
    migrations.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server whose database `template` was made by the migrations."""
    with migrated() as server:
        yield server


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A broker of the test's own, without persistence."""
    server = RedisServer(tmp_path)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A real Chromium, shared by the tests of a module."""
    from tests.support.chromium import chromium

    with chromium() as found:
        yield found
