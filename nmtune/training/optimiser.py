"""AdamW as one fused kernel a step, over named parameters."""

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from nmtune.numeric.tensor_file import check_layout

MOMENTS: Final = ("step", "exp_avg", "exp_avg_sq")
_BETAS: Final = (0.9, 0.999)
_EPSILON: Final = 1e-8

Moments = Mapping[str, Mapping[str, Tensor]]
"""Parameter -> name of a moment -> its values; empty before the first step."""


class AdamW:
    """`torch.optim.AdamW(fused=True)` to the bit, without its constructor.

    That one imports torch's compiler, which takes nearly two seconds of CPU and is not used.
    """

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        *,
        learning_rate: float,
        weight_decay: float,
        moments: Moments | None = None,
    ) -> None:
        """parameters: leaves that require a gradient; moments: to go on with."""
        self.learning_rate = learning_rate
        self._parameters, self._weight_decay = dict(parameters), weight_decay
        self.moments = {name: dict(one) for name, one in (moments or {}).items()}

    def descend(self, loss: Tensor) -> None:
        """Take one step down the gradient of `loss`, which every parameter must have a part in."""
        if not self.moments:
            self.moments = {name: _zeros(one) for name, one in self._parameters.items()}
        parameters = list(self._parameters.values())
        gradients = list(torch.autograd.grad(loss, parameters))
        step, mean, square = (
            [self.moments[name][moment] for name in self._parameters] for moment in MOMENTS
        )
        with torch.no_grad():
            adamw(
                parameters,
                gradients,
                mean,
                square,
                [],
                step,
                fused=True,
                amsgrad=False,
                beta1=_BETAS[0],
                beta2=_BETAS[1],
                lr=self.learning_rate,
                weight_decay=self._weight_decay,
                eps=_EPSILON,
                maximize=False,
            )

    def state(self) -> dict[str, Tensor]:
        """The moments by `parameter.moment`; none before the first step."""
        return {
            f"{name}.{moment}": tensor
            for name, of_parameter in self.moments.items()
            for moment, tensor in of_parameter.items()
        }

    def restore(self, tensors: Mapping[str, Tensor], *, is_begun: bool) -> None:
        """The inverse of `state` after the first step, or before it; ValueError for others."""
        parameters = self._parameters if is_begun else {}
        check_layout(
            tensors,
            {
                f"{name}.{moment}": torch.zeros(()) if moment == "step" else parameter
                for name, parameter in parameters.items()
                for moment in MOMENTS
            },
        )
        self.moments = {
            name: {moment: tensors[f"{name}.{moment}"].to(parameter.device) for moment in MOMENTS}
            for name, parameter in parameters.items()
        }


def _zeros(parameter: Tensor) -> dict[str, Tensor]:
    return {
        "step": torch.zeros((), device=parameter.device),
        "exp_avg": torch.zeros_like(parameter),
        "exp_avg_sq": torch.zeros_like(parameter),
    }
