"""The ensemble: members side by side, each stopped by rows it never saw."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from nmtune.config import TuneConfig
from nmtune.training.trainer import Fit, Trainer
from tests.nmtune.training.resuming import check_resumes

SMALL = TuneConfig.from_preset(
    "mlp_ensemble", epochs=8, hidden_width=16, n_folds=3, patience=3, batch_size=32
)


def trainer_on(n: int, config: TuneConfig = SMALL, **options: Any) -> Trainer:
    x, y = load_digits(return_X_y=True)
    classes = [str(index) for index in range(10)]
    return Trainer(x[:n], y[:n], classes=classes, config=config, **options)


def fitted(n: int, config: TuneConfig = SMALL, **options: Any) -> Fit:
    trainer = trainer_on(n, config, **options)
    assert list(trainer)
    return trainer.result()


def test_it_learns_and_its_members_stand_side_by_side() -> None:
    x, y = load_digits(return_X_y=True)
    fit = fitted(900, SMALL.replace(epochs=20))
    assert (fit.head.predict_proba(x[900:]).argmax(1) == y[900:]).mean() > 0.9
    assert fit.head.n_tuned_columns == 2 * 3 * 16
    assert fit.head.transform(x[:5]).shape == (5, 96)
    assert (fit.head.transform(x[:5]) >= 0).all()


def test_held_out_rows_are_judged_by_members_that_did_not_learn_from_them() -> None:
    """Labels drawn by lot can be learnt by heart, but not foretold."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(300, 40))
    y = generator.integers(0, 2, 300)
    config = SMALL.replace(
        epochs=40, patience=100, hidden_width=64, input_dropout=0, hidden_dropout=0, weight_decay=0
    )
    trainer = Trainer(x, y, classes=("a", "b"), config=config)
    assert list(trainer)
    fit = trainer.result()
    assert fit.held_out is not None
    assert fit.held_out.n_train_rows == 300
    assert 0.4 < fit.held_out.accuracy < 0.6


def test_it_stops_when_no_member_gets_better() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(300, 10)), generator.integers(0, 2, 300)
    trainer = Trainer(x, y, classes=("a", "b"), config=SMALL.replace(epochs=500))
    reports = list(trainer)
    assert 4 <= len(reports) < 100
    assert reports[-1].n_epochs == reports[-1].epoch == len(reports)
    assert reports[0].n_epochs == 500
    with pytest.raises(StopIteration):
        next(trainer)


def test_members_that_were_still_getting_better_are_told() -> None:
    assert (
        "6 of 6 ensemble members were still improving"
        in fitted(600, SMALL.replace(epochs=2)).notes[0]
    )


def test_max_steps_bounds_the_epochs() -> None:
    assert fitted(640, SMALL.replace(max_steps=45)).history[-1].epoch == 2


def test_validation_rows_come_after_the_training_rows() -> None:
    x, y = load_digits(return_X_y=True)
    fit = fitted(400, validation=(x[400:500], y[400:500]))
    assert fit.held_out is not None
    assert (fit.held_out.n_train_rows, len(fit.held_out.y)) == (400, 500)
    np.testing.assert_allclose(fit.held_out.logits[400:], fit.head.logits(x[400:500]), atol=1e-4)


def test_continuing_from_any_checkpoint_gives_the_undisturbed_head() -> None:
    check_resumes(trainer_on, SMALL.replace(epochs=5))


def test_torchs_own_random_numbers_are_left_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    fitted(200)
    assert torch.equal(torch.get_rng_state(), before)


def test_groups_are_held_out_whole() -> None:
    """What tells the classes apart lies elsewhere in each group: unseen groups cannot be told."""
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(3), 200)
    y = np.tile([0, 1], 300)
    x = generator.normal(size=(600, 6)) * 0.1
    x[np.arange(600), groups * 2 + y] += 3
    x[:, [1, 3, 5]] *= np.array([1, -1, 1])[groups][:, None]
    options = {"classes": ("a", "b"), "config": SMALL.replace(epochs=15)}
    accuracy = []
    for given in (None, groups):
        trainer = Trainer(x, y, groups=given, **options)
        assert list(trainer)
        held_out = trainer.result().held_out
        assert held_out is not None
        accuracy.append(held_out.accuracy)
    assert accuracy[0] > 0.95 > accuracy[1]
