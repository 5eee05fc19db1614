"""Method auto: what is chosen, why, and that the blend is what was promised."""

import re

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from nmtune import evaluate
from nmtune.config import TuneConfig
from nmtune.rows.held_out import HeldOut
from nmtune.training import choose
from nmtune.training.auto import fit_auto
from nmtune.training.candidates import CHOSEN_FROM
from nmtune.training.trainer import Fit, Trainer

N = 2000
GENERATOR = np.random.default_rng(0)
Y = GENERATOR.integers(0, 3, N)
NOISE = GENERATOR.normal(size=(N, 3))


def judged(signal: float, *, n: int = N) -> HeldOut:
    """Held-out logits of a classifier of some skill: more signal, better predictions."""
    logits: NDArray[np.float64] = np.eye(3)[Y[:n]] * signal + NOISE[:n]
    return HeldOut(logits=(logits * signal).astype(np.float32), y=Y[:n], n_train_rows=n)


def test_ties_go_to_the_whitened_probe() -> None:
    choice = choose.choose(
        {"linear_probe": judged(2), "whitened_probe": judged(2), "mlp_ensemble": judged(2)}
    )
    assert choice.weights == {"whitened_probe": 1.0}
    assert choice.n_rows == N
    assert "ties with the linear probe" in choice.reason
    assert "not clearly better" in choice.reason
    assert "so the whitened probe was chosen: of heads that tie" in choice.reason


@pytest.mark.parametrize(
    ("linear", "taken"), [(2, "the whitened probe"), (2.5, "the linear probe")]
)
def test_ensemble_that_is_clearly_worse_is_called_worse(linear: float, taken: str) -> None:
    choice = choose.choose(
        {
            "linear_probe": judged(linear),
            "whitened_probe": judged(2),
            "mlp_ensemble": judged(1.2),
        }
    )
    assert re.search(r"the MLP ensemble is worse \([1-9][0-9.]* standard errors", choice.reason)
    assert choice.reason.endswith(f", so {taken} was chosen.")
    assert "not clearly" not in choice.reason
    assert "-" not in choice.reason.replace("cross-validation", "")


def test_ensemble_that_is_clearly_better_joins() -> None:
    a_little_better = judged(2)
    a_little_better.logits[:25] = judged(2.5).logits[:25]  # 3.3 standard errors
    choice = choose.choose(
        {"linear_probe": judged(2), "whitened_probe": judged(2), "mlp_ensemble": a_little_better}
    )
    assert choice.weights == {"whitened_probe": 0.5, "mlp_ensemble": 0.5}
    assert "blended half and half" in choice.reason


def test_ensemble_that_is_better_by_far_has_three_quarters() -> None:
    choice = choose.choose(
        {"linear_probe": judged(2), "whitened_probe": judged(2), "mlp_ensemble": judged(2.5)}
    )
    assert choice.weights == {"whitened_probe": 0.25, "mlp_ensemble": 0.75}
    assert "better by far" in choice.reason


def test_linear_probe_that_is_clearly_better_replaces_the_whitened_one() -> None:
    choice = choose.choose(
        {"linear_probe": judged(2.5), "whitened_probe": judged(2), "mlp_ensemble": judged(2.5)}
    )
    assert choice.weights == {"linear_probe": 1.0}


def test_noisy_labels_bring_in_the_robust_candidates() -> None:
    choice = choose.choose({name: judged(2) for name in CHOSEN_FROM}, noisy=True)
    members = ("robust_probe", "trimmed_probe", "mlp_ensemble")
    assert choice.weights == dict.fromkeys(members, 1 / 3)
    assert "labels look wrong" in choice.reason


def test_evidence_is_of_every_candidate_that_was_weighed_and_of_no_other() -> None:
    choice = choose.choose(
        {
            "linear_probe": judged(2),
            "whitened_probe": judged(2),
            "mlp_ensemble": judged(3),
            "mlp": judged(9),
        }
    )
    assert [one.candidate for one in choice.evidence] == [
        "linear_probe",
        "whitened_probe",
        "mlp_ensemble",
    ]
    best = choice.evidence[2]
    assert best.accuracy == judged(3).accuracy > choice.evidence[0].accuracy
    assert 0 < best.log_loss < choice.evidence[0].log_loss
    assert choice.to_dict()["evidence"][2]["candidate"] == "mlp_ensemble"


def test_nothing_held_out_falls_back_to_the_whitened_probe() -> None:
    choice = choose.choose({"mlp_ensemble": judged(2)})
    assert choice.weights == {"whitened_probe": 1.0}
    assert "too few training rows" in choice.reason


def test_few_rows_give_the_whitened_probe_at_once() -> None:
    x, y = load_digits(return_X_y=True)
    at = np.flatnonzero(y < 3)[:18]
    fit = fit_auto(x[at], y[at], classes=["0", "1", "2"])
    assert fit.choice.weights == {"whitened_probe": 1.0}
    assert set(fit.fits) == {"linear_probe", "whitened_probe"}
    assert fit.head.configs[0].preset == "whitened_probe"
    others = np.flatnonzero(y < 3)[18:]
    assert (fit.head.predict_proba(x[others]).argmax(axis=1) == y[others]).mean() > 0.9


