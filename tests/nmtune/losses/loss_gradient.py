"""A loss with its gradient, as numpy arrays."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]


def value_and_gradient(
    loss: Callable[[torch.Tensor], torch.Tensor], z: NDArray[np.floating]
) -> tuple[float, Array]:
    rows = torch.tensor(z, requires_grad=True)
    result = loss(rows)
    result.backward()
    assert result.shape == ()
    assert rows.grad.dtype == rows.dtype
    return result.item(), rows.grad.numpy().astype(np.float64)
