"""Build a change into a head, so that it is folded, stored and exported as any other."""

import copy
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from nmtune.config import TuneConfig
from nmtune.heads.head import Head, Member
from nmtune.heads.network import Network
from nmtune.heads.scaling import Scaling
from nmtune.heads.score_change import Change
from nmtune.numeric.torch_state import own_state


@own_state()
def adapted_head(head: Head, change: Change) -> Head:
    """The head whose probabilities are those of `head` after `change`; `head` stays as it is.

    The change goes into the temperature and into one classifier's bias, a linear map into a member
    of its own: tuned embeddings then have that member's d columns too. Self-test rows are answered
    anew; of the knowledge the conformal levels are left out, since they were fitted to other
    probabilities.
    """
    members = list(head.members)
    at = max(range(len(members)), key=lambda i: abs(members[i].weight))
    temperature = head.temperature * change.temperature
    network = copy.deepcopy(members[at].network)
    bias = network.classifier.bias
    bias.data += torch.from_numpy(change.bias * temperature / members[at].weight).to(bias.dtype)
    members[at] = replace(members[at], network=network)
    if change.weights is not None:
        members.append(_linear_member(change.weights.T * temperature))
    adapted = Head(members, classes=head.classes, temperature=temperature, adapter=head.adapter)
    if head.knowledge is not None:
        adapted = adapted.with_knowledge(replace(head.knowledge, conformal=None))
    return adapted if head.self_test is None else adapted.with_self_test(head.self_test.x)


def _linear_member(weights: NDArray[np.float64]) -> Member:
    """A member whose logits are weights (c, d) times the embedding."""
    n_classes, n_columns = weights.shape
    config = TuneConfig.from_preset("linear_probe", scaling="rms")
    network = Network(config, n_columns=n_columns, n_classes=n_classes).to_empty(device="cpu")
    network.classifier.weight.data = torch.from_numpy(weights.astype(np.float32))
    network.classifier.bias.data = torch.zeros(n_classes)
    scaling = Scaling.from_tensors("rms", {"divisor": torch.ones(1)}, n_columns=n_columns)
    return Member(network=network, scaling=scaling, config=config)
