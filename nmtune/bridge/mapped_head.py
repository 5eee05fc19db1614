"""Build a map into a head: the head of the old space then takes vectors of the new one."""

import math
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from nmtune.bridge.space_map import SpaceMap
from nmtune.config import TuneConfig
from nmtune.errors import DataError
from nmtune.heads.head import Head, Member
from nmtune.heads.network import Network
from nmtune.heads.scaling import Scaling
from nmtune.numeric.torch_state import own_state
from nmtune.serving.folded import FoldedHead, fold

_MOST_UNITS: Final = 8192
"""Hidden units of one member: two folds of the largest width that a config allows."""

_Wide = NDArray[np.float64]


@own_state()
def mapped_head(head: Head, space: SpaceMap) -> Head:
    """The head that answers for x as `head` answers for `space.apply(x)`, at no cost to serving.

    The map is folded into the first layer of every member. What is left is one affine member beside
    the hidden units of all, so tuned embeddings are the embedding itself followed by those units.
    It has no self-test and no knowledge, which are of the old space. Raises DataError if the map
    does not lead to the head's space.
    """
    if space.weight.shape[1] != head.n_columns:
        raise DataError(
            f"the map leads to {space.weight.shape[1]:,} columns, and the head takes "
            f"{head.n_columns:,}",
            field="bridge",
        )
    folded = fold(head)
    moved = space.bias if folded.shift is None else space.bias - folded.shift
    members = [_affine(folded, space, moved, head.temperature)]
    if folded.into is not None:
        members += _hidden(folded, space, moved, head.temperature)
    return Head(members, classes=head.classes, temperature=head.temperature)


def _affine(folded: FoldedHead, space: SpaceMap, moved: _Wide, temperature: float) -> Member:
    """What is affine in the embedding, and every bias."""
    d, c = space.weight.shape[0], len(folded.classes)
    weight, bias = np.zeros((d, c)), folded.bias.astype(np.float64)
    if folded.affine is not None:
        affine = folded.affine.astype(np.float64)
        weight, bias = space.weight @ affine, bias + moved @ affine
    config = TuneConfig.from_preset("linear_probe", scaling="rms")
    network = Network(config, n_columns=d, n_classes=c).to_empty(device="cpu")
    _set(network.classifier, weight * temperature, bias * temperature)
    return Member(network=network, scaling=_unscaled(), config=config)


def _hidden(folded: FoldedHead, space: SpaceMap, moved: _Wide, temperature: float) -> list[Member]:
    """The hidden units of all members, in as many members as configs allow."""
    assert folded.into is not None and folded.into_bias is not None and folded.out is not None  # noqa: S101, PT018
    into = folded.into.astype(np.float64)
    weight, bias = space.weight @ into, folded.into_bias + moved @ into
    out = folded.out.astype(np.float64) * temperature
    starts = range(0, into.shape[1], _MOST_UNITS)
    parts = [slice(start, start + _MOST_UNITS) for start in starts]
    return [_units(weight[:, at], bias[at], out[at]) for at in parts]


def _units(weight: _Wide, bias: _Wide, out: _Wide) -> Member:
    """A member of hidden units: weight (d, u), bias (u,), out (u, c); an odd u gets a dead one."""
    width = math.ceil(len(bias) / 2)
    dead = 2 * width - len(bias)
    config = TuneConfig.from_preset(
        "mlp_ensemble", scaling="rms", n_bags=1, n_folds=2, hidden_width=width
    )
    d, c = len(weight), out.shape[1]
    network = Network(config, n_columns=d, n_classes=c).to_empty(device="cpu")
    (into,) = (one for one in network.transform.modules() if isinstance(one, torch.nn.Linear))
    _set(into, np.pad(weight, ((0, 0), (0, dead))), np.pad(bias, (0, dead)))
    _set(network.classifier, np.pad(out, ((0, dead), (0, 0))), np.zeros(c))
    return Member(network=network, scaling=_unscaled(), config=config)


def _unscaled() -> Scaling:
    """A scaling that changes nothing, as configs with `rms` store it."""
    return Scaling(divisor=torch.ones(1))


def _set(layer: torch.nn.Linear, weight: _Wide, bias: _Wide) -> None:
    """weight: (inputs, outputs)."""
    layer.weight.data = torch.from_numpy(np.ascontiguousarray(weight.T, np.float32))
    layer.bias.data = torch.from_numpy(bias.astype(np.float32))
