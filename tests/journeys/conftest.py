"""A fresh site for each test, a server they share, and data that a tiny job learns."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nmtune_client import Client

from tests.support.processes import Process, Site

CLASSES = ("cat", "dog", "owl")
N_COLUMNS = 12


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A fresh data directory; at the end its processes stop cleanly and their logs are read."""
    here = Site(tmp_path)
    try:
        yield here
    finally:
        here.close()
    assert not here.complaints()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One server that the journeys without faults share."""
    here = Site(tmp_path_factory.mktemp("house"))
    try:
        yield here.start()
    finally:
        here.close()
    assert not here.complaints()


@pytest.fixture
def client(house: Process) -> Iterator[Client]:
    with Client(house.url) as open_client:
        yield open_client


@pytest.fixture(scope="session")
def arrays() -> dict[str, Any]:
    """Blobs around one centre a class in the layout of an .npz, the domains shifted."""
    random = np.random.default_rng(7)
    centres = random.normal(size=(len(CLASSES), N_COLUMNS)) * 1.5
    found: dict[str, Any] = {"class_names": np.array(CLASSES)}
    for split, n_rows in {"train": 300, "test": 90, "ood_paint": 80, "ood_sketch": 60}.items():
        y = random.permutation(np.arange(n_rows) % len(CLASSES))
        shift = random.normal(size=N_COLUMNS) * (0.8 if split.startswith("ood") else 0)
        x = centres[y] + shift + random.normal(size=(n_rows, N_COLUMNS))
        found |= {f"{split}_x": x.astype(np.float32), f"{split}_y": y}
    return found


@pytest.fixture
def npz(tmp_path: Path, arrays: dict[str, Any]) -> Path:
    path = tmp_path / "pets.npz"
    np.savez(path, **arrays)
    return path
