"""TogetherTrainer: iterate it to train many NMTune heads at once on the same rows."""

import time
from collections.abc import Sequence
from typing import Self

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from nmtune.config import WEIGHTS, TuneConfig
from nmtune.errors import ConfigError, DivergenceError
from nmtune.heads.head import Member
from nmtune.heads.network import Network, forward_in_batches
from nmtune.heads.scaling import Scaling
from nmtune.losses.objective import NMTuneLoss
from nmtune.numeric.random_numbers import generator
from nmtune.numeric.torch_state import own_state
from nmtune.rows.checks import as_classes
from nmtune.rows.held_out import HeldOut
from nmtune.training.gpu.stack import Stack
from nmtune.training.procedure import EpochReport, score_logits
from nmtune.training.rows import LabelledRows, TrainingData, notes_on_classes
from nmtune.training.trainer import Fit, finish

FREE = ("seed", *WEIGHTS)
"""The fields of TuneConfig in which heads trained together may differ."""


class TogetherTrainer:
    """Train many heads on the same rows, one epoch of all of them per iteration.

    Use it to try seeds, ablations or weights. Each iteration gives one EpochReport per head. A head
    starts from the weights and sees the batches that `Trainer` would give it, so it comes out the
    same except for rounding. It pays on a GPU; on a CPU, one head after another is as fast. There
    are no checkpoints.

    Examples
    --------
    >>> import numpy as np
    >>> from nmtune import TuneConfig
    >>> y = np.arange(60) % 2
    >>> x = np.random.default_rng(0).normal(size=(60, 8)) + y[:, None]
    >>> configs = [TuneConfig(epochs=2, seed=seed) for seed in range(3)]
    >>> trainer = TogetherTrainer(x, y, classes=["no", "yes"], configs=configs)
    >>> [len(reports) for reports in trainer]
    [3, 3]
    >>> len(trainer.result())
    3
    """

    @own_state()
    def __init__(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        classes: Sequence[str],
        configs: Sequence[TuneConfig],
        validation: tuple[ArrayLike, ArrayLike] | None = None,
        sample_weight: ArrayLike | None = None,
        device: str = "cpu",
    ) -> None:
        """Check the rows and copy them to the device.

        Args:
            configs: one per head, equal except for seed and the weights of the three terms, with
                transform `mlp` or `residual_mlp`. `bytes_of_a_head` says how much memory one takes.

        For the other arguments and the errors see Trainer.
        """
        _check_alike(configs)
        self._configs, self._classes = tuple(configs), as_classes(classes)
        config, n_classes = configs[0], len(self._classes)
        train = TrainingData.load(x, y, n_classes=n_classes, weight=sample_weight)
        self._notes = notes_on_classes(train, self._classes)
        self._absent = train.absent_classes(n_classes)
        n_columns = train.rows.shape[1]
        self._scaling = Scaling.fit(config.scaling, train.rows)
        self._validation: LabelledRows | None = None
        if validation is not None:
            held_out = TrainingData.load(*validation, n_classes=n_classes, prefix="validation.")
            held_out.check_width(train)
            self._validation = held_out.scaled(self._scaling, device)
        networks = [
            Network.initialised(
                one, n_columns=n_columns, n_classes=n_classes, generator=generator(one.seed, 0)
            )
            for one in configs
        ]
        self._network = networks[0]
        self._stack = Stack(networks, train.scaled(self._scaling, device), configs=configs)
        self._histories: list[list[EpochReport]] = [[] for _ in configs]

    def __iter__(self) -> Self:
        return self

    @own_state()
    def __next__(self) -> tuple[EpochReport, ...]:
        """Train one more epoch; DivergenceError if a head's loss became infinite or NaN."""
        epoch = len(self._histories[0]) + 1
        if epoch > self._stack.n_epochs:
            raise StopIteration
        started = time.perf_counter()
        losses, rate = self._stack.run(epoch)
        self._check_finite(epoch, losses)
        scores = [self._score(index) for index in range(len(losses))]
        seconds = (time.perf_counter() - started) / len(losses)
        for history, loss, scored in zip(self._histories, losses, scores, strict=True):
            history.append(
                EpochReport(
                    epoch=epoch,
                    n_epochs=self._stack.n_epochs,
                    losses=loss._asdict(),
                    learning_rate=rate,
                    l2=None,
                    validation=scored,
                    seconds=seconds,
                )
            )
        return tuple(history[-1] for history in self._histories)

    @own_state()
    def result(self) -> tuple[Fit, ...]:
        """The trained heads in the order of configs; RuntimeError before the last epoch.

        An epoch's seconds are divided evenly among the heads.
        """
        if len(self._histories[0]) < self._stack.n_epochs:
            raise RuntimeError("the training has not finished: iterate the trainer to its end")
        return tuple(self._fit(index) for index in range(len(self._configs)))

    def _fit(self, index: int) -> Fit:
        held_out = None
        if self._validation is not None:
            y = self._validation.y.cpu().numpy()
            logits = self._logits(index, self._validation.x).cpu().numpy()
            held_out = HeldOut(logits=logits, y=y, n_train_rows=0)
        config, n_columns = self._configs[index], self._network.n_columns
        network = Network(config, n_columns=n_columns, n_classes=len(self._classes))
        network.to_empty(device="cpu")
        network.load_state_dict(self._stack.state(index))
        return finish(
            Member(network=network, scaling=self._scaling, config=config),
            classes=self._classes,
            absent=self._absent,
            history=self._histories[index],
            notes=(*self._notes, *self._stack.notes(index)),
            held_out=held_out,
        )

    def _score(self, index: int) -> dict[str, float] | None:
        if self._validation is None:
            return None
        return score_logits(self._logits(index, self._validation.x), self._validation.y)

    def _logits(self, index: int, x: Tensor) -> Tensor:
        network, state = self._network.eval(), dict(self._stack.state(index))
        with torch.no_grad():
            return forward_in_batches(lambda f: torch.func.functional_call(network, state, f), x)[1]

    def _check_finite(self, epoch: int, losses: Sequence[NMTuneLoss]) -> None:
        for config, loss in zip(self._configs, losses, strict=True):
            if not all(map(torch.isfinite, torch.tensor(loss))):
                which = ", ".join(f"{name} {getattr(config, name):g}" for name in FREE)
                raise DivergenceError(
                    f"the training diverged in epoch {epoch} with {which}: lower learning_rate or "
                    "the weights, or set scaling to 'rms' or 'standardise'"
                )


