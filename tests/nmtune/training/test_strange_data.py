"""Small and strange data: the right answer or a clear error, for auto and each candidate."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nmtune import Head, evaluate, fit_auto, resolve
from nmtune.config import TuneConfig
from nmtune.training.trainer import Trainer

SINGLE = (
    "linear_probe",
    "robust_probe",
    "trimmed_probe",
    "whitened_probe",
    "mlp_ensemble",
    "mlp",
    "paper",
)
METHODS = ("auto", *SINGLE)


def fitted(
    method: str, x: NDArray[Any], y: NDArray[np.int64], n_classes: int | None = None
) -> Head:
    classes = [f"class {index}" for index in range(n_classes or int(y.max()) + 1)]
    if method == "auto":
        configs = resolve(config={"max_steps": 60}).configs
        return fit_auto(x, y, classes=classes, configs=configs).head
    config = TuneConfig.from_preset(method)
    if not config.is_convex:
        config = config.replace(max_steps=60, learning_rate=0.01)
    trainer = Trainer(x, y, classes=classes, config=config)
    assert list(trainer)
    return trainer.result().head


def blobs(n: int, d: int, c: int, *, seed: int = 0, spread: float = 0.3) -> tuple[Any, Any]:
    generator = np.random.default_rng(seed)
    y = np.arange(n) % c
    centres = generator.normal(size=(c, d))
    return centres[y] + spread * generator.normal(size=(n, d)), y


def accuracy(head: Head, x: NDArray[Any], y: NDArray[np.int64]) -> float:
    return evaluate(head.predict_proba(x), y, head.classes).accuracy


@pytest.mark.parametrize("method", METHODS)
def test_two_rows_a_class(method: str) -> None:
    x, y = blobs(6, 8, 3, spread=0.05)
    assert accuracy(fitted(method, x, y), x, y) == 1


@pytest.mark.parametrize("method", METHODS)
def test_one_row_a_class(method: str) -> None:
    x, y = blobs(2, 8, 2)
    assert np.isfinite(fitted(method, x, y).predict_proba(x)).all()


@pytest.mark.parametrize("method", METHODS)
def test_more_columns_than_rows(method: str) -> None:
    x, y = blobs(40, 300, 2)
    assert accuracy(fitted(method, x[:30], y[:30]), x[30:], y[30:]) == 1


@pytest.mark.parametrize("method", METHODS)
def test_a_single_column(method: str) -> None:
    x, y = blobs(100, 1, 2, seed=3, spread=0.1)
    assert accuracy(fitted(method, x, y), x, y) > 0.9


@pytest.mark.parametrize("method", METHODS)
def test_columns_and_rows_that_are_all_the_same(method: str) -> None:
    x, y = blobs(60, 6, 2)
    x[:, 2:4] = 7.5
    assert accuracy(fitted(method, x, y), x, y) > 0.95
    alike = np.full((60, 6), 0.25)
    shares = fitted(method, alike, np.arange(60) % 4 // 3).predict_proba(alike[:1])[0]
    assert shares.argmax() == 0
    assert np.isfinite(shares).all()


@pytest.mark.parametrize("method", METHODS)
def test_rows_that_repeat(method: str) -> None:
    x, y = blobs(12, 5, 2)
    x, y = np.tile(x, (20, 1)), np.tile(y, 20)
    assert accuracy(fitted(method, x, y), x, y) == 1


# But the robust probe, which takes labels that few rows bear out for mistakes.
@pytest.mark.parametrize("method", [name for name in METHODS if name != "robust_probe"])
def test_heavy_imbalance_still_finds_the_rare_class(method: str) -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(500, 10)) * 0.3
    y = np.zeros(500, np.int64)
    y[:10] = 1
    x[:10, 0] += 5
    found = fitted(method, x, y).predict_proba(np.eye(10)[:1] * 5).argmax(axis=1)
    assert found[0] == 1


@pytest.mark.parametrize("method", METHODS)
def test_class_of_one_row_among_many(method: str) -> None:
    x, y = blobs(61, 6, 2)
    y[-1] = 2
    head = fitted(method, x, y)
    assert accuracy(head, x[:60], y[:60]) > 0.9


@pytest.mark.parametrize("method", METHODS)
def test_class_that_a_split_lacks_or_training_lacks(method: str) -> None:
    x, y = blobs(90, 6, 3)
    head = fitted(method, x, y, n_classes=5)
    found = evaluate(head.predict_proba(x[y < 2]), y[y < 2], head.classes)
    assert found.n_classes_present == 2
    assert head.predict_proba(x)[:, 3:].max() == 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.float16, np.int32, np.float64])
def test_numbers_of_any_type(method: str, dtype: Any) -> None:
    x, y = blobs(60, 6, 2, spread=0.1)
    given = (x * 8).astype(dtype)
    assert accuracy(fitted(method, given, y), given, y) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("method", ["whitened_probe", "mlp_ensemble"])
def test_a_thousand_classes(method: str) -> None:
    x, y = blobs(3000, 24, 1000, spread=0.05)
    config = TuneConfig.from_preset(method, n_folds=2)
    if method == "mlp_ensemble":
        config = config.replace(epochs=40, hidden_width=32, n_bags=1)
    classes = [f"class {index}" for index in range(1000)]
    trainer = Trainer(x[:2000], y[:2000], classes=classes, config=config)
    assert list(trainer)
    assert accuracy(trainer.result().head, x[2000:], y[2000:]) > 0.8
