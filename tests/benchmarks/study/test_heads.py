"""Heads on frozen features are those that `nmtune` trains, side by side or alone."""

import numpy as np
import pytest
import torch

from benchmarks.study import heads, texts
from benchmarks.study.task import Rows, drawn
from nmtune import Trainer, TuneConfig, spectrum

CLASSES = ("a", "b", "c")


@pytest.fixture(scope="module")
def rows() -> tuple[torch.Tensor, torch.Tensor]:
    """Features (2, 60, 5) of two models, and classes."""
    random = torch.Generator().manual_seed(0)
    y = torch.arange(60) % 3
    return torch.randn(2, 60, 5, generator=random) + 2 * y[:, None], y


@pytest.mark.parametrize("method", heads.NETWORKS)
def test_side_by_side_they_are_what_a_trainer_makes(
    method: str, rows: tuple[torch.Tensor, torch.Tensor]
) -> None:
    features, y = rows
    found = heads.fit_networks(method, features, y, classes=CLASSES, seeds=[3, 4], epochs=2)
    config = TuneConfig.from_preset(heads.NETWORKS[method], seed=4, scaling="rms", epochs=2)
    trainer = Trainer(features[1].numpy(), y.numpy(), classes=CLASSES, config=config)
    for _ in trainer:
        pass
    wanted = trainer.result().head
    x = features[1].numpy()
    np.testing.assert_allclose(found[1].logits(x), wanted.logits(x), rtol=1e-3, atol=1e-3)
    assert found[0].config.seed == 3


def test_a_probe_is_a_linear_map_of_the_features(rows: tuple[torch.Tensor, torch.Tensor]) -> None:
    features, y = rows
    x = 50 + 10 * features[0]
    head = heads.fit_probe("linear_probe", x.numpy(), y.numpy(), classes=CLASSES, seed=0)
    weight, bias = heads.linear_map(head)
    np.testing.assert_allclose(x @ weight + bias, head.logits(x.numpy()), rtol=1e-3, atol=1e-3)


def test_what_is_kept_of_a_probe_is_its_accuracy_and_the_encoders_spectra(
    rows: tuple[torch.Tensor, torch.Tensor],
) -> None:
    features, y = rows
    x = features[0].numpy()
    head = heads.fit_probe("linear_probe", x[:40], y.numpy()[:40], classes=CLASSES, seed=0)
    splits = {"train": x[:40], "test": x[40:]}
    found = heads.judged_head(head, splits, {"train": y.numpy()[:40], "test": y.numpy()[40:]})
    right = [head.classes.index(one) for one in head.predict(x[40:])] == y.numpy()[40:]
    assert found["accuracy"] == {"test": pytest.approx(right.mean())}
    for centring in heads.CENTRINGS:
        one = spectrum(x[40:], centering=centring)
        wanted = [one.entropy, one.largest_ratio]
        assert found["spectra"]["test"][centring] == pytest.approx(wanted, abs=1e-6)


def test_rows_are_drawn_evenly_from_the_classes() -> None:
    y = torch.tensor([0] * 50 + [1] * 30 + [2] * 2)
    few = drawn(Rows(torch.arange(82), y), 20)
    assert torch.bincount(few.y).tolist() == [9, 9, 2]
    assert torch.equal(few.x, drawn(Rows(torch.arange(82), y), 20).x)
    assert len(drawn(Rows(torch.arange(82), y), None)) == 82


def test_the_bundled_sentences_make_a_task() -> None:
    task = texts.task(texts.read(), downstream_rows=240, rows_of_a_class=5)
    assert task.n_pretraining_classes == 123
    assert len(task.classes) == 24
    assert {split: len(rows) for split, rows in task.downstream.items()} == {
        "train": 240,
        "test": 810,
        "ood_hwu": 4281,
        "ood_snips": 1600,
    }
    assert torch.bincount(task.pretraining["train"].y).tolist() == [5] * 123
    assert torch.bincount(task.downstream["train"].y).tolist() == [10] * 24
    known = (task.downstream["ood_snips"].x > 0).any(1).float().mean()
    assert known > 0.99


def test_rare_words_are_unknown_and_long_sentences_are_cut() -> None:
    vocabulary = texts.words_of(["set an alarm", "set a timer for 5", "Set it"])
    assert vocabulary == {"set": 1}
    found = texts.numbers(["SET set unheard", " ".join(["set"] * 40)], vocabulary)
    assert found[0].tolist() == [1, 1] + [0] * 14
    assert found[1].tolist() == [1] * 16
