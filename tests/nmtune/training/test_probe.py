"""The linear probe: the logistic regression that every other head must beat."""

import re
from itertools import islice
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from nmtune.config import TuneConfig
from nmtune.errors import CheckpointError, DataError
from nmtune.heads.temperature import fit_temperature
from nmtune.rows.folds import assign_folds, held_out_rows
from nmtune.rows.held_out import HeldOut
from nmtune.training.logistic import row_losses
from nmtune.training.probe import FALLBACK_L2_PER_ROW, FEWEST_ROWS, L2_PER_ROW
from nmtune.training.trainer import Fit, Trainer

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


def test_penalty_is_cross_validated_and_then_fitted_on_all(digits: Digits) -> None:
    x, y = digits[0][:600], digits[1][:600]
    fit = fitted(x, y)
    *tried, last = fit.history
    assert [report.epoch for report in fit.history] == list(range(1, len(fit.history) + 1))
    assert [report.l2 for report in tried] == [l2 * 600 for l2 in L2_PER_ROW[: len(tried)]]
    assert {report.n_epochs for report in tried[:-1]} == {len(L2_PER_ROW) + 1}
    assert tried[-1].n_epochs == last.n_epochs == len(fit.history)
    assert last.validation is None
    assert last.l2 == fit.head.config.l2
    assert last.l2 in [l2 * 600 for l2 in L2_PER_ROW]
    assert fit.head.config == PROBE.replace(l2=last.l2)
    assert "was chosen by cross-validation (5 folds)" in fit.notes[0]
    alone = fitted(x, y, fit.head.config).head
    np.testing.assert_allclose(fit.head.logits(digits[0]), alone.logits(digits[0]), atol=5e-3)


def test_chosen_penalty_is_the_strongest_within_one_standard_error_of_the_best(
    digits: Digits,
) -> None:
    """Against scikit-learn on the same folds."""
    x, y = digits[0][:600], digits[1][:600]
    folds = assign_folds(y, n_folds=5, seed=0)
    scaled = StandardScaler().fit_transform(x)
    found = []
    for l2_per_row in L2_PER_ROW:
        correct = np.zeros(600)
        for kept, held_out in held_out_rows(folds):
            peer = LogisticRegression(C=1 / (l2_per_row * len(kept)), max_iter=5000, tol=1e-6)
            peer.fit(scaled[kept], y[kept])
            correct[held_out] = peer.predict(scaled[held_out]) == y[held_out]
        found.append(correct)
    accuracies = [one.mean() for one in found]
    best = max(accuracies)
    enough = best - np.sqrt(best * (1 - best) / 600)
    strongest = next(
        l2 for l2, accuracy in zip(L2_PER_ROW, accuracies, strict=True) if accuracy >= enough
    )
    assert fitted(x, y).head.config.l2 == pytest.approx(strongest * 600)


def test_held_out_predictions_are_of_models_that_had_not_seen_the_rows(digits: Digits) -> None:
    x, y = digits[0][:600], digits[1][:600]
    fit = fitted(x, y)
    held_out = fit.held_out
    assert held_out is not None
    assert (held_out.n_train_rows, held_out.logits.shape) == (600, (600, 10))
    np.testing.assert_array_equal(held_out.y, y)
    l2_per_row = fit.head.config.l2 / 600
    scaled = StandardScaler().fit_transform(x)
    for kept, rest in held_out_rows(assign_folds(y, n_folds=5, seed=0)):
        peer = LogisticRegression(C=1 / (l2_per_row * len(kept)), max_iter=5000, tol=1e-6)
        theirs = peer.fit(scaled[kept], y[kept]).predict_proba(scaled[rest])
        ours = np.exp(held_out.log_probabilities[rest])
        assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).mean() >= 0.99
        assert abs(log_loss(y[rest], ours) - log_loss(y[rest], theirs)) < 5e-3
    assert HeldOut.from_bytes(held_out.to_bytes()).to_bytes() == held_out.to_bytes()


def test_temperature_is_fitted_on_the_held_out_predictions(digits: Digits) -> None:
    fit = fitted(digits[0][:600], digits[1][:600])
    assert fit.held_out is not None
    assert fit.head.temperature == fit_temperature(fit.held_out.logits, fit.held_out.y)
    assert "Probabilities are calibrated" in fit.notes[-1]


def test_groups_are_held_out_whole(digits: Digits) -> None:
    x, y = digits[0][:300], digits[1][:300]
    groups = np.repeat(["a", "b", "c"], 100)
    fit = fitted(x, y, groups=groups)
    assert "(3 folds)" in fit.notes[0]
    with pytest.raises(DataError, match="at least two different groups"):
        fitted(x, y, groups=np.zeros(300))
    with pytest.raises(DataError, match="one per row"):
        fitted(x, y, groups=groups[:10])


