"""Models side by side are what they are alone, and LoRA is what it is said to be."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.study import tuning
from benchmarks.study.encoders import ConvNet, Encoder, WordBag
from benchmarks.study.pretraining import Models, pretrain
from benchmarks.study.sizes import Steps
from benchmarks.study.task import Rows
from nmtune.numeric.random_numbers import generator

STEPS = Steps(epochs=2, batch_size=16, learning_rate=3e-3, weight_decay=1e-2)
N_CLASSES = 3


def encoders() -> dict[str, tuple[Encoder, Tensor]]:
    """Each with inputs for it."""
    random = torch.Generator().manual_seed(0)
    words = torch.randint(20, (40, 6), generator=random)
    images = torch.randint(256, (40, 3, 16, 16), generator=random, dtype=torch.uint8)
    return {
        "words": (WordBag(20, (4, 8, 8)), words),
        "pictures": (ConvNet((8, 16), (1, 2), stem_stride=2), images),
    }


@pytest.fixture(params=["words", "pictures"])
def given(request: pytest.FixtureRequest) -> tuple[Encoder, Tensor]:
    return encoders()[request.param]


def trained(encoder: Encoder, x: Tensor, labels: Tensor, seeds: list[int]) -> Models:
    return pretrain(encoder, x, labels, n_classes=N_CLASSES, seeds=seeds, steps=STEPS)


def labels_of(n_models: int) -> Tensor:
    random = torch.Generator().manual_seed(1)
    return torch.randint(N_CLASSES, (n_models, 40), generator=random)


def test_a_model_is_the_same_alone_and_beside_others(given: tuple[Encoder, Tensor]) -> None:
    encoder, x = given
    labels = labels_of(3)
    together = trained(encoder, x, labels, [5, 6, 5])
    alone = trained(encoder, x, labels[1:2], [6])
    torch.testing.assert_close(together.features(x)[1], alone.features(x)[0], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(together.logits(x)[1], alone.logits(x)[0], rtol=1e-3, atol=1e-4)


def test_a_seed_gives_start_and_order_whatever_the_labels(given: tuple[Encoder, Tensor]) -> None:
    encoder, x = given
    labels = labels_of(2)
    same = trained(encoder, x, labels[[0, 0, 1]], [5, 5, 5]).logits(x)
    torch.testing.assert_close(same[0], same[1], rtol=1e-3, atol=1e-5)
    assert not torch.allclose(same[0], same[2], atol=1e-3)
    other = trained(encoder, x, labels[[0]], [6]).logits(x)
    assert not torch.allclose(same[0], other[0], atol=1e-3)


def test_training_learns_the_labels() -> None:
    encoder, x = encoders()["words"]
    x = x[:, :1].expand(-1, 6).contiguous()
    y = x[:, 0] % N_CLASSES
    steps = Steps(epochs=60, batch_size=20, learning_rate=2e-2)
    models = pretrain(encoder, x, y[None], n_classes=N_CLASSES, seeds=[0], steps=steps)
    assert (models.logits(x)[0].argmax(1) == y).float().mean() > 0.95


def test_words_that_are_not_known_do_not_count() -> None:
    encoder, _ = encoders()["words"]
    weights = encoder.initial([generator(0, 0)])
    x = torch.tensor([[[3, 7, 0, 0, 0, 0]]])
    before = encoder.features(weights, x)
    weights["words"][:, 0] = 100
    assert torch.equal(encoder.features(weights, x), before)


def test_lora_starts_as_the_encoder_itself(given: tuple[Encoder, Tensor]) -> None:
    encoder, _ = given
    weights = encoder.initial([generator(0, 0), generator(1, 0)])
    factors = tuning._factors(encoder, weights, 2, [generator(2, 0), generator(3, 0)])
    assert set(factors) == set(encoder.adapted)
    changed = tuning._changed(weights, factors)
    assert all(torch.equal(changed[name], weights[name]) for name in weights)


def test_lora_of_a_convolution_is_one_of_rank_channels_and_one_by_one() -> None:
    random = torch.Generator().manual_seed(3)
    weight = torch.randn(1, 8, 4, 3, 3, generator=random)
    down, up = torch.randn(1, 2, 36, generator=random), torch.randn(1, 8, 2, generator=random)
    x = torch.randn(5, 4, 9, 9, generator=random)
    changed = tuning._changed({"layer": weight}, {"layer": (down, up)})["layer"]
    own = functional.conv2d(x, weight[0], padding=1)
    through = functional.conv2d(x, down.view(2, 4, 3, 3), padding=1)
    beside = functional.conv2d(through, up.view(8, 2, 1, 1))
    torch.testing.assert_close(
        functional.conv2d(x, changed[0], padding=1), own + beside, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("method", tuning.METHODS)
def test_tuning_changes_what_it_should_and_keeps_the_given_weights(
    method: str, given: tuple[Encoder, Tensor]
) -> None:
    encoder, x = given
    weights = trained(encoder, x, labels_of(2), [0, 1]).weights
    before = {name: tensor.clone() for name, tensor in weights.items()}
    start = torch.zeros(2, encoder.width, N_CLASSES), torch.zeros(2, 1, N_CLASSES)
    rows = Rows(x, x.flatten(1).long().sum(1) % N_CLASSES)
    way = tuning.ways(2)[method]
    tuned = tuning.tune(encoder, weights, rows, start=start, way=way, steps=STEPS, seeds=[0, 1])
    assert all(torch.equal(weights[name], before[name]) for name in weights)
    changed = {name for name in weights if not torch.equal(tuned.weights[name], weights[name])}
    assert changed == (set(weights) if method == "full" else set(encoder.adapted))
    assert tuned.predictions(tuned.features(x)).shape == (2, 40)


def test_the_terms_act_on_each_model_as_the_product_computes_them() -> None:
    from nmtune import covariance_loss, dominant_singular_value_loss

    random = torch.Generator().manual_seed(4)
    z = torch.randn(3, 20, 6, generator=random, requires_grad=True)
    way = tuning.Way(rank=2, w_covariance=0.3, w_dominant=0.7, k=2)
    total = tuning._terms(z, way)
    expected = sum(
        0.3 * covariance_loss(one) + 0.7 * dominant_singular_value_loss(one, k=2) for one in z
    )
    torch.testing.assert_close(total, expected, rtol=1e-4, atol=1e-5, check_dtype=False)
    (found,) = torch.autograd.grad(total, z)
    (wanted,) = torch.autograd.grad(expected, z)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5)


def test_without_terms_there_is_nothing_to_add() -> None:
    assert float(tuning._terms(torch.randn(2, 8, 4), tuning.Way(rank=2))) == 0
