"""Training an adapter: it learns, goes on bit for bit, and computes what it says."""

from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from nmtune import covariance_loss, dominant_singular_value_loss
from nmtune.encoder.config import LoraConfig
from nmtune.encoder.network import padded
from nmtune.encoder.strength import choose_strength
from nmtune.encoder.terms import added
from nmtune.encoder.trainer import LoraFit, LoraTrainer
from nmtune.errors import CheckpointError, DataError
from tests.support import tiny_encoder

QUICK = LoraConfig(epochs=2, batch_size=8, max_tokens=16, learning_rate=1e-2)
REGULARISED = QUICK.replace(w_consistency=0.1, w_covariance=0.1, w_dominant=0.1)
REFERENCE = LoraConfig.from_preset("reference", batch_size=16, epochs=3)


def trainer_on(task: Any, config: LoraConfig = QUICK, **options: Any) -> LoraTrainer:
    return LoraTrainer(
        task.network, task.tokens, task.y, start=task.start, config=config, **options
    )


def trained(trainer: LoraTrainer) -> LoraFit:
    for _ in trainer:
        pass
    return trainer.result()


def bytes_of(fit: LoraFit) -> bytes:
    assert fit.adapter is not None
    return fit.adapter.to_bytes() + fit.head.to_bytes()


def test_the_head_starts_as_the_probe_and_the_loss_falls(task: Any) -> None:
    reports = list(trainer := trainer_on(task))
    fit = trainer.result()
    assert fit.adapter is not None
    assert reports[-1].losses["cross_entropy"] < reports[0].losses["cross_entropy"]
    assert all(float(pair.b.abs().max()) > 0 for pair in fit.adapter.pairs.values())
    assert (reports[-1].step, reports[-1].epoch) == (16, 2)
    x = task.network.encode(task.tokens)
    assert np.array_equal(fit.head_at(0).logits(x), task.start.logits(x))
    after = fit.head.logits(task.network.encode(task.tokens, fit.adapter))
    assert (after.argmax(1) == task.y).mean() > (task.start.logits(x).argmax(1) == task.y).mean()


@pytest.mark.parametrize("config", [QUICK, REGULARISED, REFERENCE], ids=["plain", "terms", "paper"])
def test_a_stopped_training_goes_on_bit_for_bit(task: Any, config: LoraConfig) -> None:
    whole = bytes_of(trained(trainer_on(task, config)))
    stopped = trainer_on(task, config)
    reports = list(islice(stopped, 1))
    resumed = trainer_on(task, config, checkpoint=stopped.checkpoint())
    fit = trained(resumed)
    assert bytes_of(fit) == whole
    assert fit.history[0] == reports[0]
    assert [report.step for report in fit.history][-1] == resumed.n_steps


def test_a_checkpoint_of_another_training_or_a_damaged_one_is_refused(task: Any) -> None:
    kept = trainer_on(task).checkpoint()
    for options in ({"config": QUICK.replace(seed=1)}, {"full": True}):
        with pytest.raises(CheckpointError):
            trainer_on(task, checkpoint=kept, **options)
    other = task._replace(y=(task.y + 1) % 3)
    with pytest.raises(CheckpointError, match="other texts"):
        trainer_on(other, checkpoint=kept)
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        trainer_on(task, checkpoint=kept[: len(kept) // 2])


def test_the_reference_preset_is_the_authors_objective(task: Any) -> None:
    """Cross-entropy + 0.04 covariance - 0.001 of the five leading shares, by autograd."""
    ids, mask = padded(task.tokens[:16], torch.device("cpu"))
    pooled = task.network.pooled(ids, mask).requires_grad_()
    weight = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
    y = torch.from_numpy(task.y[:16])
    plain = functional.cross_entropy(functional.linear(pooled, weight), y)
    (of_plain,) = torch.autograd.grad(plain, pooled, retain_graph=True)
    whole = plain + 0.04 * covariance_loss(pooled)
    whole = whole + 0.001 * dominant_singular_value_loss(pooled, k=5)
    (expected,) = torch.autograd.grad(whole, pooled)
    found, values = added(REFERENCE, pooled, pooled, of_plain)
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-8)
    assert not torch.allclose(found, of_plain, rtol=1e-3)
    assert values["consistency"] == 0
    assert (REFERENCE.targets, REFERENCE.rank, REFERENCE.alpha) == ("mlp", 8, 8.0)


@pytest.mark.parametrize("name", ["w_covariance", "w_dominant"])
def test_a_share_is_the_length_of_the_terms_gradient(task: Any, name: str) -> None:
    """So that it does not depend on the vectors' scale."""
    ids, mask = padded(task.tokens[:16], torch.device("cpu"))
    pooled = task.network.pooled(ids, mask)
    gradient = torch.randn(16, 32, generator=torch.Generator().manual_seed(0))
    for scale in (1.0, 100.0):
        z = pooled * scale
        found, _ = added(QUICK.replace(**{name: 0.25}), z, z, gradient)
        assert float((found - gradient).norm()) == pytest.approx(0.25 * float(gradient.norm()))


def test_consistency_holds_the_vectors_back(task: Any) -> None:
    def moved(config: LoraConfig) -> float:
        fit = trained(trainer_on(task, config))
        x, z = (task.network.encode(task.tokens, one) for one in (None, fit.adapter))
        return float(np.linalg.norm(x - z))

    assert moved(QUICK.replace(w_consistency=1.0)) < 0.8 * moved(QUICK)


def test_full_fine_tuning_changes_a_copy_of_the_encoder(task: Any) -> None:
    before = {name: one.clone() for name, one in task.network.weights.items()}
    trainer = trainer_on(task, QUICK.replace(epochs=1, learning_rate=1e-3), full=True)
    fit = trained(trainer)
    assert fit.adapter is None
    assert all(torch.equal(one, before[name]) for name, one in task.network.weights.items())
    assert np.abs(trainer.network.encode(task.tokens) - task.network.encode(task.tokens)).max() > 0


def test_the_strength_is_chosen_by_held_out_texts(task: Any) -> None:
    fit = trained(trainer_on(task))
    tokens, y = tiny_encoder.texts(120, seed=7)
    chosen = choose_strength(task.network, fit, tokens, y)
    assert chosen.losses[chosen.strength] == min(chosen.losses.values())
    assert fit.adapter is not None
    vectors = task.network.encode(tokens, fit.adapter.at(chosen.strength))
    assert np.array_equal(chosen.held_out.logits, fit.head_at(chosen.strength).logits(vectors))
    # Labels that contradict what was learnt leave the encoder as it was.
    assert choose_strength(task.network, fit, tokens, (y + 1) % 3).strength < chosen.strength


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (np.array([], np.int64), "has 0 tokens"),
        (np.arange(25), "has 25 tokens, but the encoder takes 1 to 24"),
        (np.array([5, 60]), "a token that the encoder does not know"),
        (np.array([-1]), "a token that the encoder does not know"),
    ],
)
def test_texts_that_the_encoder_cannot_read_are_named(task: Any, row: Any, says: str) -> None:
    tokens = [*task.tokens[:4], row, *task.tokens[5:]]
    with pytest.raises(DataError, match=f"text 4 (has )?{says.removeprefix('has ')}") as refused:
        trainer_on(task._replace(tokens=tokens))
    assert refused.value.row == 4