@own_state()
def bytes_of_a_head(config: TuneConfig, *, n_columns: int, n_classes: int) -> int:
    """The memory that one more head of a stack takes on the device, in bytes.

    It covers weights, gradient and two moments in float32, eight float64 copies of a step's batch,
    and four float32 copies of the hidden layer.
    """
    network = Network(config, n_columns=n_columns, n_classes=n_classes)
    n_weights = sum(parameter.numel() for parameter in network.parameters())
    of_a_row = 8 * 8 * n_columns + 4 * 4 * config.hidden_multiplier * n_columns
    return 16 * n_weights + config.batch_size * of_a_row


def _check_alike(configs: Sequence[TuneConfig]) -> None:
    if not configs:
        raise ConfigError("configs must hold at least one config", field="configs")
    first, *others = [config.replace(**dict.fromkeys(FREE, 0)) for config in configs]
    if first.transform not in ("mlp", "residual_mlp"):
        raise ConfigError(
            f"transform must be 'mlp' or 'residual_mlp' to train together, got {first.transform!r}",
            field="transform",
        )
    for other in others:
        for name, value in first.to_dict().items():
            if getattr(other, name) != value:
                raise ConfigError(
                    f"heads trained together may differ only in {', '.join(FREE)}, not in {name}",
                    field=name,
                )
