"""The trainer by mini-batches: what it computes, that it repeats itself, and where it stops."""

import json
import math
from itertools import islice
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nmtune.config import TuneConfig
from nmtune.errors import CheckpointError, DivergenceError
from nmtune.study.evaluation import evaluate
from nmtune.training.adamw import batch_bounds, epoch_order, remaining
from nmtune.training.trainer import Fit, Trainer

PAPER = TuneConfig.from_preset("paper", epochs=3, batch_size=20)
REFERENCE = TuneConfig.from_preset("reference", epochs=3, batch_size=20, scaling="rms")
MLP = TuneConfig.from_preset("mlp", epochs=3, batch_size=20, scaling="standardise")
CONFIGS = {"paper": PAPER, "reference": REFERENCE, "mlp": MLP}


def trainer_on(rows: Any, config: TuneConfig = PAPER, **options: Any) -> Trainer:
    return Trainer(rows.x, rows.y, classes=rows.classes, config=config, **options)


def trained(trainer: Trainer) -> Fit:
    for _ in trainer:
        pass
    return trainer.result()


def head_bytes(rows: Any, config: TuneConfig = PAPER, **options: Any) -> bytes:
    return trained(trainer_on(rows, config, **options)).head.to_bytes()


@pytest.mark.parametrize("preset", ["paper", "reference", "mlp"])
def test_each_preset_learns_rows_that_come_ordered_by_class(preset: str, rows: Any) -> None:
    config = TuneConfig.from_preset(preset, epochs=25, learning_rate=0.02)
    head = trained(trainer_on(rows, config)).head
    accuracy = (head.predict_proba(rows.x).argmax(axis=1) == rows.y).mean()
    assert accuracy > 0.95


def test_a_trainer_shows_how_far_it_is(rows: Any) -> None:
    trainer = trainer_on(rows)
    assert repr(trainer) == f"Trainer(paper, {len(rows.classes)} classes, epoch 0 of 3)"
    next(trainer)
    assert repr(trainer).endswith("epoch 1 of 3)")


def test_reports_tell_each_epoch(rows: Any) -> None:
    trainer = trainer_on(rows)
    reports = list(trainer)
    assert [report.epoch for report in reports] == [1, 2, 3]
    for report in reports:
        losses = report.losses
        weighted = 0.01 * (losses["consistency"] + losses["covariance"] + losses["dominant"])
        assert losses["total"] == pytest.approx(losses["cross_entropy"] + weighted, rel=1e-5)
        assert report.n_epochs == 3
        assert report.l2 is None
        assert report.validation is None
        assert report.seconds > 0
        assert json.loads(json.dumps(report.to_dict())) == report.to_dict()
    fit = trainer.result()
    assert fit.history == tuple(reports)
    assert fit.seconds == pytest.approx(sum(report.seconds for report in reports))
    assert fit.notes == ()
    assert fit.head.config == PAPER


def test_terms_without_weight_read_zero(rows: Any) -> None:
    for report in trainer_on(rows, MLP):
        assert report.losses["total"] == report.losses["cross_entropy"] > 0
        assert {report.losses[name] for name in ("consistency", "covariance", "dominant")} == {0.0}