def test_weight_of_a_row_is_worth_its_repetition(digits: Digits) -> None:
    x, y = digits[0][:300], digits[1][:300]
    weight = np.random.default_rng(0).integers(0, 4, 300)
    config = TuneConfig.from_preset("linear_probe", scaling="rms", l2=3.0)
    weighed = fitted(x, y, config.replace(l2=3.0), sample_weight=weight).head
    repeated = np.repeat(np.arange(300), weight)
    # The factor of the scaling is of the rows as they came, repeated or not.
    rms = np.sqrt(np.square(x[weight > 0]).mean() / np.square(x[repeated]).mean())
    many = fitted(
        x[repeated],
        y[repeated],
        config.replace(l2=3.0 * len(repeated) / (weight > 0).sum() / rms**2),
    ).head
    np.testing.assert_allclose(weighed.predict_proba(x), many.predict_proba(x), atol=5e-3)


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (np.full(300, -1.0), "got -1.0 in row 0"),
        (np.where(np.arange(300) == 7, np.nan, 1.0), "got nan in row 7"),
        (np.zeros(300), "must not be 0 for every row"),
        (np.ones(3), "one per row"),
        (["a"] * 300, "must be numbers"),
    ],
)
def test_weights_that_mean_nothing_are_refused(digits: Digits, weight: Any, words: str) -> None:
    with pytest.raises(DataError) as caught:
        fitted(digits[0][:300], digits[1][:300], sample_weight=weight)
    assert caught.value.field == "sample_weight"
    assert words in caught.value.message


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
    assert fitted(x, noise).head.config.l2 == L2_PER_ROW[0] * 400
    chosen = fitted(x, signal).head.config.l2
    assert chosen is not None
    assert chosen <= 0.1 * 400


def test_validation_rows_are_held_out_too(digits: Digits) -> None:
    x, y = digits[0][:300], digits[1][:300]
    fit = fitted(x, y, validation=(digits[0][300:500], digits[1][300:500]))
    assert fit.history[-1].validation is not None
    assert fit.held_out is not None
    assert (fit.held_out.n_train_rows, len(fit.held_out.y)) == (300, 500)
    np.testing.assert_array_equal(fit.held_out.y[300:], digits[1][300:500])
    assert fit.held_out.correct[300:].mean() > 0.8


def test_held_out_rows_follow_the_seed(digits: Digits) -> None:
    x, y = digits[0][:300], digits[1][:300]
    first, again, other = (fitted(x, y, PROBE.replace(seed=seed)) for seed in (0, 0, 1))
    assert first.head.to_bytes() == again.head.to_bytes()
    assert first.history[0].validation != other.history[0].validation


def test_too_few_rows_to_cross_validate_take_the_stated_penalty(rows: Any) -> None:
    at = np.arange(0, 90, 5)
    assert len(at) < FEWEST_ROWS
    fit = fitted(rows.x[at], rows.y[at])
    assert len(fit.history) == 1
    assert fit.head.config.l2 == FALLBACK_L2_PER_ROW * 18
    assert fit.held_out is None
    assert fit.notes == (
        "18 training rows are too few to choose l2 by cross-validation (it takes 20), so l2 = 1.8 "
        "was used. Add rows, or set l2.",
    )


def test_class_of_a_single_row_does_not_forbid_the_choice(digits: Digits) -> None:
    x, y = digits[0][:300], digits[1][:300].copy()
    y[y == 9] = 8
    y[0] = 9
    assert "(5 folds)" in fitted(x, y).notes[0]


def test_two_rows_train() -> None:
    x = np.array([[0.0, 1.0], [1.0, 0.0]])
    head = fitted(x, np.array([0, 1])).head
    assert head.predict(x) == ["0", "1"]


def test_constant_column_neither_helps_nor_harms(digits: Digits) -> None:
    x, y = digits[0][:300], digits[1][:300]
    with_constant = np.column_stack([x, np.full(300, 1 / 3)])
    config = PROBE.replace(l2=1.0)
    head = fitted(with_constant, y, config).head
    assert safetensors.numpy.load(head.to_bytes())["0.scaling.divisor"][-1] == 1.0
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
    assert large.head.temperature == pytest.approx(plain.head.temperature, rel=1e-3)
    np.testing.assert_allclose(
        large.head.predict_proba(x * 1024), plain.head.predict_proba(x), atol=1e-4
    )