def test_one_row_a_class_gives_the_whitened_probe_at_once() -> None:
    """No held-out row is of a class that was learnt, so that the flattest head would win."""
    x = np.random.default_rng(2).normal(size=(30, 8))
    fit = fit_auto(x, np.arange(30), classes=[f"c{at}" for at in range(30)])
    assert dict(fit.choice.weights) == {"whitened_probe": 1.0}
    assert (fit.head.logits(x).argmax(axis=1) == np.arange(30)).mean() > 0.5


def test_evidence_says_how_little_few_rows_tell() -> None:
    widths = []
    for n in (60, 2000):
        names = ("linear_probe", "whitened_probe")
        choice = choose.choose({name: judged(1, n=n) for name in names})
        low, high = choice.evidence[0].accuracy_interval
        assert low < choice.evidence[0].accuracy < high
        widths.append(high - low)
    assert widths[0] > 0.15
    assert widths[1] < 0.05


@pytest.mark.parametrize(("flipped", "is_noisy"), [(0.0, False), (0.3, True)])
def test_labels_that_were_flipped_look_noisy(flipped: float, is_noisy: bool) -> None:
    x, y = load_digits(return_X_y=True)
    generator = np.random.default_rng(1)
    is_flipped = generator.random(len(y)) < flipped
    labels = np.where(is_flipped, (y + generator.integers(1, 10, len(y))) % 10, y)
    held_out = trained(x, labels, "linear_probe").held_out
    assert held_out is not None
    errors = choose.label_errors(held_out)
    assert errors is not None
    assert choose.labels_look_noisy(errors) is is_noisy
    if flipped:
        assert is_flipped[errors.rows[:100]].mean() > 0.95


def test_few_rows_are_never_called_noisy() -> None:
    lot = HeldOut(logits=NOISE[:400].astype(np.float32), y=Y[:400], n_train_rows=400)
    errors = choose.label_errors(lot)
    assert errors is not None
    assert errors.confident_disagreement > 0.3
    assert not choose.labels_look_noisy(errors)


def trained(x: NDArray[np.float64], y: NDArray[np.int64], preset: str) -> Fit:
    config = TuneConfig.from_preset(preset, n_folds=3)
    if config.transform == "hidden":
        config = config.replace(hidden_width=32, epochs=15)
    trainer = Trainer(x, y, classes=[str(index) for index in range(10)], config=config)
    assert list(trainer)
    return trainer.result()


def test_blend_predicts_as_promised_and_is_calibrated() -> None:
    x, y = load_digits(return_X_y=True)
    names = ("linear_probe", "whitened_probe", "mlp_ensemble")
    fits = {name: trained(x[:1200], y[:1200], name) for name in names}
    held_out = {name: fit.held_out for name, fit in fits.items() if fit.held_out}
    choice = choose.choose(held_out)
    head, calibration = choose.blend(
        choice, {name: fit.head for name, fit in fits.items()}, held_out
    )
    probabilities = head.predict_proba(x[1200:])
    evaluation = evaluate(probabilities, y[1200:], head.classes)
    worst = min(
        evaluate(fit.head.predict_proba(x[1200:]), y[1200:], head.classes).accuracy
        for fit in fits.values()
    )
    assert evaluation.accuracy >= worst
    assert evaluation.ece < 0.05
    assert head.temperature == calibration.temperature
    assert "calibrated" in calibration.note


def test_with_wrong_labels_the_whole_way_is_calibrated_for_the_right_ones() -> None:
    x, y = load_digits(return_X_y=True)
    generator = np.random.default_rng(2)
    given = y.copy()
    is_flipped = generator.random(1200) < 0.3
    given[:1200] = np.where(is_flipped, (y[:1200] + generator.integers(1, 10, 1200)) % 10, y[:1200])
    configs = {name: TuneConfig.from_preset(name, n_folds=3) for name in CHOSEN_FROM}
    configs["mlp_ensemble"] = configs["mlp_ensemble"].replace(hidden_width=32, epochs=15)
    classes = [str(index) for index in range(10)]
    fit = fit_auto(x[:1200], given[:1200], classes=classes, configs=configs)
    assert fit.choice.labels_look_noisy
    assert "for the right labels" in fit.note
    held_out = {name: one.held_out for name, one in fit.fits.items() if one.held_out}
    heads = {name: one.head for name, one in fit.fits.items()}
    plain, _ = choose.blend(fit.choice, heads, held_out)
    ece = {
        name: evaluate(head.predict_proba(x[1200:]), y[1200:], head.classes).ece
        for name, head in (("plain", plain), ("ours", fit.head))
    }
    assert ece["plain"] > 0.2
    assert ece["ours"] < 0.05
