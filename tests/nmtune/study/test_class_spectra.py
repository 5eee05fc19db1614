"""Spectra by class: each is computed from the rows of its class, the largest classes first."""

import json
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from nmtune.errors import ConfigError, DataError
from nmtune.study.class_spectra import class_spectra
from nmtune.study.spectrum import Centring, spectrum

SIZES = (5, 40, 1, 0, 2, 40, 12)


def sample() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    generator = np.random.default_rng(0)
    y = generator.permutation(np.repeat(np.arange(len(SIZES)), SIZES))
    return generator.standard_normal((len(y), 8)).astype(np.float32), y


@pytest.mark.parametrize("centering", ["none", "columns", "reference"])
def test_each_is_the_spectrum_of_the_rows_of_its_class(centering: Centring) -> None:
    x, y = sample()
    result = class_spectra(x, y, n_classes=len(SIZES), centering=centering)
    assert [one.index for one in result.per_class] == [1, 5, 6, 0, 4]
    assert (result.n_left_out, result.n_too_small, result.centering) == (0, 2, centering)
    for one in result.per_class:
        assert one.support == one.n_rows == SIZES[one.index]
        expected = spectrum(x[y == one.index], centering=centering)
        assert one.entropy == pytest.approx(expected.entropy)
        assert one.largest_ratio == pytest.approx(expected.largest_ratio)
        assert one.effective_rank == pytest.approx(expected.effective_rank)


def test_a_class_along_one_direction_has_rank_one_beside_one_that_fills_the_space() -> None:
    y = np.repeat([0, 1], 64)
    x = np.concatenate([np.outer(np.arange(1, 65), np.ones(8)), np.tile(np.eye(8), (8, 1))])
    of_line, of_space = class_spectra(x, y, n_classes=2).per_class
    assert (of_line.effective_rank, of_line.entropy) == (
        pytest.approx(1),
        pytest.approx(0, abs=1e-6),
    )
    assert of_space.effective_rank == pytest.approx(8)
    assert of_space.largest_ratio == pytest.approx(math.log(8))


def test_beyond_the_bound_the_smaller_classes_are_left_out_and_counted() -> None:
    result = class_spectra(*sample(), n_classes=len(SIZES), max_classes=2)
    assert [one.index for one in result.per_class] == [1, 5]
    assert (result.n_left_out, result.n_too_small) == (3, 2)
    many = class_spectra(np.ones((120, 2)), np.repeat(np.arange(60), 2), n_classes=60)
    assert (len(many.per_class), many.n_left_out) == (50, 10)


def test_of_a_large_class_a_sample_is_looked_at_the_same_for_tuned_embeddings() -> None:
    x, y = sample()
    result = class_spectra(x, y, n_classes=len(SIZES), max_rows=15, seed=4)
    first = result.per_class[0]
    assert (first.support, first.n_rows) == (40, 15)
    assert result.per_class[2].n_rows == 12
    # A rotation changes no spectrum, so long as it is of the same rows.
    rotation, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((8, 8)))
    rotated = class_spectra(x @ rotation, y, n_classes=len(SIZES), max_rows=15, seed=4)
    assert rotated.per_class[0].entropy == pytest.approx(first.entropy, abs=1e-5)
    other = class_spectra(x, y, n_classes=len(SIZES), max_rows=15, seed=5)
    assert abs(other.per_class[0].entropy - first.entropy) > 1e-4


def test_where_every_class_has_one_row_there_is_no_spectrum() -> None:
    result = class_spectra(np.ones((3, 2)), np.arange(3), n_classes=3)
    assert (result.per_class, result.n_left_out, result.n_too_small) == ((), 0, 3)


def test_the_dictionary_names_the_classes() -> None:
    result = class_spectra(*sample(), n_classes=len(SIZES), max_classes=2)
    names = [f"class {index}" for index in range(len(SIZES))]
    back = json.loads(json.dumps(result.to_dict(names), allow_nan=False))
    assert [one["name"] for one in back["per_class"]] == ["class 1", "class 5"]
    assert back["per_class"][0]["largest_ratio"] == result.per_class[0].largest_ratio
    assert (back["n_left_out"], back["n_too_small"]) == (3, 2)
    with pytest.raises(DataError, match="7 names, got 6"):
        result.to_dict(names[1:])


def test_a_value_that_is_not_finite_is_named_by_its_row_of_x() -> None:
    x, y = sample()
    row = int(np.flatnonzero(y == 6)[3])
    x[row, 5] = np.inf
    with pytest.raises(DataError, match=f"row {row}, column 5") as raised:
        class_spectra(x, y, n_classes=len(SIZES))
    assert (raised.value.field, raised.value.row, raised.value.column) == ("x", row, 5)


def test_rows_and_labels_that_do_not_fit_are_refused() -> None:
    x, y = sample()
    with pytest.raises(DataError, match="got shape"):
        class_spectra(x[0], y, n_classes=len(SIZES))
    with pytest.raises(DataError, match="y must be 0 to 5") as raised:
        class_spectra(x, y, n_classes=6)
    assert raised.value.row == int(np.argmax(y == 6))


@pytest.mark.parametrize(("field", "value"), [("max_classes", 0), ("max_rows", 1), ("seed", -1)])
def test_a_setting_out_of_range_is_named(field: str, value: int) -> None:
    with pytest.raises(ConfigError, match=field) as raised:
        class_spectra(*sample(), n_classes=len(SIZES), **{field: value})
    assert raised.value.field == field
