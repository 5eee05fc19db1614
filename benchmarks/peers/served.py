"""The head that every contestant of the serving benchmark serves, as a torch module.

Its arrays are in the file that SERVED_HEAD names, so that a peer in an environment of its own needs
torch and numpy alone.
"""

import os

import numpy as np
import torch
from torch import nn


class Served(nn.Module):
    """softmax(classifier(x + back(relu(into(x))))): NMTune's network, its BatchNorm folded."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        super().__init__()
        self.into, self.back, self.classifier = (
            _linear(arrays[f"{name}_weight"], arrays[f"{name}_bias"])
            for name in ("into", "back", "classifier")
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = x + self.back(torch.relu(self.into(x)))
        return torch.softmax(self.classifier(z), dim=-1)


def head() -> Served:
    """The head of SERVED_HEAD."""
    with np.load(os.environ["SERVED_HEAD"]) as file:
        return Served({name: file[name] for name in file.files}).eval().requires_grad_(False)


def _linear(weight: np.ndarray, bias: np.ndarray) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(weight))
        linear.bias.copy_(torch.from_numpy(bias))
    return linear