@pytest.mark.parametrize(
    "config",
    [PROBE, PROBE.replace(l2=3.0), TuneConfig.from_preset("trimmed_probe", n_folds=3)],
    ids=["chosen", "fixed", "trimmed"],
)
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
    # In the middle, where the penalties begin anew, and at both ends.
    anew = [
        at for at in range(1, len(history) - 1) if (history[at].l2 or 0) > (history[at - 1].l2 or 0)
    ]
    for n_done in {0, 1, len(history) // 3, *anew, len(history) - 1, len(history)}:
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


def test_generalised_cross_entropy_withstands_flipped_labels(digits: Digits) -> None:
    x, y = digits
    generator = np.random.default_rng(0)
    flipped = generator.random(1200) < 0.4
    labels = np.where(flipped, (y[:1200] + generator.integers(1, 10, 1200)) % 10, y[:1200])
    accuracy = {
        preset: (
            fitted(x[:1200], labels, TuneConfig.from_preset(preset)).head.logits(x[1200:]).argmax(1)
            == y[1200:]
        ).mean()
        for preset in ("linear_probe", "robust_probe")
    }
    assert accuracy["robust_probe"] > accuracy["linear_probe"] + 0.02


def test_generalised_cross_entropy_is_its_formula() -> None:
    logits = torch.tensor([[1.0, 2.0, 0.5], [0.0, 0.0, 0.0]])
    y = torch.tensor([1, 2])
    probability = logits.double().softmax(1)[[0, 1], y]
    expected = (1 - probability**0.7) / 0.7
    torch.testing.assert_close(row_losses(logits, y, "gce"), expected)
    torch.testing.assert_close(row_losses(logits, y, "cross_entropy"), -probability.log())


def flipped_digits(digits: Digits, share: float) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    generator = np.random.default_rng(0)
    flipped = generator.random(1200) < share
    y = digits[1][:1200]
    return np.where(flipped, (y + generator.integers(1, 10, 1200)) % 10, y), flipped


def test_trimmed_probe_leaves_out_wrong_labels_and_predicts_them_all_the_same(
    digits: Digits,
) -> None:
    labels, flipped = flipped_digits(digits, 0.3)
    x = digits[0]
    accuracy = {}
    for preset in ("whitened_probe", "trimmed_probe"):
        fit = fitted(x[:1200], labels, TuneConfig.from_preset(preset))
        accuracy[preset] = (fit.head.logits(x[1200:]).argmax(1) == digits[1][1200:]).mean()
    assert accuracy["trimmed_probe"] > accuracy["whitened_probe"] + 0.005
    assert [report.l2 for report in fit.history].count(L2_PER_ROW[0] * 1200) == 2
    said = re.fullmatch(r"(\d+) of 1,200 training rows were left out, .*", fit.notes[1])
    assert said is not None
    assert 0.8 * flipped.sum() < int(said[1]) < 1.3 * flipped.sum()
    assert fit.held_out is not None
    np.testing.assert_array_equal(fit.held_out.y, labels)
    right = fit.held_out.logits.argmax(1) == digits[1][:1200]
    assert right[flipped].mean() > 0.85


def test_trimming_never_leaves_a_class_without_rows() -> None:
    generator = np.random.default_rng(1)
    x = generator.normal(size=(300, 5))
    y = (x[:, 0] > 0).astype(np.int64)
    y[:4] = 2  # like any other row
    fit = fitted(x, y, TuneConfig.from_preset("trimmed_probe"))
    assert np.isfinite(fit.head.logits(x)).all()
    assert (fit.head.logits(x)[:, 2] > -100).all()


@pytest.mark.parametrize("preset", ["linear_probe", "whitened_probe"])
def test_more_columns_than_rows_is_the_same_problem_in_fewer_coordinates(preset: str) -> None:
    generator = np.random.default_rng(2)
    y = np.arange(90) % 3
    x = generator.normal(size=(90, 200)) + 0.3 * generator.normal(size=(3, 200))[y]
    few = TuneConfig.from_preset(preset, l2=9.0, scaling="rms")
    head = fitted(x, y, few).head
    turn = np.linalg.qr(generator.normal(size=(200, 200)))[0]
    turned = fitted(x @ turn, y, few).head
    np.testing.assert_allclose(head.logits(x), turned.logits(x @ turn), atol=2e-3)
    if preset == "linear_probe":
        scale = np.sqrt(np.square(x).mean())
        peer = LogisticRegression(C=1 / 9.0, max_iter=5000, tol=1e-8).fit(x / scale, y)
        theirs = peer.predict_log_proba(x / scale)
        ours = np.log(head.calibrated(1.0).predict_proba(x))
        np.testing.assert_allclose(ours, theirs, atol=2e-3)
