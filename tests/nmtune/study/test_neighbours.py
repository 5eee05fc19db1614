"""The nearest other rows of some rows, against all cosines."""

import numpy as np
import pytest

from nmtune.errors import DataError
from nmtune.study.neighbours import nearest_rows


@pytest.mark.parametrize("n_rows", [6, 300, 2100])
def test_they_are_the_rows_with_the_greatest_cosines(n_rows: int) -> None:
    random = np.random.default_rng(n_rows)
    x = random.normal(size=(n_rows, 8)).astype(np.float16)
    of = random.choice(n_rows, 5, replace=False)
    found = nearest_rows(x, of, k=5)
    units = x.astype(np.float64)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    for at, row in enumerate(of.tolist()):
        cosines = units @ units[row]
        cosines[row] = -2
        nearest = np.argsort(-cosines, kind="stable")[:5]
        np.testing.assert_allclose(found.similarities[at], cosines[nearest], atol=1e-6)
        np.testing.assert_allclose(cosines[found.rows[at]], cosines[nearest], atol=1e-6)
        assert row not in found.rows[at]


def test_of_equal_rows_the_first_come_first() -> None:
    found = nearest_rows(np.ones((4000, 3), np.float32), np.array([1, 3000]), k=3)
    assert found.rows.tolist() == [[0, 2, 3], [0, 1, 2]]


def test_no_rows_have_no_neighbours() -> None:
    assert nearest_rows(np.eye(3), np.zeros(0, np.int64), k=2).rows.shape == (0, 2)


def test_what_is_no_number_is_refused() -> None:
    x = np.eye(4)
    x[2, 1] = np.nan
    with pytest.raises(DataError, match="row 2"):
        nearest_rows(x, np.array([0]), k=1)
    with pytest.raises(ValueError, match="k must be"):
        nearest_rows(np.eye(3), np.array([0]), k=3)
