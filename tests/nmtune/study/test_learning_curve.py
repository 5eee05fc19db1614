"""The learning curve of a real classifier: what it learns from, what it costs, what it says."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from nmtune.errors import ConfigError, DataError
from nmtune.study.learning_curve import LearningPoint, learning_curve

Rows = tuple[NDArray[np.float64], NDArray[np.int64]]
CENTRES = np.random.default_rng(9).standard_normal((3, 10))


def draw(n_rows: int, *, seed: int, shift: float = 0) -> Rows:
    generator = np.random.default_rng(seed)
    y = np.sort(generator.integers(0, 3, n_rows))
    return CENTRES[y] + 2 * generator.standard_normal((n_rows, 10)) + shift, y


class Recorder:
    """Fits logistic regressions, and keeps the rows each was given."""

    def __init__(self) -> None:
        self.fits: list[tuple[NDArray[Any], NDArray[np.int64], int]] = []

    def __call__(self, x: NDArray[Any], y: NDArray[np.int64], seed: int) -> LogisticRegression:
        self.fits.append((x, y, seed))
        return LogisticRegression(C=0.1).fit(x, y)


def curve(
    train: Rows, fit: Any, *, splits: dict[str, Rows] | None = None, **settings: Any
) -> Iterator[LearningPoint]:
    splits = {"test": draw(300, seed=1)} if splits is None else splits
    return learning_curve(*train, n_classes=3, fit=fit, splits=splits, **settings)


def test_each_point_is_the_accuracy_of_classifiers_of_that_many_rows() -> None:
    fit = Recorder()
    train = draw(400, seed=0)
    splits = {"test": draw(300, seed=1), "ood/shifted": draw(200, seed=2, shift=1)}
    points = list(curve(train, fit, splits=splits))
    assert [round(point.fraction, 2) for point in points] == [0.1, 0.2, 0.35, 0.5, 0.7, 1]
    assert len(fit.fits) == 18
    for at, point in enumerate(points):
        fits = fit.fits[3 * at : 3 * at + 3]
        assert [seed for _, _, seed in fits] == [0, 1, 2]
        assert {len(y) for _, y, _ in fits} == {point.n_rows}
        for name, (x, y) in splits.items():
            expected = [
                float((LogisticRegression(C=0.1).fit(*rows).predict(x) == y).mean())
                for *rows, _ in fits
            ]
            assert point.accuracies[name] == pytest.approx(expected)
            assert point.mean(name) == pytest.approx(np.mean(expected))
            assert point.deviation(name) == pytest.approx(np.std(expected, ddof=1))
    assert points[-1].n_rows == 400
    assert points[-1].mean("test") > points[0].mean("test") + 0.03


def test_the_rows_keep_their_labels_and_a_seed_keeps_its_rows() -> None:
    fit = Recorder()
    x, y = draw(90, seed=0)
    numbered = x.copy()
    numbered[:, 0] = np.arange(90) / 90
    list(curve((numbered, y), fit, fractions=(0.3, 0.6), n_seeds=2, seed=7))
    rows = [np.rint(90 * given[:, 0]).astype(int) for given, _, _ in fit.fits]
    for at, (_, labels, _) in zip(rows, fit.fits, strict=True):
        assert (y[at] == labels).all()
    assert [seed for _, _, seed in fit.fits] == [7, 8, 7, 8]
    assert set(rows[0]) < set(rows[2])
    assert set(rows[1]) < set(rows[3])
    assert set(rows[0]) != set(rows[1])


def test_leaving_the_loop_stops_the_work() -> None:
    fit = Recorder()
    points = curve(draw(100, seed=0), fit)
    assert fit.fits == []
    next(points)
    assert len(fit.fits) == 3


def test_no_fit_and_no_evaluation_is_larger_than_its_bound() -> None:
    fit = Recorder()
    (first, last) = curve(
        draw(400, seed=0), fit, fractions=(0.1, 0.5, 1.0), max_rows=100, max_evaluated=50
    )
    assert (first.n_rows, last.n_rows) == (40, pytest.approx(100, abs=2))
    assert last.fraction == pytest.approx(0.25, abs=0.01)
    assert all(
        50 * accuracy == pytest.approx(round(50 * accuracy))
        for accuracy in (*first.accuracies["test"], *last.accuracies["test"])
    )


def test_one_seed_has_no_band_and_the_dictionary_is_json() -> None:
    fit = Recorder()
    (point,) = curve(draw(60, seed=0), fit, fractions=(0.5,), n_seeds=1)
    back = json.loads(json.dumps(point.to_dict(), allow_nan=False))
    assert back == {
        "fraction": point.n_rows / 60,
        "n_rows": len(fit.fits[0][1]),
        "splits": {"test": {"accuracy": point.mean("test"), "deviation": None, "n_seeds": 1}},
    }


def test_probabilities_of_another_shape_are_refused() -> None:
    x, y = draw(60, seed=0)
    points = curve((x, np.minimum(y, 1)), Recorder())  # scikit-learn then gives two columns
    with pytest.raises(DataError, match=r"must be \(300, 3\), got shape \(300, 2\)") as raised:
        next(points)
    assert raised.value.field == "probabilities"


def test_rows_that_do_not_fit_are_refused_before_anything_is_fitted() -> None:
    x, y = draw(60, seed=0)
    fit = Recorder()
    with pytest.raises(DataError, match="at least one split"):
        curve((x, y), fit, splits={})
    with pytest.raises(DataError, match=r"test\.x must have 10 columns") as raised:
        curve((x, y), fit, splits={"test": (x[:, 1:], y)})
    assert raised.value.field == "test.x"
    with pytest.raises(DataError, match="got shape"):
        curve((x[0], y), fit)
    wrong = y.copy()
    wrong[4] = 3
    with pytest.raises(DataError, match="row 4") as raised:
        curve((x, y), fit, splits={"test": (x, wrong)})
    assert (raised.value.field, raised.value.row) == ("test.y", 4)
    assert fit.fits == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fractions", ()),
        ("fractions", (0.0, 1.0)),
        ("fractions", (1.1,)),
        ("fractions", (float("nan"),)),
        ("n_seeds", 0),
        ("n_seeds", 34),
        ("seed", -1),
        ("max_rows", 0),
        ("max_evaluated", 0),
    ],
)
def test_a_setting_out_of_range_is_named(field: str, value: Any) -> None:
    with pytest.raises(ConfigError) as raised:
        curve(draw(60, seed=0), Recorder(), **{field: value})
    assert raised.value.field == field
