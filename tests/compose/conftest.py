"""One compose stack for all tests of this folder, and a head that it serves.

`make compose-test` runs them; a normal run leaves them out, for they need docker and minutes.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from nmtune_client import Client, Dataset

from tests.compose.stack import ROOT, SERVICES, Stack

DATA = ROOT / "examples" / "data" / "intents.npz"
TIMES = pytest.StashKey[list[str]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the compose tests unless -m asks for them by name."""
    if "compose" in (config.option.markexpr or ""):
        return
    left_out = [item for item in items if item.get_closest_marker("compose")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the times that were taken."""
    for line in config.stash.get(TIMES, []):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Stack]:
    """The running stack; at its end the logs are read for what no fault may cause."""
    here = Stack(tmp_path_factory.mktemp("compose"))
    pytestconfig.stash[TIMES] = here.times
    try:
        here.up()
        yield here
        logs = here.compose("logs", "--no-color", *SERVICES, "migrate")
    finally:
        here.down()
    assert "Traceback" not in logs, logs[logs.index("Traceback") :][:3000]
    assert "was never retrieved" not in logs
    assert not [password for password in here.passwords() if password in logs]


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    with Client(stack.url, api_key=stack.key) as open_client:
        yield open_client


@pytest.fixture(scope="session")
def dataset(stack: Stack) -> Dataset:
    with Client(stack.url, api_key=stack.key) as client:
        return client.datasets.upload(DATA, name="intents")


@pytest.fixture(scope="session")
def quick_head(stack: Stack, dataset: Dataset) -> str:
    """The reference of a head that answers predictions."""
    with Client(stack.url, api_key=stack.key) as client:
        job = client.jobs.create(dataset=dataset.id, name="quick", method="linear_probe")
        job.wait(timeout=300)
        return f"quick@{job.head.version}" if job.head is not None else ""


@pytest.fixture(scope="session")
def rows() -> np.ndarray[Any, np.dtype[np.float32]]:
    with np.load(DATA, allow_pickle=False) as arrays:
        return np.array(arrays["ood_hwu_x"][:8], dtype=np.float32)
