"""The three terms on any batch: their bounds, and what they do not depend on."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from nmtune.losses.objective import (
    consistency_loss,
    covariance_loss,
    dominant_singular_value_loss,
)
from tests.nmtune.losses.loss_gradient import value_and_gradient

Array = NDArray[np.float64]


ANY_BATCH = arrays(
    np.float32,
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)
PLAIN_BATCH = arrays(
    np.float64,
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    elements=st.integers(-8, 8).map(float),
)


@settings(max_examples=80, deadline=None)
@given(z=ANY_BATCH, k=st.integers(1, 7))
def test_any_finite_batch_keeps_every_loss_within_its_bounds(
    z: NDArray[np.float32], k: int
) -> None:
    f = torch.ones(z.shape)
    value, gradient = value_and_gradient(lambda rows: consistency_loss(rows, f), z)
    assert 0 <= value <= 4 + 1e-6
    assert np.isfinite(gradient).all()
    value, gradient = value_and_gradient(lambda rows: dominant_singular_value_loss(rows, k), z)
    assert -1 / k - 1e-6 <= value <= 0
    assert np.isfinite(gradient).all()
    value, gradient = value_and_gradient(covariance_loss, z)
    assert value >= 0
    assert not np.isnan(gradient).any()


@settings(max_examples=40, deadline=None)
@given(z=PLAIN_BATCH, k=st.integers(1, 3), seed=st.integers(0, 99))
def test_the_order_of_the_rows_does_not_matter(z: Array, k: int, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(z))
    rows, shuffled = torch.tensor(z), torch.tensor(z[order])
    f = torch.ones(z.shape)
    assert consistency_loss(shuffled, f).item() == pytest.approx(consistency_loss(rows, f).item())
    assert covariance_loss(shuffled).item() == pytest.approx(covariance_loss(rows).item(), abs=1e-9)
    assert dominant_singular_value_loss(shuffled, k).item() == pytest.approx(
        dominant_singular_value_loss(rows, k).item()
    )


@settings(max_examples=40, deadline=None)
@given(z=PLAIN_BATCH, factor=st.floats(1e-3, 1e3), seed=st.integers(0, 99))
def test_scale_and_shift_invariances(z: Array, factor: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    rows, f = torch.tensor(z), torch.tensor(generator.standard_normal(z.shape))
    row_factors = torch.tensor(generator.uniform(0.1, 10, (len(z), 1)))
    constant = torch.tensor(generator.uniform(-100, 100, z.shape[1]))
    assert consistency_loss(rows * row_factors, f).item() == pytest.approx(
        consistency_loss(rows, f).item(), abs=1e-12
    )
    assert covariance_loss(rows + constant).item() == pytest.approx(
        covariance_loss(rows).item(), rel=1e-9, abs=1e-9
    )
    assert dominant_singular_value_loss(rows * factor).item() == pytest.approx(
        dominant_singular_value_loss(rows).item(), abs=1e-12
    )
