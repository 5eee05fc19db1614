"""The linear probe: the logistic regression that every other head must beat."""

from itertools import islice
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from nmtune.config import TuneConfig
from nmtune.errors import CheckpointError
from nmtune.lbfgs_fit import FALLBACK_L2, L2_GRID
from nmtune.trainer import Fit, Trainer

PROBE = TuneConfig.from_preset("linear_probe")
Digits = tuple[NDArray[np.float64], NDArray[np.int64]]


@pytest.fixture(scope="module")
def digits() -> Digits:
    x, y = load_digits(return_X_y=True)
    return x, y.astype(np.int64)


def fitted(x: Any, y: Any, config: TuneConfig = PROBE, **options: Any) -> Fit:
    classes = [str(index) for index in range(int(np.max(y)) + 1)]
    trainer = Trainer(x, y, classes=classes, config=config, **options)
    for _ in trainer:
        pass
    return trainer.result()


@pytest.mark.parametrize("l2", [0.1, 1.0, 30.0])
def test_fixed_penalty_is_scikit_learns_logistic_regression(l2: float, digits: Digits) -> None:
    x, y = digits
    head = fitted(x[:1200], y[:1200], PROBE.replace(l2=l2)).head
    scaler = StandardScaler().fit(x[:1200])
    peer = LogisticRegression(C=1 / l2, max_iter=5000, tol=1e-6)
    peer.fit(scaler.transform(x[:1200]), y[:1200])
    for part in (slice(None, 1200), slice(1200, None)):
        ours, theirs = head.predict_proba(x[part]), peer.predict_proba(scaler.transform(x[part]))
        assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).mean() >= 0.99
        assert abs(log_loss(y[part], ours) - log_loss(y[part], theirs)) < 1e-3


def test_penalty_of_two_classes_is_twice_scikit_learns(digits: Digits) -> None:
    x, y = digits[0], digits[1] % 2
    head = fitted(x[:1200], y[:1200], PROBE.replace(l2=4.0)).head
    scaler = StandardScaler().fit(x[:1200])
    peer = LogisticRegression(C=2 / 4.0, max_iter=5000, tol=1e-6)
    peer.fit(scaler.transform(x[:1200]), y[:1200])
    theirs = peer.predict_proba(scaler.transform(x[1200:]))
    np.testing.assert_allclose(head.predict_proba(x[1200:]), theirs, atol=2e-3)


def test_penalty_is_chosen_on_held_out_rows_and_then_fitted_on_all(digits: Digits) -> None:
    x, y = digits[0][:600], digits[1][:600]
    fit = fitted(x, y)
    *tried, last = fit.history
    assert [report.epoch for report in fit.history] == list(range(1, 9))
    assert {report.n_epochs for report in fit.history} == {8}
    assert tuple(report.l2 for report in tried) == L2_GRID == tuple(sorted(L2_GRID, reverse=True))
    assert last.validation is None
    scores = [report.validation for report in tried if report.validation is not None]
    least = min(scores, key=lambda held_out: held_out["loss"])
    enough = least["loss"] + least["loss_standard_error"]
    strongest = next(
        l2 for l2, held_out in zip(L2_GRID, scores, strict=True) if held_out["loss"] <= enough
    )
    assert last.l2 == fit.head.config.l2 == strongest
    assert fit.head.config == PROBE.replace(l2=strongest)
    assert fit.notes == (
        f"l2 = {strongest:g} was chosen on 60 held-out rows: of 7 values the strongest whose log "
        "loss is within one standard error of the least.",
    )
    alone = fitted(x, y, fit.head.config).head
    np.testing.assert_allclose(
        fit.head.predict_proba(digits[0]), alone.predict_proba(digits[0]), atol=5e-3
    )


def test_losses_are_the_objective_per_row(digits: Digits) -> None:
    x, y = digits[0][:300], digits[1][:300]
    for report in fitted(x, y).history:
        losses = report.losses
        assert losses.keys() == {"total", "cross_entropy", "l2_penalty"}
        assert losses["total"] == pytest.approx(losses["cross_entropy"] + losses["l2_penalty"])
        assert report.learning_rate is None
    fit = fitted(x, y, PROBE.replace(l2=2.0))
    assert len(fit.history) == 1
    assert fit.notes == ()
    assert fit.history[0].losses["cross_entropy"] == pytest.approx(
        log_loss(y, fit.head.predict_proba(x)), rel=1e-4
    )


def test_noise_is_met_with_a_strong_penalty_and_signal_with_a_weak_one() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(400, 30))
    noise = generator.integers(0, 2, size=400)
    signal = (x @ generator.normal(size=30) > 0).astype(np.int64)
    assert fitted(x, noise).head.config.l2 == L2_GRID[0]
    chosen = fitted(x, signal).head.config.l2
    assert chosen is not None
    assert chosen < 100


