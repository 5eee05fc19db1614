"""Home of the fault suite's fixtures: real servers, a deployment, and its end, which checks all."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.deployment import Deployment
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
    here = Deployment(tmp_path, postgres, redis_server)
    try:
        yield here
        here.check()
    finally:
        here.close()
        postgres.execute(f"DROP DATABASE {here.database} WITH (FORCE)")
    assert not here.complaints()
