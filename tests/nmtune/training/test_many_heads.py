"""Heads trained side by side: each comes out as it would alone, on a CPU and on a GPU."""

from typing import Any

import numpy as np
import pytest
import torch

from nmtune import ConfigError, DataError, DivergenceError, Fit, TogetherTrainer, Trainer
from nmtune.config import TuneConfig
from nmtune.heads.network import Network
from nmtune.numeric.random_numbers import generator
from nmtune.training.adamw import AdamwFit
from nmtune.training.gpu.fit import GpuFit
from nmtune.training.many_heads import bytes_of_a_head
from nmtune.training.rows import LabelledRows

# The bias before a BatchNorm has gradient 0 but for rounding, of which AdamW makes whole steps: in
# training BatchNorm takes them away, in its running mean they are seen.
CLOSE = {"rtol": 5e-3, "atol": 5e-3}

PRESETS = {
    "paper": TuneConfig.from_preset("paper", epochs=3, batch_size=20),
    "reference": TuneConfig.from_preset("reference", epochs=3, batch_size=20, scaling="rms"),
    "two values": TuneConfig.from_preset("reference", epochs=3, batch_size=20, k=2, w_dominant=1.0),
    "mlp": TuneConfig.from_preset("mlp", epochs=3, batch_size=20, scaling="standardise"),
}


def variants(config: TuneConfig) -> list[TuneConfig]:
    return [
        config,
        config.replace(seed=1),
        config.replace(w_covariance=0.0),
        config.replace(w_dominant=2.0, seed=2),
        config.replace(w_consistency=0.0, w_covariance=0.0, w_dominant=0.0),
    ]


def together(rows: Any, configs: list[TuneConfig], **options: Any) -> tuple[Fit, ...]:
    trainer = TogetherTrainer(rows.x, rows.y, classes=rows.classes, configs=configs, **options)
    for _ in trainer:
        pass
    return trainer.result()


def alone(rows: Any, config: TuneConfig, **options: Any) -> Fit:
    trainer = Trainer(rows.x, rows.y, classes=rows.classes, config=config, **options)
    for _ in trainer:
        pass
    return trainer.result()


@pytest.mark.parametrize("name", PRESETS)
def test_each_head_comes_out_as_it_would_alone(name: str, rows: Any, device: str) -> None:
    configs = variants(PRESETS[name])
    held_out = (rows.x[:30], rows.y[:30])
    for config, fit in zip(
        configs, together(rows, configs, validation=held_out, device=device), strict=True
    ):
        expected = alone(rows, config, validation=held_out)
        assert fit.head.config == config
        assert fit.notes[:-1] == expected.notes[:-1]
        logits, wanted = (one.head.calibrated(1.0).logits(rows.x) for one in (fit, expected))
        np.testing.assert_allclose(logits, wanted, **CLOSE)
        for report, other in zip(fit.history, expected.history, strict=True):
            assert report.losses == pytest.approx(other.losses, rel=1e-3, abs=1e-4)
            assert report.validation == pytest.approx(other.validation, rel=5e-3, abs=5e-3)
            assert report.learning_rate == other.learning_rate
        assert fit.held_out is not None
        assert expected.held_out is not None
        np.testing.assert_allclose(fit.held_out.logits, expected.held_out.logits, **CLOSE)


def test_more_columns_than_rows_in_a_batch(rows: Any, device: str) -> None:
    config = TuneConfig.from_preset("reference", epochs=2, batch_size=4, k=1)
    for one, fit in zip(
        variants(config), together(rows, variants(config), device=device), strict=True
    ):
        np.testing.assert_allclose(
            fit.head.logits(rows.x), alone(rows, one).head.logits(rows.x), **CLOSE
        )


def test_rows_can_be_weighed(rows: Any) -> None:
    weight = np.linspace(0.0, 2.0, len(rows.y))
    config = PRESETS["paper"]
    fits = together(rows, variants(config), sample_weight=weight)
    for one, fit in zip(variants(config), fits, strict=True):
        expected = alone(rows, one, sample_weight=weight)
        np.testing.assert_allclose(fit.head.logits(rows.x), expected.head.logits(rows.x), **CLOSE)


