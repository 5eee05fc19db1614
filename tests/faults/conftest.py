"""Real servers, a deployment on them, and its end, which checks every job."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from tests.faults.deployment import Deployment, Ground, SharingDeployment
from tests.journeys.conftest import arrays as arrays  # a fixture of the journeys
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of these take more than a few seconds."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def deployment(
    tmp_path: Path, postgres: PostgresServer, redis_server: RedisServer
) -> Iterator[Deployment]:
    """A deployment with no process yet; at the end every job must have ended as it should."""
    ground = Ground(tmp_path, postgres, redis_server)
    try:
        yield from _checked(Deployment(ground))
    finally:
        ground.close()


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Ground]:
    """Database, broker and API for the tests of a module that do faults only to workers."""
    folder = tmp_path_factory.mktemp("ground")
    redis = RedisServer(folder)
    ground = Ground(folder, postgres, redis)
    try:
        yield ground
    finally:
        ground.close()
        redis.stop()


@pytest.fixture
def sharing(ground: Ground) -> Iterator[SharingDeployment]:
    """A deployment on that ground; its workers and its head are its own."""
    yield from _checked(SharingDeployment(ground))


D = TypeVar("D", bound=Deployment)


def _checked(here: D) -> Iterator[D]:
    try:
        yield here
        here.check()
    finally:
        here.close()
    assert not here.complaints()
