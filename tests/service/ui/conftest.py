"""What the tests of pages share: a head that knows its training rows."""

import numpy as np
import pytest

from nmtune import Head
from nmtune.trust.knowledge import learn


@pytest.fixture(scope="session")
def knowing(trained: bytes, rows: tuple[np.ndarray, np.ndarray]) -> bytes:
    """The head with a summary of its training rows."""
    x, y = rows
    knowledge = learn(x, y, predicted=y, of_truth=None, n_classes=2, seed=0)
    return Head.from_bytes(trained).with_knowledge(knowledge).to_bytes()
