"""The temperature: least log loss on held-out rows, off when they are too few."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from nmtune.heads.temperature import FEWEST_ROWS, calibrate, fit_temperature
from nmtune.rows.held_out import HeldOut


def drawn(n: int, scale: float, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits that are `scale` times too sure, and labels drawn from the true probabilities."""
    generator = np.random.default_rng(seed)
    true = generator.normal(size=(n, 4)) * 2
    y = (softmax(true, axis=1).cumsum(1) > generator.random((n, 1))).argmax(1)
    return (true * scale).astype(np.float32), y.astype(np.int64)


@pytest.mark.parametrize("scale", [0.05, 1.0, 12.0])
def test_it_finds_how_much_too_sure_the_logits_are(scale: float) -> None:
    logits, y = drawn(20_000, scale)
    assert fit_temperature(logits, y) == pytest.approx(scale, rel=0.05)


def test_it_is_the_minimum_that_a_general_solver_finds() -> None:
    logits, y = drawn(400, 3.0, seed=1)

    def loss(log_temperature: float) -> float:
        logs = log_softmax(logits.astype(np.float64) / np.exp(log_temperature), axis=1)
        return float(-(1 - 1 / 400) * logs[np.arange(400), y].mean() - logs.mean() / 400)

    theirs = np.exp(minimize_scalar(loss, bounds=(-5, 5), method="bounded").x)
    assert fit_temperature(logits, y) == pytest.approx(theirs, rel=1e-3)


def test_rows_that_are_all_right_do_not_make_it_certain() -> None:
    logits, _ = drawn(500, 1.0)
    temperature = fit_temperature(logits, logits.argmax(1))
    assert 1e-3 < temperature < 1
    confidence = softmax(logits / temperature, axis=1).max(1)
    assert 0.9 < confidence.mean() < 1


def test_extreme_logits_give_a_number() -> None:
    for logits in (
        np.zeros((200, 3)),
        np.full((200, 3), 1e30),
        np.eye(3)[np.arange(200) % 3] * 1e9,
    ):
        temperature = fit_temperature(logits.astype(np.float32), np.arange(200) % 3)
        assert np.isfinite(temperature)
        assert temperature > 0


def test_it_is_off_when_rows_are_too_few_and_says_so() -> None:
    logits, y = drawn(FEWEST_ROWS - 1, 5.0)
    few = calibrate(HeldOut(logits=logits, y=y, n_train_rows=len(y)))
    assert (few.temperature, "takes 100 held-out rows, and there are 99" in few.note) == (1.0, True)
    none = calibrate(None)
    assert (none.temperature, "no rows were held out" in none.note) == (1.0, True)
    logits, y = drawn(FEWEST_ROWS, 5.0)
    assert calibrate(HeldOut(logits=logits, y=y, n_train_rows=len(y))).temperature > 2
