"""Rows that every test of training and predicting may use."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray


class Rows(NamedTuple):
    """Three overlapping classes in six columns, ordered by class as real files often are."""

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    classes: tuple[str, ...]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    # The matrices are tiny: threads that wait for each other would take most of the time.
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(autouse=True)
def _denormal_numbers() -> None:
    # A worker's process flushes them to 0, and tests of other folders may have made this one such.
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def rows() -> Rows:
    generator = np.random.default_rng(5)
    y = np.repeat(np.arange(3), 30)
    centres, spread = generator.normal(size=(3, 6)), generator.normal(size=(90, 6))
    x = (centres[y] + 0.5 * spread).astype(np.float32)
    x.flags.writeable = y.flags.writeable = False
    return Rows(x, y, ("cat", "dog", "élan"))


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> str:
    """A CPU, and a GPU where there is one."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("this machine has no GPU")
    return str(request.param)
