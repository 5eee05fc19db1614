"""Equal rows have equal hashes, and rows that differ anywhere differ in theirs."""

import numpy as np
import pytest

from service.ingest.dataset.row_hash import RowHash


@pytest.mark.parametrize("dtype", ["<f2", "<f4"])
@pytest.mark.parametrize("n_columns", [1, 3, 384])
def test_equal_rows_have_equal_hashes_wherever_they_are(dtype: str, n_columns: int) -> None:
    x = np.random.default_rng(0).standard_normal((100, n_columns)).astype(dtype)
    hashes = RowHash()
    whole = hashes(x)
    parts = np.concatenate(
        [hashes(np.ascontiguousarray(x[start : start + 7])) for start in range(0, 100, 7)]
    )
    np.testing.assert_array_equal(whole, parts)
    assert len(np.unique(whole)) == len(np.unique(x, axis=0))


@pytest.mark.parametrize("dtype", ["<f2", "<f4"])
def test_rows_that_differ_in_a_few_high_bits_differ(dtype: str) -> None:
    """Signs and powers of two differ only in the highest bits: weak sums would lose them."""
    n_columns = 12
    bits = (np.arange(1 << n_columns)[:, None] >> np.arange(n_columns)) & 1
    hashes = RowHash()
    for values in ((1.0, -1.0), (0.0, 1.0), (0.5, 2.0)):
        x = np.array(values, dtype)[bits]
        assert len(np.unique(hashes(x))) == 1 << n_columns
