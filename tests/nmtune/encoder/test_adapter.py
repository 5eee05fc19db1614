"""Adapters as bytes, alone and in the head that judges the adapted encoder's vectors."""

from typing import Any

import numpy as np
import pytest
import torch

from nmtune.encoder.adapter import Adapter
from nmtune.encoder.config import LoraConfig
from nmtune.errors import ConfigError, HeadFormatError
from nmtune.heads.adapted_head import adapted_head
from nmtune.heads.head import Head
from nmtune.heads.score_change import Change
from service.export import run
from tests.support.tiny_encoder import random_adapter


def test_bytes_and_back_is_the_same_adapter() -> None:
    adapter = random_adapter(normalised=False).at(0.25)
    again = Adapter.from_bytes(adapter.to_bytes())
    assert again.to_bytes() == adapter.to_bytes()
    assert (again.scale, again.normalised, again.sha256) == (0.5, False, adapter.sha256)
    assert (
        again.n_parameters
        == adapter.n_parameters
        == sum(4 * (n_out + n_in) for n_out, n_in in [(32, 32)] * 8 + [(64, 32), (32, 64)] * 2)
    )


def test_damaged_bytes_are_refused() -> None:
    adapter = random_adapter()
    data = adapter.to_bytes()
    next(iter(adapter.pairs.values())).a[0, 0] = torch.nan
    for bad in (b"", data[:-1], data[:40], b"\0" * 100, adapter.to_bytes()):
        with pytest.raises(HeadFormatError, match="not a readable adapter"):
            Adapter.from_bytes(bad)


def test_a_head_keeps_its_adapter_whatever_is_done_to_it(task: Any) -> None:
    data = random_adapter().to_bytes()
    head = task.start.with_adapter(data)
    x = task.network.encode(task.tokens[:5])
    change = Change(scale=0.5, bias=np.zeros(3))
    for one in (head, head.calibrated(2.0), head.with_self_test(x), adapted_head(head, change)):
        assert one.adapter == data
        assert Head.from_bytes(one.to_bytes()).adapter == data
    assert task.start.adapter is None
    without = Head.from_bytes(task.start.to_bytes()).to_bytes()
    assert head.with_adapter(None).to_bytes() == without


def test_the_runner_that_needs_only_numpy_reads_such_a_head(task: Any) -> None:
    x = task.network.encode(task.tokens[:5])
    data = task.start.with_adapter(random_adapter().to_bytes()).to_bytes()
    assert np.abs(run.Head(data).predict_proba(x) - task.start.predict_proba(x)).max() < 1e-6


@pytest.mark.parametrize(
    ("settings", "field", "says"),
    [
        ({"rank": 0}, "rank", "a whole number from 1 to 256"),
        ({"targets": "q"}, "targets", "one of 'all', 'attention', 'mlp'"),
        ({"k": 33}, "k", r"at most batch_size \(32\)"),
        ({"learning_rte": 1}, "learning_rte", "did you mean 'learning_rate'"),
        ({"w_covariance": float("nan")}, "w_covariance", "a number from 0"),
    ],
)
def test_settings_that_cannot_be_are_named(
    settings: dict[str, object], field: str, says: str
) -> None:
    with pytest.raises(ConfigError, match=says) as refused:
        LoraConfig.from_preset("default", **settings)
    assert refused.value.field == field


def test_a_preset_of_the_paper_is_not_made_up() -> None:
    with pytest.raises(ConfigError, match="the paper does not state"):
        LoraConfig.from_preset("paper")
