"""The procedure by mini-batches on its own: row weights, the bound on steps, held-out rows."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from nmtune.config import TuneConfig
from nmtune.heads.network import Network, forward_in_batches
from nmtune.numeric.random_numbers import generator
from nmtune.training.adamw import AdamwFit
from nmtune.training.rows import LabelledRows

CONFIG = TuneConfig.from_preset("mlp", epochs=6, batch_size=30)


def labelled(rows: Any, weight: Tensor | None = None) -> LabelledRows:
    return LabelledRows(torch.tensor(rows.x), torch.tensor(rows.y), weight)


def procedure(rows: LabelledRows, config: TuneConfig = CONFIG, **options: Any) -> AdamwFit:
    n_columns = rows.x.shape[1]
    network = Network.initialised(
        config, n_columns=n_columns, n_classes=3, generator=generator(config.seed, 0)
    )
    return AdamwFit(network, rows, config=config, **{"validation": None, **options})


def trained(fit: AdamwFit) -> AdamwFit:
    for epoch in range(1, fit.n_epochs + 1):
        fit.run(epoch)
    return fit


def logits_of(fit: AdamwFit, x: Tensor) -> Tensor:
    fit.network.eval()
    with torch.no_grad():
        return forward_in_batches(fit.network, x)[1]


def test_the_reported_cross_entropy_is_the_weighted_one(rows: Any) -> None:
    weight = torch.linspace(0.0, 2.0, 90)
    one_batch = CONFIG.replace(batch_size=90)
    fit = procedure(labelled(rows, weight), one_batch)
    apart = functional.cross_entropy(
        logits_of(fit, torch.tensor(rows.x)), torch.tensor(rows.y), reduction="none"
    )
    losses = fit.run(1).losses
    assert losses["cross_entropy"] == pytest.approx((weight * apart).sum().item() / 90, rel=1e-5)
    assert losses["total"] == losses["cross_entropy"]


def test_rows_that_weigh_more_are_fitted_better_and_rows_of_weight_zero_are_not_learnt(
    rows: Any,
) -> None:
    weight = torch.where(torch.tensor(rows.y) == 2, 0.0, 1.5)
    config = CONFIG.replace(epochs=40, learning_rate=0.01)
    predicted = logits_of(
        trained(procedure(labelled(rows, weight), config)), torch.tensor(rows.x)
    ).argmax(1)
    assert not (predicted == 2).any()


def test_epochs_that_would_exceed_max_steps_are_not_made_and_that_is_said(rows: Any) -> None:
    whole = procedure(labelled(rows))
    assert (whole.n_epochs, whole.notes()) == (6, [])
    cut = procedure(labelled(rows), CONFIG.replace(max_steps=8))  # three steps an epoch
    assert cut.n_epochs == 2
    assert cut.notes() == ["Training stopped after 2 of 6 epochs: more would exceed max_steps (8)."]
    # The schedule ends with the epochs that are made.
    rates = [cut.run(epoch).learning_rate for epoch in (1, 2)]
    short = procedure(labelled(rows), CONFIG.replace(epochs=2))
    assert rates == [short.run(epoch).learning_rate for epoch in (1, 2)]


def test_held_out_is_what_the_trained_network_says_of_the_validation_rows(rows: Any) -> None:
    assert trained(procedure(labelled(rows))).held_out() is None
    validation = LabelledRows(torch.tensor(rows.x[::3]), torch.tensor(rows.y[::3]))
    fit = trained(procedure(labelled(rows), validation=validation))
    held_out = fit.held_out()
    assert held_out is not None
    assert held_out.n_train_rows == 0
    assert torch.equal(torch.from_numpy(held_out.y), validation.y)
    assert torch.equal(torch.from_numpy(held_out.logits), logits_of(fit, validation.x))
