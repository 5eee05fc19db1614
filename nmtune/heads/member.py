"""Member: one trained network of a head."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nmtune.config import TuneConfig
from nmtune.heads.network import Network
from nmtune.heads.scaling import Scaling
from nmtune.numeric.tensor_file import check_layout, sections


@dataclass(frozen=True, kw_only=True, eq=False)
class Member:
    """One trained network of a head, the scaling before it, and the weight of its logits."""

    network: Network
    scaling: Scaling
    config: TuneConfig
    weight: float = 1.0


def read_member(
    described: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    *,
    n_columns: int,
    n_classes: int,
) -> Member:
    """The member that a head's file describes; ValueError says what does not fit."""
    config, weight = TuneConfig.from_dict(described["config"]), described["weight"]
    if type(weight) is not float or not math.isfinite(weight):
        raise ValueError("a member's weight must be a finite number")
    of_network, of_scaling = sections(tensors, "network", "scaling")
    # The network has shapes but no storage until the tensors are known to fit.
    network = Network(config, n_columns=n_columns, n_classes=n_classes)
    check_layout(of_network, network.state_dict())
    for name, tensor in of_network.items():
        if name.endswith("running_var") and bool((tensor < 0).any()):
            raise ValueError(f"tensor {name} is a variance and must not be negative")
    network.load_state_dict(of_network, assign=True)
    scaling = Scaling.from_tensors(config.scaling, of_scaling, n_columns=n_columns)
    return Member(network=network, scaling=scaling, config=config, weight=weight)
