"""Folded NMTune: members trained together are those trained one by one, folded and honest."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional

from nmtune import CheckpointError, Head
from nmtune.config import TuneConfig
from nmtune.heads.network import Bottlenecks
from nmtune.losses.shares import correlation, directions, pull
from nmtune.numeric.random_numbers import generator
from nmtune.rows.folds import assign_folds
from nmtune.training.trainer import Fit, Trainer
from tests.nmtune.training.resuming import check_resumes

NMTUNE = TuneConfig.from_preset(
    "folded_nmtune", epochs=6, hidden_width=8, n_folds=3, patience=3, batch_size=32
)

MLP = NMTUNE.replace(preset="folded_mlp", w_consistency=0, w_covariance=0)
CLASSES = [str(index) for index in range(10)]


def digits(n: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    x, y = load_digits(return_X_y=True)
    return x[:n], y[:n]


def trainer_on(n: int, config: TuneConfig, **options: Any) -> Trainer:
    return Trainer(*digits(n), classes=CLASSES, config=config, **options)


def fitted(n: int, config: TuneConfig, **options: Any) -> Fit:
    trainer = trainer_on(n, config, **options)
    assert list(trainer)
    return trainer.result()


@pytest.mark.parametrize("config", [NMTUNE, MLP], ids=["nmtune", "mlp"])
def test_it_learns_and_its_tuned_embeddings_are_as_wide_as_the_raw_ones(config: TuneConfig) -> None:
    x, y = load_digits(return_X_y=True)
    fit = fitted(900, config.replace(epochs=25))
    assert (fit.head.predict_proba(x[900:]).argmax(1) == y[900:]).mean() > 0.9
    assert fit.head.n_tuned_columns == 64
    assert fit.held_out is not None
    assert fit.held_out.n_train_rows == 900
    assert fit.held_out.accuracy > 0.9
    again = Head.from_bytes(fit.head.to_bytes())
    np.testing.assert_array_equal(again.predict_proba(x), fit.head.predict_proba(x))
    np.testing.assert_array_equal(again.transform(x), fit.head.transform(x))


def one_by_one(x: Tensor, y: Tensor, config: TuneConfig, member: int) -> dict[str, Tensor]:
    """One epoch of one member by itself, from the rows that it learns from and no others."""
    seed = int(np.random.SeedSequence((config.seed, 0)).generate_state(1)[0])
    folds = torch.from_numpy(assign_folds(y.numpy(), n_folds=config.n_folds, seed=seed))
    n_units, d = config.n_members * config.hidden_width, x.shape[1]
    drawn, bound = generator(config.seed, 0), 1 / d**0.5
    into = torch.empty(n_units, d).uniform_(-bound, bound, generator=drawn)
    into_bias = torch.empty(n_units).uniform_(-bound, bound, generator=drawn)
    mine = slice(member * config.hidden_width, (member + 1) * config.hidden_width)
    live = {
        "into": into[mine].clone(),
        "into_bias": into_bias[mine].clone(),
        "back": torch.zeros(config.hidden_width, d),
        "out": torch.zeros(d, 10),
        "out_bias": torch.zeros(10),
    }
    for parameter in live.values():
        parameter.requires_grad_(True)
    optimiser = torch.optim.AdamW(
        live.values(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    order = torch.randperm(len(y), generator=generator(config.seed, 1))
    for step in range(len(y) // config.batch_size):
        at = order[step * config.batch_size : (step + 1) * config.batch_size]
        at = at[folds[at] != member]
        f = x[at]
        z = f + (f @ live["into"].T + live["into_bias"]).relu() @ live["back"]
        loss = functional.cross_entropy(z @ live["out"] + live["out_bias"], y[at])
        (of_loss,) = torch.autograd.grad(loss, z, retain_graph=True)
        stack, everyone = z.detach()[None], torch.ones(1, len(at), dtype=torch.bool)
        pulls = pull(of_loss[None], directions(stack, f, everyone), config.w_consistency)
        pulls = pulls + pull(of_loss[None], correlation(stack, everyone), config.w_covariance)
        optimiser.zero_grad()
        torch.autograd.backward(loss + (z * pulls[0]).sum())
        optimiser.step()
    return {name: parameter.detach() for name, parameter in live.items()}


@pytest.mark.parametrize("config", [NMTUNE, MLP], ids=["nmtune", "mlp"])
def test_members_trained_together_are_those_trained_one_by_one(config: TuneConfig) -> None:
    config = config.replace(epochs=1, input_dropout=0, batch_size=50)
    x, y = digits(400)
    head = fitted(400, config).head
    member = head.members[0]
    scaled = member.scaling.apply(torch.from_numpy(x).float())
    alone = [one_by_one(scaled, torch.from_numpy(y), config, one) for one in range(3)]
    transform, classifier = member.network.transform, member.network.classifier
    assert isinstance(transform, Bottlenecks)
    close = {"rtol": 0, "atol": 2e-5}
    into = torch.cat([one["into"] for one in alone])
    torch.testing.assert_close(transform.into.weight, into, **close)
    back = torch.cat([one["back"] for one in alone]).T / 3
    torch.testing.assert_close(transform.back.weight, back, **close)
    # Folded: the mean of the members' logits, from what each member says by itself.
    logits = torch.zeros(400, 10)
    tuned = torch.zeros(400, 64)
    for one in alone:
        z = scaled + (scaled @ one["into"].T + one["into_bias"]).relu() @ one["back"]
        logits += (z @ one["out"] + one["out_bias"]) / 3
        tuned += z / 3
    with torch.no_grad():
        z, found = member.network(scaled)
    torch.testing.assert_close(found, logits, rtol=0, atol=2e-4)
    torch.testing.assert_close(z, tuned, rtol=0, atol=2e-4)
    assert classifier.weight.shape == (10, 64 + 3 * 8)


def test_held_out_rows_are_judged_by_members_that_did_not_learn_from_them() -> None:
    """Labels drawn by lot can be learnt by heart, but not foretold."""
    lot = np.random.default_rng(0)
    x, y = lot.normal(size=(300, 40)), lot.integers(0, 2, 300)
    config = NMTUNE.replace(epochs=40, patience=100, hidden_width=64, input_dropout=0)
    trainer = Trainer(x, y, classes=("a", "b"), config=config)
    assert list(trainer)
    fit = trainer.result()
    assert fit.held_out is not None
    assert 0.4 < fit.held_out.accuracy < 0.6


def test_validation_rows_are_judged_by_the_mean_of_the_members() -> None:
    x, y = load_digits(return_X_y=True)
    fit = fitted(400, NMTUNE, validation=(x[400:500], y[400:500]))
    assert fit.held_out is not None
    assert (fit.held_out.n_train_rows, len(fit.held_out.y)) == (400, 500)
    np.testing.assert_allclose(fit.held_out.logits[400:], fit.head.logits(x[400:500]), atol=1e-4)


def test_without_weights_it_is_the_matched_mlp_to_the_bit() -> None:
    nothing = NMTUNE.replace(w_consistency=0, w_covariance=0)
    without, mlp = fitted(300, nothing).head, fitted(300, MLP).head
    x, _ = digits(300)
    np.testing.assert_array_equal(without.logits(x), mlp.logits(x))
    assert np.abs(fitted(300, NMTUNE).head.logits(x) - mlp.logits(x)).max() > 1e-3


def test_terms_do_what_they_are_for() -> None:
    """More consistency turns rows less; more covariance leaves columns less correlated."""
    x, _ = digits(600)
    rows = torch.from_numpy(x).float()
    everyone = torch.ones(1, 600, dtype=torch.bool)
    config = MLP.replace(epochs=30)

    def tuned(**weights: float) -> tuple[Tensor, Tensor]:
        member = fitted(600, config.replace(**weights)).head.members[0]
        f = member.scaling.apply(rows.clone())
        with torch.no_grad():
            return member.network(f)[0][None], f

    plain, f = tuned()
    kept, _ = tuned(w_consistency=2.0)
    spread, _ = tuned(w_covariance=2.0)
    assert directions(kept, f, everyone).value < 0.5 * directions(plain, f, everyone).value
    assert correlation(spread, everyone).value < 0.9 * correlation(plain, everyone).value


@pytest.mark.parametrize("config", [NMTUNE, MLP], ids=["nmtune", "mlp"])
def test_continuing_from_any_checkpoint_gives_the_undisturbed_head(config: TuneConfig) -> None:
    check_resumes(trainer_on, config.replace(epochs=4))


def test_a_checkpoint_of_the_published_loop_is_refused() -> None:
    loop = trainer_on(200, TuneConfig(epochs=2))
    next(loop)
    with pytest.raises(CheckpointError, match="other config"):
        trainer_on(200, NMTUNE, checkpoint=loop.checkpoint())


def test_weighted_rows_count_as_often_as_their_weight_says() -> None:
    """Half of the rows are labelled wrong and weigh nothing to speak of."""
    x, y = digits(600)
    given = np.where(np.arange(600) % 2, (y + 1) % 10, y)
    weight = np.where(np.arange(600) % 2, 1e-6, 1.0)
    trainer = Trainer(
        x, given, classes=CLASSES, config=NMTUNE.replace(epochs=25), sample_weight=weight
    )
    assert list(trainer)
    fit = trainer.result()
    assert (fit.head.predict_proba(x).argmax(1) == y)[::2].mean() > 0.9


@pytest.mark.parametrize("preset", ["folded_nmtune", "mlp_ensemble"])
@pytest.mark.parametrize("n_groups", [2, 4, 8])
def test_every_row_of_every_group_is_held_out_by_somebody(preset: str, n_groups: int) -> None:
    x, y = digits(400)
    groups = np.arange(400) % n_groups
    config = TuneConfig.from_preset(preset, epochs=1, hidden_width=8, n_folds=5)
    trainer = Trainer(x, y, classes=CLASSES, config=config, groups=groups)
    assert list(trainer)
    held_out = trainer.result().held_out
    assert held_out is not None
    assert (np.abs(held_out.logits).sum(axis=1) > 0).all()


@pytest.mark.parametrize("preset", ["folded_nmtune", "mlp_ensemble"])
def test_members_that_stop_are_taken_out_and_a_checkpoint_knows_which(preset: str) -> None:
    config = TuneConfig.from_preset(
        preset, epochs=200, hidden_width=8, patience=1, batch_size=32, n_folds=5
    )
    undisturbed = trainer_on(300, config)
    n_active, saved = [], []
    for _ in undisturbed:
        saved.append(undisturbed.checkpoint())
        n_active.append(len(undisturbed._procedure._active))  # type: ignore[attr-defined]
    assert n_active == sorted(n_active, reverse=True)
    assert n_active[-1] == 0
    assert len(set(n_active)) > 2
    expected = undisturbed.result().head.to_bytes()
    some_left = next(at for at, n in enumerate(n_active) if 0 < n < config.n_members)
    for checkpoint in (saved[some_left], saved[-1]):
        again = trainer_on(300, config, checkpoint=checkpoint)
        list(again)
        assert len(again.result().history) == len(saved)
        assert again.result().head.to_bytes() == expected