def test_a_class_without_rows_is_never_predicted(rows: Any) -> None:
    trainer = TogetherTrainer(
        rows.x, rows.y, classes=[*rows.classes, "unseen"], configs=variants(PRESETS["paper"])
    )
    for _ in trainer:
        pass
    for fit in trainer.result():
        assert fit.head.predict_proba(rows.x)[:, -1].max() == 0
        assert "unseen" in fit.notes[0]


def test_seconds_are_shared_out(rows: Any) -> None:
    trainer = TogetherTrainer(
        rows.x, rows.y, classes=rows.classes, configs=variants(PRESETS["paper"])
    )
    with pytest.raises(RuntimeError, match="not finished"):
        trainer.result()
    reports = list(trainer)
    for fit, *own in zip(trainer.result(), *reports, strict=True):
        assert fit.history == tuple(own)
        assert fit.seconds == pytest.approx(sum(report.seconds for report in own))


def test_heads_must_be_alike() -> None:
    x, y = np.eye(4, dtype=np.float32), [0, 1, 0, 1]
    paper, whole = PRESETS["paper"], {"classes": ["a", "b"]}
    with pytest.raises(ConfigError, match="not in learning_rate") as refused:
        TogetherTrainer(x, y, configs=[paper, paper.replace(learning_rate=0.1)], **whole)
    assert refused.value.field == "learning_rate"
    with pytest.raises(ConfigError, match="at least"):
        TogetherTrainer(x, y, configs=[], **whole)
    with pytest.raises(ConfigError, match="transform"):
        TogetherTrainer(x, y, configs=[TuneConfig.from_preset("linear_probe")], **whole)
    with pytest.raises(DataError, match="labels"):
        TogetherTrainer(x, y[:3], configs=[paper], **whole)


def test_the_head_that_diverges_is_named(rows: Any) -> None:
    calm = TuneConfig.from_preset("reference", epochs=3, batch_size=20)
    wild = calm.replace(seed=7)
    far = rows.x * np.float32(1e12)  # its covariance squared is beyond float32
    configs = [calm.replace(w_covariance=0.0), wild]
    trainer = TogetherTrainer(far, rows.y, classes=rows.classes, configs=configs)
    with pytest.raises(DivergenceError, match="epoch 1 with seed 7, w_consistency 1,"):
        list(trainer)


def test_a_heads_memory_is_told_before() -> None:
    config = TuneConfig.from_preset("paper")
    n_weights = 8 * 768**2 + 5 * 768 + 769 * 10
    told = bytes_of_a_head(config, n_columns=768, n_classes=10)
    assert 16 * n_weights < told < 1.5 * 16 * n_weights


def test_the_process_keeps_its_random_numbers(rows: Any) -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    together(rows, variants(PRESETS["mlp"]))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("name", PRESETS)
def test_a_stack_of_one_does_what_adamw_fit_does(name: str, rows: Any) -> None:
    """GpuFit on a CPU, where its steps are not recorded: losses, head and checkpoints."""
    config, n_columns = PRESETS[name], rows.x.shape[1]
    data = LabelledRows(torch.from_numpy(rows.x.copy()), torch.from_numpy(rows.y.copy()))

    def fit(kind: type[AdamwFit]) -> AdamwFit:
        network = Network.initialised(
            config, n_columns=n_columns, n_classes=3, generator=generator(0, 0)
        )
        return kind(network, data, config=config, validation=data)

    one, other = fit(AdamwFit), fit(GpuFit)
    for epoch in (1, 2):
        expected, done = one.run(epoch), other.run(epoch)
        assert done.losses == pytest.approx(expected.losses, rel=1e-3, abs=1e-4)
        assert done.validation == pytest.approx(expected.validation, rel=5e-3, abs=5e-3)
    unbegun = fit(GpuFit)
    document, tensors = unbegun.state()
    fit(AdamwFit).restore(0, document, dict(tensors))
    resumed = fit(GpuFit)
    document, tensors = one.state()
    resumed.restore(2, document, dict(tensors))
    assert resumed.run(3).losses == pytest.approx(one.run(3).losses, rel=1e-3, abs=1e-4)
    again = fit(AdamwFit)
    document, tensors = other.state()
    again.restore(2, document, {key: tensor.clone() for key, tensor in tensors.items()})
    assert again.run(3).losses == pytest.approx(other.run(3).losses, rel=1e-3, abs=1e-4)
