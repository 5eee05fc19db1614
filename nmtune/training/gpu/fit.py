"""Train with AdamW on a GPU: a stack of one head, whose steps are CUDA graphs."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from nmtune.config import TuneConfig
from nmtune.heads.network import Network
from nmtune.training.adamw import AdamwFit
from nmtune.training.gpu.stack import Stack
from nmtune.training.procedure import Progress, score
from nmtune.training.rows import LabelledRows


class GpuFit(AdamwFit):
    """AdamwFit with the steps of a Stack, whose tensors it shares; checkpoints are the same."""

    def __init__(
        self,
        network: Network,
        rows: LabelledRows,
        *,
        config: TuneConfig,
        validation: LabelledRows | None,
        groups: NDArray[Any] | None = None,
    ) -> None:
        super().__init__(network, rows, config=config, validation=validation, groups=groups)
        self._stack = Stack([network], rows, configs=[config])
        network.load_state_dict(self._stack.state(0), assign=True)

    def run(self, epoch: int) -> Progress:
        (losses,), rate = self._stack.run(epoch)
        return Progress(
            losses=losses._asdict(),
            learning_rate=rate,
            validation=score(self.network, self._validation) if self._validation else None,
        )

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        names = [name for name, _ in self.network.named_parameters()]
        self._optimiser.moments = {name: self._stack.moments(name, 0) for name in names}
        return super().state()

    def restore(self, epoch: int, document: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        super().restore(epoch, document, tensors)
        for name, moments in self._optimiser.moments.items():
            self._stack.set_moments(name, moments)