def test_training_is_plain_adamw_on_the_paper_objective(rows: Any) -> None:
    """Against a loop written from the paper: SVD, full covariance, torch's own schedule."""
    config = PAPER.replace(epochs=2, w_covariance=0.5, w_dominant=3.0, w_consistency=0.7)
    trainer = trainer_on(rows, config)
    start = {
        name.removeprefix("procedure.network."): tensor
        for name, tensor in safetensors.torch.load(trainer.checkpoint()).items()
    }
    model = nn.ModuleDict(
        {
            "transform": nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 6)),
            "classifier": nn.Linear(6, 3),
        }
    ).double()
    model.load_state_dict(start)
    x, y = torch.from_numpy(rows.x.astype(np.float64)), torch.from_numpy(rows.y.copy())
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=2 * 5)
    for epoch in (1, 2):
        order = epoch_order(90, seed=0, epoch=epoch)
        for at in (order[:20], order[20:40], order[40:60], order[60:80], order[80:]):
            f = x[at]
            z = model["transform"](f)
            unit_f, unit_z = (nn.functional.normalize(rows_, dim=1) for rows_ in (f, z))
            covariance = torch.cov(z.T)
            squares = (covariance**2).sum() - (covariance.diagonal() ** 2).sum()
            values = torch.linalg.svdvals(z)
            loss = nn.functional.cross_entropy(model["classifier"](z), y[at])
            loss = loss + 0.7 * ((unit_f - unit_z) ** 2).sum(dim=1).mean()
            loss = loss + 0.5 * squares / 6 - 3.0 * values[0] / values.sum()
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
    head = trained(trainer).head
    with torch.no_grad():
        z = model["transform"](x)
        probabilities = model["classifier"](z).softmax(dim=1)
    np.testing.assert_allclose(head.transform(rows.x), z, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(head.predict_proba(rows.x), probabilities, rtol=1e-3)


def test_learning_rate_falls_step_by_step(rows: Any) -> None:
    rates = [report.learning_rate for report in trainer_on(rows, PAPER.replace(epochs=2))]
    # five steps an epoch, each at the share of steps done before it
    expected = [1e-3 * 0.5 * (1 + math.cos(math.pi * step / 10)) for step in (4, 9)]
    assert rates == pytest.approx(expected)


def test_schedules_start_at_the_full_rate() -> None:
    assert [remaining(name, 0.0) for name in ("cosine", "linear", "constant")] == [1.0, 1.0, 1.0]
    assert [remaining(name, 0.5) for name in ("cosine", "linear", "constant")] == [0.5, 0.5, 1.0]
    assert [remaining(name, 1.0) for name in ("cosine", "linear", "constant")] == [0.0, 0.0, 1.0]


@given(n=st.integers(1, 500), size=st.integers(2, 80), smallest=st.integers(2, 80))
@settings(max_examples=100, deadline=None)
def test_batches_take_every_row_once_and_none_is_small(n: int, size: int, smallest: int) -> None:
    smallest = min(size, smallest)
    bounds = batch_bounds(n, size, smallest=smallest)
    assert [start for start, _ in bounds[1:]] == [stop for _, stop in bounds[:-1]]
    assert (bounds[0][0], bounds[-1][1]) == (0, n)
    sizes = [stop - start for start, stop in bounds]
    assert all(full == size for full in sizes[:-1])
    assert sizes == [n] or smallest <= sizes[-1] < size + smallest


def test_order_of_an_epoch_is_a_permutation_of_its_own() -> None:
    first, again, second, other = (
        epoch_order(50, seed=seed, epoch=epoch).tolist()
        for seed, epoch in ((0, 1), (0, 1), (0, 2), (1, 1))
    )
    assert first == again
    assert len({tuple(first), tuple(second), tuple(other), tuple(range(50))}) == 4
    assert sorted(first) == list(range(50))


@pytest.mark.parametrize("name", CONFIGS)
def test_same_seed_gives_the_same_bytes_and_another_seed_others(name: str, rows: Any) -> None:
    config = CONFIGS[name]
    assert head_bytes(rows, config) == head_bytes(rows, config)
    assert head_bytes(rows, config) != head_bytes(rows, config.replace(seed=1))


def test_global_random_numbers_are_neither_used_nor_moved(rows: Any) -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    before = torch.get_rng_state()
    first = head_bytes(rows, REFERENCE)
    assert torch.equal(torch.get_rng_state(), before)
    drawn = np.random.random_sample()
    np.random.seed(1)
    assert np.random.random_sample() == drawn
    torch.manual_seed(2)
    assert head_bytes(rows, REFERENCE) == first


def test_plain_mlp_starts_from_the_weights_of_the_regularised_head(rows: Any) -> None:
    plain, full = (
        safetensors.torch.load(trainer_on(rows, config).checkpoint())
        for config in (PAPER.replace(w_consistency=0, w_covariance=0, w_dominant=0), PAPER)
    )
    assert plain.keys() == full.keys()
    assert all(torch.equal(plain[name], full[name]) for name in full)


def test_leaving_the_loop_stops_and_iterating_goes_on(rows: Any) -> None:
    trainer = trainer_on(rows)
    for report in trainer:
        if report.epoch == 2:
            break
    with pytest.raises(RuntimeError, match="has not finished"):
        trainer.result()
    assert [report.epoch for report in trainer] == [3]
    assert list(trainer) == []
    assert trainer.result().head.to_bytes() == head_bytes(rows)


@pytest.mark.parametrize("n_done", [0, 1, 2, 3])
@pytest.mark.parametrize("name", CONFIGS)
def test_continuing_from_a_checkpoint_gives_the_undisturbed_head(
    name: str, n_done: int, rows: Any
) -> None:
    undisturbed = trained(trainer_on(rows, CONFIGS[name]))
    first = trainer_on(rows, CONFIGS[name])
    done = list(islice(first, n_done))
    second = trainer_on(rows, CONFIGS[name], checkpoint=first.checkpoint())
    assert [report.epoch for report in second] == list(range(n_done + 1, 4))
    fit = second.result()
    assert fit.head.to_bytes() == undisturbed.head.to_bytes()
    assert fit.history[:n_done] == tuple(done)
    assert [r.losses for r in fit.history] == [r.losses for r in undisturbed.history]
    assert fit.notes == undisturbed.notes


def test_checkpoint_can_be_taken_after_every_epoch_without_disturbing(rows: Any) -> None:
    trainer = trainer_on(rows, REFERENCE)
    for _ in trainer:
        trainer = trainer_on(rows, REFERENCE, checkpoint=trainer.checkpoint())
        break
    for _ in trainer:
        assert trainer.checkpoint() == trainer.checkpoint()
    assert trainer.result().head.to_bytes() == head_bytes(rows, REFERENCE)
    assert trainer.checkpoint()


def test_checkpoint_of_another_training_is_refused(rows: Any) -> None:
    held_out = (rows.x[:3], rows.y[:3])
    trainer = trainer_on(rows, validation=held_out)
    next(trainer)
    checkpoint = trainer.checkpoint()
    x, y = rows.x.copy(), rows.y.copy()
    x[4, 2] += 1e-3
    y[0] = 2
    options: dict[str, Any] = {
        "classes": rows.classes,
        "config": PAPER,
        "validation": held_out,
    }
    others: dict[str, dict[str, Any]] = {
        "config": {"config": PAPER.replace(seed=1)},
        "classes": {"classes": ("cat", "dog", "elk")},
        "training rows": {"x": x},
        "training rows ": {"y": y},
        "validation rows": {"validation": (rows.x[:2], rows.y[:2])},
        "validation rows ": {"validation": None},
    }
    for other, changes in others.items():
        arguments = {"x": rows.x, "y": rows.y, **options, **changes}
        with pytest.raises(CheckpointError, match=f"with other {other.strip()}"):
            Trainer(**arguments, checkpoint=checkpoint)
    assert next(Trainer(rows.x, rows.y, **options, checkpoint=checkpoint)).epoch == 2


def test_damaged_checkpoint_is_refused(rows: Any) -> None:
    trainer = trainer_on(rows, MLP)
    next(trainer)
    data = trainer.checkpoint()
    head = head_bytes(rows, MLP)
    for damaged in (b"", b"x" * 100, data[:-1], data[:200], data + b"x", head):
        with pytest.raises(CheckpointError, match="not a readable checkpoint"):
            trainer_on(rows, MLP, checkpoint=damaged)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"n_epochs":3', '"n_epochs":0'),
        ('"epoch":1', '"epoch":2'),
        ('"seconds":', '"secundus":'),
        ('"procedure":{}', '"procedure":3'),
        ('"procedure":{}', '"procedure":{"a":1}'),
        ('"history":[', '"history":3,"h":['),
    ],
)
def test_checkpoint_whose_document_does_not_fit_is_refused(old: str, new: str, rows: Any) -> None:
    trainer = trainer_on(rows, MLP)
    next(trainer)
    data = trainer.checkpoint()
    tensors = safetensors.torch.load(data)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    document = header["__metadata__"]["nmtune"]
    assert old in document
    changed = safetensors.torch.save(tensors, metadata={"nmtune": document.replace(old, new)})
    with pytest.raises(CheckpointError):
        trainer_on(rows, MLP, checkpoint=changed)


