"""The forward pass: padding takes no part, adapters fold, and it is the served one's twin."""

import numpy as np
import pytest
import torch

from nmtune.encoder.adapter import Adapter, Pair
from nmtune.encoder.architecture import Architecture
from nmtune.encoder.network import EncoderNetwork, padded
from nmtune.errors import DataError
from tests.support import tiny_encoder
from tests.support.tiny_encoder import TINY, random_adapter


def test_a_text_has_the_same_vector_alone_and_among_longer_ones() -> None:
    network = EncoderNetwork.load(TINY, tiny_encoder.tensors())
    tokens = tiny_encoder.texts(12).tokens
    together = network.encode(tokens)
    alone = np.concatenate([network.encode([one]) for one in tokens])
    assert np.abs(together - alone).max() < 1e-6
    assert np.linalg.norm(together, axis=1) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("targets", ["all", "attention", "mlp"])
def test_an_adapter_answers_as_the_weights_that_it_is_folded_into(targets: str) -> None:
    weights, tokens = tiny_encoder.tensors(), tiny_encoder.texts(12).tokens
    network = EncoderNetwork.load(TINY, weights)
    adapter = random_adapter(targets=targets).at(0.5)
    adapter.check(TINY)
    adapted = network.encode(tokens, adapter)
    folded = EncoderNetwork.load(TINY, adapter.folded(weights)).encode(tokens)
    assert np.abs(adapted - network.encode(tokens)).max() > 1e-2
    assert np.abs(adapted - folded).max() < 1e-6
    assert np.abs(network.encode(tokens, adapter.at(0)) - network.encode(tokens)).max() < 1e-6


def test_cls_pooling_takes_the_first_token() -> None:
    form = Architecture(
        n_layers=1, n_heads=2, width=8, inner_width=8, pooling="cls", normalised=False
    )
    network = EncoderNetwork.load(form, tiny_encoder.tensors(form))
    tokens = [np.array([5, 6, 7])]
    ids, mask = padded(tokens, torch.device("cpu"))
    assert np.array_equal(network.encode(tokens), network.pooled(ids, mask).numpy())
    other = network.encode([np.array([6, 5, 7])])
    assert np.abs(network.encode(tokens) - other).max() > 1e-3


def test_positions_of_roberta_begin_after_the_padding() -> None:
    weights = tiny_encoder.tensors()
    plain = EncoderNetwork.load(TINY, weights)
    moved = dict(weights)
    positions = "embeddings.position_embeddings.weight"
    moved[positions] = np.concatenate([np.full((2, 32), 9, np.float32), weights[positions]])
    later = Architecture(n_layers=2, n_heads=4, width=32, inner_width=64, first_position=2)
    tokens = tiny_encoder.texts(6).tokens
    found = EncoderNetwork.load(later, moved)
    assert np.array_equal(found.encode(tokens), plain.encode(tokens))
    assert found.n_positions == plain.n_positions


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"encoder.layer.1.output.dense.weight": None}, "lacks the tensor encoder.layer.1.output"),
        ({"encoder.layer.0.output.LayerNorm.bias": np.zeros(3, np.float32)}, r"shape \(3,\)"),
        ({"embeddings.LayerNorm.bias": np.full(32, np.nan, np.float32)}, "is not finite"),
    ],
)
def test_tensors_that_do_not_fit_are_named(change: dict[str, object], says: str) -> None:
    found = {**tiny_encoder.tensors(), **change}
    kept = {name: one for name, one in found.items() if one is not None}
    with pytest.raises(DataError, match=says):
        EncoderNetwork.load(TINY, kept)  # type: ignore[arg-type]


def test_an_adapter_of_another_encoder_is_refused() -> None:
    with pytest.raises(DataError, match="another shape"):
        random_adapter().check(Architecture(n_layers=3, n_heads=4, width=32, inner_width=64))
    odd = random_adapter()
    name = next(iter(odd.pairs))
    pairs = {**odd.pairs, name: Pair(torch.zeros(4, 5), torch.zeros(32, 4))}
    with pytest.raises(DataError, match="another shape"):
        Adapter(pairs=pairs, rank=4, alpha=8.0, targets="all").check(TINY)