def test_given_validation_rows_choose_the_penalty_and_none_are_held_out(digits: Digits) -> None:
    x, y = digits[0][:300], digits[1][:300]
    fit = fitted(x, y, validation=(digits[0][300:500], digits[1][300:500]))
    assert "was chosen on 200 held-out rows" in fit.notes[0]
    assert fit.history[-1].validation is not None
    # The grid's solution for the chosen penalty is on the same rows as the last.
    same = next(report for report in fit.history if report.l2 == fit.head.config.l2)
    assert same.losses["total"] == pytest.approx(fit.history[-1].losses["total"], rel=1e-3)
    shuffled = np.random.default_rng(0).permutation(digits[1][300:500])
    misled = fitted(x, y, validation=(digits[0][300:500], shuffled))
    assert misled.head.config.l2 == L2_GRID[0]


def test_held_out_rows_follow_the_seed(digits: Digits) -> None:
    x, y = digits[0][:300], digits[1][:300]
    first, again, other = (fitted(x, y, PROBE.replace(seed=seed)) for seed in (0, 0, 1))
    assert first.head.to_bytes() == again.head.to_bytes()
    assert first.history[0].validation != other.history[0].validation


def test_too_few_rows_to_hold_out_take_the_stated_penalty(rows: Any) -> None:
    at = np.r_[0:20, 30:50, 60]
    fit = fitted(rows.x[at], rows.y[at])
    assert len(fit.history) == 1
    assert fit.head.config.l2 == FALLBACK_L2
    assert fit.notes == (
        "Too few training rows (41) to hold out 10 for the choice of l2: 30 was taken. "
        "Give validation rows, or l2.",
    )


def test_class_of_a_single_row_does_not_forbid_the_choice(digits: Digits) -> None:
    x, y = digits[0][:300], digits[1][:300].copy()
    y[y == 9] = 8
    y[0] = 9
    assert len(fitted(x, y).history) == 8


def test_two_rows_train() -> None:
    x = np.array([[0.0, 1.0], [1.0, 0.0]])
    head = fitted(x, np.array([0, 1])).head
    assert head.predict(x) == ["0", "1"]


def test_constant_column_neither_helps_nor_harms(digits: Digits) -> None:
    x, y = digits[0][:300], digits[1][:300]
    with_constant = np.column_stack([x, np.full(300, 1 / 3)])
    config = PROBE.replace(l2=1.0)
    head = fitted(with_constant, y, config).head
    assert safetensors.numpy.load(head.to_bytes())["scaling.divisor"][-1] == 1.0
    np.testing.assert_allclose(
        head.predict_proba(with_constant),
        fitted(x, y, config).head.predict_proba(x),
        atol=1e-3,
    )


def test_one_common_factor_for_all_columns_will_do_too(digits: Digits) -> None:
    x, y = digits[0][:300], digits[1][:300]
    config = PROBE.replace(scaling="rms")
    plain, large = fitted(x, y, config), fitted(x * 1024, y, config)
    assert large.head.config == plain.head.config
    np.testing.assert_allclose(
        large.head.predict_proba(x * 1024), plain.head.predict_proba(x), atol=1e-4
    )


@pytest.mark.parametrize("config", [PROBE, PROBE.replace(l2=3.0)], ids=["chosen", "fixed"])
@pytest.mark.parametrize("with_validation", [False, True])
def test_continuing_from_any_checkpoint_gives_the_undisturbed_head(
    config: TuneConfig, with_validation: bool, digits: Digits
) -> None:
    x, y = digits[0][:200], digits[1][:200]
    options: dict[str, Any] = {"classes": [str(index) for index in range(10)], "config": config}
    if with_validation:
        options["validation"] = (digits[0][200:260], digits[1][200:260])
    undisturbed = Trainer(x, y, **options)
    history = list(undisturbed)
    expected = undisturbed.result()
    for n_done in range(len(history) + 1):
        first = Trainer(x, y, **options)
        assert len(list(islice(first, n_done))) == n_done
        second = Trainer(x, y, **options, checkpoint=first.checkpoint())
        rest = list(second)
        assert [report.losses for report in rest] == [r.losses for r in history[n_done:]]
        fit = second.result()
        assert fit.head.to_bytes() == expected.head.to_bytes()
        assert fit.notes == expected.notes


def test_checkpoint_of_mini_batch_training_is_refused(rows: Any) -> None:
    paper = Trainer(rows.x, rows.y, classes=rows.classes, config=TuneConfig(epochs=1))
    with pytest.raises(CheckpointError, match="with other config"):
        Trainer(rows.x, rows.y, classes=rows.classes, config=PROBE, checkpoint=paper.checkpoint())