def test_checkpoint_without_a_moment_is_refused(rows: Any) -> None:
    trainer = trainer_on(rows, MLP)
    next(trainer)
    data = trainer.checkpoint()
    tensors = safetensors.torch.load(data)
    del tensors["procedure.optimiser.classifier.bias.exp_avg"]
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    changed = safetensors.torch.save(tensors, metadata=header["__metadata__"])
    with pytest.raises(CheckpointError, match=r"classifier\.bias\.exp_avg"):
        trainer_on(rows, MLP, checkpoint=changed)


def test_validation_rows_are_scored_and_not_trained_on(rows: Any) -> None:
    held_out = (rows.x[::4], rows.y[::4])
    trainer = trainer_on(rows, REFERENCE, validation=held_out)
    reports = list(trainer)
    head = trainer.result().head
    expected = evaluate(head.predict_proba(held_out[0]), held_out[1], rows.classes)
    validation = reports[-1].validation
    assert validation is not None
    assert validation["accuracy"] == expected.accuracy
    assert validation["loss"] == pytest.approx(expected.log_loss, rel=1e-5)
    assert validation["loss_standard_error"] > 0
    assert head.to_bytes() == head_bytes(rows, REFERENCE)


def test_diverging_training_says_so_and_cannot_be_continued(rows: Any) -> None:
    x = rows.x * 1e12
    trainer = Trainer(x, rows.y, classes=rows.classes, config=PAPER.replace(learning_rate=10))
    with pytest.raises(DivergenceError, match="in epoch 1: lower learning_rate") as caught:
        list(trainer)
    assert caught.value.code == "training_diverged"
    for use in (trainer.checkpoint, lambda: next(trainer)):
        with pytest.raises(RuntimeError, match="was interrupted"):
            use()
