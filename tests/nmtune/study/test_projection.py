"""Principal axes against numpy's own decomposition, and t-SNE by what it must keep."""

import os
import subprocess
import sys

import numpy as np
import pytest

from nmtune.study.projection import FEWEST_ROWS, N_COMPONENTS, principal_axes, tsne


@pytest.mark.parametrize(
    ("n_rows", "n_columns"), [(200, 8), (300, 120), (40, 300)], ids=["narrow", "wide", "few rows"]
)
def test_axes_are_those_of_the_decomposition(n_rows: int, n_columns: int) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(n_rows, n_columns)) * np.geomspace(9, 0.1, n_columns) + 5
    found = principal_axes(x.astype(np.float16))
    centred = x.astype(np.float16).astype(np.float64)
    centred -= centred.mean(axis=0)
    values = np.linalg.svd(centred, compute_uv=False)
    assert found.coordinates.shape == (n_rows, min(N_COMPONENTS, n_rows, n_columns))
    np.testing.assert_allclose(found.explained[:2], (values**2 / (values**2).sum())[:2], rtol=1e-3)
    lengths = np.linalg.norm(found.coordinates[:, :2], axis=0) * np.abs(x).max()
    np.testing.assert_allclose(lengths, values[:2], rtol=1e-2)


def test_the_same_rows_give_the_same_picture_whichever_way_an_axis_points() -> None:
    x = np.random.default_rng(1).normal(size=(50, 6))
    np.testing.assert_array_equal(principal_axes(x).coordinates, principal_axes(x).coordinates)
    seeds = [principal_axes(x, seed=seed).plane for seed in (0, 1)]
    np.testing.assert_allclose(*seeds, atol=1e-3)


@pytest.mark.parametrize(
    "x",
    [np.ones((20, 3)), np.zeros((20, 3)), np.ones((1, 5)), np.arange(7.0)[:, None]],
    ids=["equal", "zeros", "one row", "one column"],
)
def test_strange_rows_have_a_place(x: np.ndarray) -> None:
    found = principal_axes(x)
    assert found.plane.shape == (len(x), 2)
    assert np.isfinite(found.plane).all()
    assert np.isfinite(found.explained).all()


def test_values_beyond_the_squares_of_float32_have_a_place() -> None:
    x = np.random.default_rng(2).normal(size=(30, 4)) * 1e30
    found = principal_axes(x.astype(np.float32))
    assert np.isfinite(found.coordinates).all()
    assert found.explained[0] > 0


def test_tsne_keeps_groups_together_and_is_repeatable() -> None:
    random = np.random.default_rng(3)
    of = np.repeat(np.arange(4), 25)
    x = random.normal(size=(4, 12))[of] * 6 + random.normal(size=(100, 12))
    coordinates = principal_axes(x).coordinates
    plane = tsne(coordinates)
    assert plane.shape == (100, 2)
    distances = np.linalg.norm(plane[:, None] - plane[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1)[:, :5]
    assert (of[nearest] == of[:, None]).mean() > 0.99
    np.testing.assert_array_equal(plane, tsne(coordinates))


@pytest.mark.parametrize("n_rows", [FEWEST_ROWS, 31])
def test_few_rows_are_drawn_too(n_rows: int) -> None:
    plane = tsne(principal_axes(np.random.default_rng(4).normal(size=(n_rows, 3))).coordinates)
    assert np.isfinite(plane).all()


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 10 rows, got 9"):
        tsne(np.zeros((9, 2), np.float32))


def test_axes_need_no_scikit_learn() -> None:
    """A training process places the points; only the drawing imports it."""
    code = (
        "import sys; import nmtune.study.projection; "
        "sys.exit(bool({'sklearn', 'torch'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))
