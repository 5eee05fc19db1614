"""The noise matrix against the noise that was put in, and what a calibration makes of it."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from nmtune.heads.temperature import calibrate, fit_through_noise
from nmtune.rows.held_out import HeldOut
from nmtune.study.label_errors import LabelErrors, find_label_errors
from nmtune.study.noise_matrix import MOST_CLASSES, noise_matrix
from nmtune.training import choose
from nmtune.trust.conformal import Conformal

N_CLASSES = 5
SCALE = 3.0  # how many times too sure the logits are


def even(rate: float) -> NDArray[np.float64]:
    """Every other label equally often."""
    eye = np.eye(N_CLASSES)
    return (1 - rate) * eye + rate * (1 - eye) / (N_CLASSES - 1)


def next_one(rate: float) -> NDArray[np.float64]:
    """Each class turned into the next."""
    eye = np.eye(N_CLASSES)
    return (1 - rate) * eye + rate * np.roll(eye, 1, axis=1)


KINDS = {"even 0.2": even(0.2), "even 0.4": even(0.4), "next 0.25": next_one(0.25)}


def drawn(
    noise: NDArray[np.float64], *, n: int = 6000, seed: int = 0, apart: float = 4.5
) -> tuple[HeldOut, NDArray[np.int64], NDArray[np.int64]]:
    """Predictions that are SCALE times too sure, given labels within, and the right labels."""
    random = np.random.default_rng(seed)
    y = random.integers(0, N_CLASSES, n)
    # log p(class | row) up to a constant, for scores that are normal, around `apart` for the class.
    true = random.normal(size=(n, N_CLASSES))
    true[np.arange(n), y] += apart
    true *= apart
    given = (noise[y].cumsum(axis=1) > random.random((n, 1))).argmax(axis=1)
    logits = (true * SCALE).astype(np.float32)
    return HeldOut(logits=logits, y=given, n_train_rows=n), y, given


def found(held_out: HeldOut) -> LabelErrors:
    errors = choose.label_errors(held_out)
    assert errors is not None
    return errors


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_noise_that_was_put_in(kind: str) -> None:
    held_out, _, _ = drawn(KINDS[kind])
    estimated = noise_matrix(found(held_out))
    assert estimated is not None
    assert estimated.sum(axis=1) == pytest.approx(np.ones(N_CLASSES))
    # HARD_ROWS is taken off, and here no row is hard.
    assert np.abs(estimated - KINDS[kind]).max() < 0.06


def test_it_says_nothing_where_labels_do_not_look_noisy() -> None:
    held_out, _, _ = drawn(np.eye(N_CLASSES))
    assert choose.noise_of(found(held_out)) is None
    assert choose.noise_of(None) is None


def test_classes_without_rows_stay_what_they_are() -> None:
    held_out, _, _ = drawn(even(0.2))
    wide = np.full((len(held_out.y), N_CLASSES + 2), -50, np.float32)
    wide[:, :N_CLASSES] = held_out.logits
    errors = found(HeldOut(logits=wide, y=held_out.y, n_train_rows=held_out.n_train_rows))
    estimated = noise_matrix(errors)
    assert estimated is not None
    assert np.isfinite(estimated).all()
    assert estimated[N_CLASSES:].tolist() == np.eye(N_CLASSES + 2)[N_CLASSES:].tolist()


def test_too_many_classes_have_none() -> None:
    n = MOST_CLASSES + 1
    y = np.arange(2 * n) % n
    errors = find_label_errors(np.full((2 * n, n), 1 / n), y)
    assert noise_matrix(errors) is None


@pytest.mark.parametrize("kind", KINDS)
def test_the_temperature_is_that_of_the_right_labels(kind: str) -> None:
    held_out, right, _ = drawn(KINDS[kind])
    of_right = calibrate(HeldOut(logits=held_out.logits, y=right, n_train_rows=0)).temperature
    plain = calibrate(held_out).temperature
    through = calibrate(held_out, noise=KINDS[kind])
    assert plain > 2 * of_right
    assert through.temperature == pytest.approx(of_right, rel=0.15)
    assert "for the right labels" in through.note


def test_the_temperature_is_the_minimum_that_a_general_solver_finds() -> None:
    held_out, _, given = drawn(even(0.3), n=800, seed=1)
    noise = even(0.3)

    def loss(log_temperature: float) -> float:
        p = softmax(held_out.logits.astype(np.float64) / np.exp(log_temperature), axis=1) @ noise
        return float(-np.log(p[np.arange(len(given)), given]).mean())

    at_most = calibrate(held_out).temperature
    bounds = (np.log(at_most / 8), np.log(at_most))
    theirs = np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x)
    assert fit_through_noise(held_out, noise, at_most=at_most) == pytest.approx(theirs, rel=0.01)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_sets_cover_right_labels_as_often_as_they_say(kind: str, level: float) -> None:
    noise = KINDS[kind]
    held_out, _, _ = drawn(noise, n=4000, apart=2.0)
    temperature = calibrate(held_out, noise=noise).temperature
    conformal = Conformal.fit(*held_out.of_right(temperature, noise))
    plain = Conformal.fit(held_out.of_truth(temperature))
    assert conformal is not None
    assert plain is not None
    assert conformal.n_rows == 4000

    later, right, _ = drawn(noise, n=4000, seed=7, apart=2.0)
    probabilities = np.exp(later.tempered(temperature).log_probabilities)
    sets = conformal.sets(probabilities, level)
    covered = sets[np.arange(len(right)), right].mean()
    assert covered == pytest.approx(level, abs=0.02)
    # Fitted to the given labels, the sets must hold the wrong ones as well.
    assert sets.sum() < plain.sets(probabilities, level).sum()


def test_without_weights_each_row_counts_once() -> None:
    of_truth = np.random.default_rng(3).random(500)
    plain = Conformal.fit(of_truth)
    weighted = Conformal.fit(np.repeat(of_truth, 2), np.full(1000, 0.5))
    assert plain is not None
    assert weighted is not None
    assert weighted.n_rows == plain.n_rows
    assert weighted.least.tolist() == plain.least.tolist()
