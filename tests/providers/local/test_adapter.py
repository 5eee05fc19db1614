"""Adapted local encoders: the vectors of the training, beside a base that they share."""

from typing import Any

import numpy as np
import pytest

from nmtune.config import TuneConfig
from nmtune.encoder.network import EncoderNetwork
from nmtune.training.trainer import Trainer
from providers.encoder import Encoder
from providers.errors import InvalidEncoder
from providers.local import adapter as adapters
from providers.local.config import Config
from providers.local.network import Network, pooled
from tests.support import tiny_encoder
from tests.support.tiny_encoder import TINY, random_adapter

CONFIG = Config(
    family="bert",
    width=32,
    n_layers=2,
    n_heads=4,
    inner_width=64,
    vocabulary=tiny_encoder.VOCABULARY,
    n_positions=tiny_encoder.POSITIONS,
    n_token_types=2,
    activation="gelu",
    epsilon=1e-12,
    padding_id=0,
)


def head_with(adapter: Any) -> bytes:
    x = np.random.default_rng(0).normal(size=(12, 32))
    config = TuneConfig.from_preset("linear_probe", l2=1.0)
    trainer = Trainer(x, np.arange(12) % 2, classes=["a", "b"], config=config)
    for _ in trainer:
        pass
    return trainer.result().head.with_adapter(adapter.to_bytes()).to_bytes()


@pytest.mark.parametrize("normalised", [True, False])
def test_its_vectors_are_those_of_the_training(normalised: bool) -> None:
    weights, tokens = tiny_encoder.tensors(), tiny_encoder.texts(12).tokens
    adapter = random_adapter(normalised=normalised).at(0.75)
    found = adapters.of_head(head_with(adapter))
    network = adapters.AdaptedNetwork(CONFIG, weights, found)
    expected = EncoderNetwork.load(TINY, weights).encode(tokens, adapter)
    for row, ids in enumerate(tokens):
        mask = np.ones((1, len(ids)), np.bool_)
        hidden = network.hidden(ids[None], mask)
        vector = pooled(hidden, mask, pooling="mean", normalise=found.normalised)[0]
        assert np.abs(vector - expected[row]).max() < 1e-5
        plain = Network(CONFIG, weights).hidden(ids[None], mask)
        assert np.abs(plain - hidden).max() > 1e-2


def test_an_adapter_is_read_once_and_the_least_used_one_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(adapters, "_MOST_LOADED", 2)
    monkeypatch.setattr(adapters, "_loaded", type(adapters._loaded)())
    data, n_read = head_with(random_adapter()), []

    def read() -> bytes:
        n_read.append(1)
        return data

    first = adapters.loaded("a", read)
    assert adapters.loaded("a", read) is first
    for sha256 in ("b", "a", "c", "a"):
        adapters.loaded(sha256, read)
    assert len(n_read) == 3
    adapters.loaded("b", read)
    assert len(n_read) == 4


def test_a_head_without_a_readable_adapter_is_refused() -> None:
    data = head_with(random_adapter())
    for bad in (b"", data[:-5], data[:60]):
        with pytest.raises(InvalidEncoder, match="has no readable adapter"):
            adapters.of_head(bad)


def test_the_adapter_is_part_of_what_an_encoder_is() -> None:
    base = Encoder(provider="local-minilm", base_url=None, model="m")
    adapted = Encoder.from_dict({**base.to_dict(), "adapter": "a" * 64})
    assert "adapter" not in base.to_dict()
    assert adapted.identity != base.identity
    assert Encoder.from_dict(adapted.to_dict()) == adapted
    # Stored encoders are found by this hash.
    assert base.identity == "0606774f26e2cd1274555e61bbe7dd49178ccae4adb90d361a31da605d803258"
