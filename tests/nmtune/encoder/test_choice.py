"""Between frozen and adapted: only what is clearly better on held-out texts is chosen."""

import numpy as np
import pytest

from nmtune.encoder.candidates import NMTUNE_SHARES, LoraCandidates, n_steps, resolve_lora
from nmtune.encoder.choice import choose_adapted
from nmtune.encoder.config import LoraConfig
from nmtune.errors import ConfigError
from nmtune.rows.held_out import HeldOut


def held_out(*, n: int = 200, right: float, seed: int = 0) -> HeldOut:
    """Predictions of three classes, of which a share is right."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % 3
    at = np.where(random.random(n) < right, y, (y + 1) % 3)
    logits = 3 * np.eye(3, dtype=np.float32)[at] + random.normal(size=(n, 3)).astype(np.float32)
    return HeldOut(logits=logits.astype(np.float32), y=y.astype(np.int64), n_train_rows=0)


def test_a_clear_winner_is_chosen_and_the_better_of_two() -> None:
    adapted = {"lora": held_out(right=0.9), "lora_nmtune": held_out(right=0.97)}
    choice = choose_adapted(held_out(right=0.8, seed=1), adapted)
    assert choice.weights == {"lora_nmtune": 1.0}
    assert "is clearly better than auto's head on frozen embeddings on 200 texts" in choice.reason
    assert [one.candidate for one in choice.evidence] == ["frozen_auto", "lora", "lora_nmtune"]


@pytest.mark.parametrize("right", [0.8, 0.805, 0.6])
def test_what_is_not_clearly_better_leaves_the_frozen_head(right: float) -> None:
    choice = choose_adapted(held_out(right=0.8), {"lora": held_out(right=right)})
    assert choice.weights == {"frozen_auto": 1.0}
    assert choice.reason.endswith("so the head on frozen embeddings was kept.")


def test_a_lower_loss_with_fewer_rows_right_does_not_win() -> None:
    """The loss of a head that is sure of everything is high for its few mistakes."""
    y = np.zeros(300, np.int64)
    y[::2] = 1
    unsure = np.eye(2, dtype=np.float32)[y] * 0.02
    unsure[:9] *= -200
    sure = np.eye(2, dtype=np.float32)[y] * 6
    sure[:12] *= -0.01
    frozen, adapted = (HeldOut(logits=one, y=y, n_train_rows=0) for one in (unsure, sure))
    choice = choose_adapted(frozen, {"lora": adapted})
    assert choice.weights == {"frozen_auto": 1.0}
    assert "lower log loss" in choice.reason
    assert "gets fewer right" in choice.reason


def test_noisy_labels_and_too_few_rows_leave_the_frozen_head() -> None:
    better = {"lora": held_out(right=0.99)}
    noisy = choose_adapted(held_out(right=0.5), better, noisy=True)
    assert noisy.weights == {"frozen_auto": 1.0}
    assert "memorises such labels" in noisy.reason
    none = choose_adapted(None, better)
    assert (none.weights, none.n_rows, none.evidence) == ({"frozen_auto": 1.0}, 0, ())


def test_the_candidates_of_a_job_differ_in_nothing_but_the_terms() -> None:
    found = resolve_lora({"rank": 4, "seed": 3}, analyses=["full_finetuning"]).configs
    assert list(found) == ["lora", "lora_nmtune", "full_finetuning"]
    assert found["lora"] == LoraConfig(rank=4, seed=3)
    assert found["lora_nmtune"] == LoraConfig(rank=4, seed=3, **NMTUNE_SHARES)
    assert found["full_finetuning"] == LoraConfig(rank=4, seed=3, learning_rate=5e-5)
    assert resolve_lora({"w_covariance": 0.5}).configs["lora_nmtune"].w_covariance == 0.5
    none = resolve_lora(dict.fromkeys(NMTUNE_SHARES, 0)).configs
    assert list(none) == ["lora"]
    published = resolve_lora({"preset": "reference"}).configs
    assert published["lora_nmtune"] == LoraConfig.from_preset("reference")
    whole = LoraCandidates(configs=found)
    assert LoraCandidates.from_dict(whole.to_dict()) == whole
    with pytest.raises(ConfigError, match="'ablation' is not for paradigm 'lora'"):
        resolve_lora({}, analyses=["ablation"])


def test_steps_without_validation_rows_leave_a_fifth_out() -> None:
    config = LoraConfig(epochs=2, batch_size=10)
    assert n_steps(config, n_train=100, has_validation=True) == 20
    assert n_steps(config, n_train=100, has_validation=False) == 16
