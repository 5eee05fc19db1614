"""Trainer: iterate it to train a head on frozen embeddings."""

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from nmtune.config import TuneConfig
from nmtune.errors import CheckpointError, DivergenceError
from nmtune.heads.head import Head, Member
from nmtune.heads.network import Network
from nmtune.heads.scaling import Scaling
from nmtune.heads.temperature import calibrate
from nmtune.numeric.random_numbers import generator
from nmtune.numeric.torch_state import own_state
from nmtune.rows.checks import as_classes
from nmtune.rows.held_out import HeldOut
from nmtune.training.adamw import AdamwFit
from nmtune.training.bottlenecks import BottlenecksFit
from nmtune.training.checkpoint import Checkpoint
from nmtune.training.ensemble import EnsembleFit
from nmtune.training.gpu.fit import GpuFit
from nmtune.training.members import FoldedFit
from nmtune.training.probe import ProbeFit
from nmtune.training.procedure import EpochReport, Procedure
from nmtune.training.rows import TrainingData, notes_on_classes

_LOGIT_OF_ABSENT_CLASS = -1e4
"""So low that the class's probability is 0 in float32."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The result of a training.

    Attributes
    ----------
    head : Head
        The trained head, on the CPU.
    history : tuple of EpochReport
        Every epoch's report, including those before a checkpoint.
    seconds : float
        Training time of all epochs.
    notes : tuple of str
        What to know about the training, in full sentences.
    held_out : HeldOut or None
        Held-out predictions, before the temperature; None if no rows were held out.
    """

    head: Head
    history: tuple[EpochReport, ...]
    seconds: float
    notes: tuple[str, ...]
    held_out: HeldOut | None = None


class Trainer:
    """Train one head, one epoch per iteration.

    Leaving the loop stops the training; iterating again continues it. On a CPU, the same rows,
    config and number of threads give the same head bit for bit, with or without a checkpoint in
    between. Torch's global random numbers are neither used nor changed.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Embeddings of any float or integer type; may be memory-mapped. They are copied.
    y : array_like of int, shape (n,)
        Class indices; at least two classes must occur.
    classes : sequence of str
        The name of each class index.
    config : TuneConfig
        How to train.
    validation : tuple of array_like, optional
        Rows ``(x, y)`` to score after each epoch; they are never trained on.
    groups : array_like, shape (n,), optional
        The domain, or other group, of each row; cross-validation then holds out whole groups.
    sample_weight : array_like, shape (n,), optional
        How much each row counts, not negative; only ratios matter.
    device : str, default="cpu"
        Where to train, as torch names devices.
    checkpoint : bytes, optional
        From `checkpoint()` on the same rows, classes and config.

    Raises
    ------
    DataError
        Rows, labels or classes cannot be used; ``row`` and ``column`` say where.
    CheckpointError
        The checkpoint is damaged, or belongs to another training.

    Examples
    --------
    >>> import numpy as np
    >>> from nmtune import Trainer, TuneConfig
    >>> y = np.arange(60) % 2
    >>> x = np.random.default_rng(0).normal(size=(60, 4)) + 3 * y[:, None]
    >>> config = TuneConfig.from_preset("paper", epochs=3, batch_size=16)
    >>> trainer = Trainer(x, y, classes=["cat", "dog"], config=config)
    >>> for report in trainer:
    ...     print(report.epoch, "of", report.n_epochs)
    1 of 3
    2 of 3
    3 of 3
    >>> trainer.result().head.classes
    ('cat', 'dog')
    """

    @own_state()
    def __init__(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        classes: Sequence[str],
        config: TuneConfig,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
        groups: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        device: str = "cpu",
        checkpoint: bytes | None = None,
    ) -> None:
        """Check the rows and copy them to the device."""
        self._config = config
        self._classes = as_classes(classes)
        n_classes = len(self._classes)
        train = TrainingData.load(x, y, n_classes=n_classes, weight=sample_weight, groups=groups)
        held_out = None
        if validation is not None:
            held_out = TrainingData.load(*validation, n_classes=n_classes, prefix="validation.")
            held_out.check_width(train)
        self._notes = notes_on_classes(train, self._classes)
        self._absent = train.absent_classes(n_classes)
        self._identity: dict[str, Any] = {
            "config": config.to_dict(),
            "classes": list(self._classes),
            "training rows": train.digest,
            "validation rows": held_out.digest if held_out else None,
        }
        stored = None
        if checkpoint is not None:
            stored = Checkpoint.from_bytes(checkpoint, identity=self._identity)

        n_columns = train.rows.shape[1]
        self._scaling = _scaling(config, train.rows, stored)
        network = Network.initialised(
            config, n_columns=n_columns, n_classes=n_classes, generator=generator(config.seed, 0)
        )
        self._procedure: Procedure = _procedure(config, device)(
            network.to(device),
            train.scaled(self._scaling, device),
            config=config,
            validation=held_out.scaled(self._scaling, device) if held_out else None,
            groups=train.groups,
        )
        self._history: list[EpochReport] = []
        self._is_between_epochs = True
        if stored is not None:
            self._restore(stored)

    def _restore(self, stored: Checkpoint) -> None:
        n_done = len(stored.history)
        try:
            if n_done > self._procedure.n_epochs:
                raise ValueError("it has more epochs than the training")
            self._procedure.restore(n_done, stored.document, dict(stored.tensors))
        except (ValueError, KeyError, TypeError) as wrong:
            raise CheckpointError(f"not a readable checkpoint: {wrong}") from None
        self._history = list(stored.history)

    def __repr__(self) -> str:
        return (
            f"Trainer({self._config.preset}, {len(self._classes)} classes, "
            f"epoch {len(self._history)} of {self._procedure.n_epochs})"
        )

    def __iter__(self) -> Self:
        return self

    @own_state()
    def __next__(self) -> EpochReport:
        """Train one more epoch; DivergenceError if the loss became infinite or NaN."""
        epoch = len(self._history) + 1
        if epoch > self._procedure.n_epochs:
            raise StopIteration
        self._check_between_epochs()
        self._is_between_epochs = False
        started = time.perf_counter()
        done = self._procedure.run(epoch)
        self._check_finite(epoch, done.losses)
        report = EpochReport(
            epoch=epoch,
            n_epochs=self._procedure.n_epochs,
            losses=done.losses,
            learning_rate=done.learning_rate,
            l2=done.l2,
            validation=done.validation,
            seconds=time.perf_counter() - started,
        )
        self._history.append(report)
        self._is_between_epochs = True
        return report

    @own_state()
    def checkpoint(self) -> bytes:
        """The state of the training, to continue from: call it inside the loop or after it."""
        self._check_between_epochs()
        document, tensors = self._procedure.state()
        return Checkpoint(
            identity=self._identity,
            history=tuple(self._history),
            scaling=self._scaling.tensors(),
            document=document,
            tensors=tensors,
        ).to_bytes()

    @own_state()
    def result(self) -> Fit:
        """The trained head and its history; RuntimeError before the last epoch."""
        if len(self._history) < self._procedure.n_epochs:
            raise RuntimeError("the training has not finished: iterate the trainer to its end")
        network = copy.deepcopy(self._procedure.network).to("cpu")
        config = self._config.replace(**self._procedure.settings())
        return finish(
            Member(network=network, scaling=self._scaling, config=config),
            classes=self._classes,
            absent=self._absent,
            history=self._history,
            notes=(*self._notes, *self._procedure.notes()),
            held_out=self._procedure.held_out(),
        )

    def _check_between_epochs(self) -> None:
        if not self._is_between_epochs:
            raise RuntimeError("an epoch was interrupted: start again from a checkpoint")

    def _check_finite(self, epoch: int, losses: dict[str, float]) -> None:
        state = self._procedure.network.state_dict().values()
        if all(map(math.isfinite, losses.values())) and all(
            bool(tensor.isfinite().all()) for tensor in state
        ):
            return
        raise DivergenceError(
            f"the training diverged in epoch {epoch}: lower learning_rate or the weights, "
            "or set scaling to 'rms' or 'standardise'"
        )


def _procedure(config: TuneConfig, device: str) -> type[AdamwFit | ProbeFit | FoldedFit]:
    if config.is_convex:
        return ProbeFit
    if config.transform == "hidden":
        return EnsembleFit
    if config.transform == "bottlenecks":
        return BottlenecksFit
    return GpuFit if torch.device(device).type == "cuda" else AdamwFit


def finish(
    member: Member,
    *,
    classes: tuple[str, ...],
    absent: NDArray[np.int64],
    history: Sequence[EpochReport],
    notes: Sequence[str],
    held_out: HeldOut | None,
) -> Fit:
    """The result of a training: calibrated, and never predicting a class without training rows."""
    _silence(member.network, absent)
    calibration = calibrate(held_out)
    calibrated = [calibration.note] if held_out is not None else []
    return Fit(
        head=Head([member], classes=classes, temperature=calibration.temperature),
        history=tuple(history),
        seconds=sum(report.seconds for report in history),
        notes=(*notes, *calibrated),
        held_out=held_out,
    )


def _silence(network: Network, classes: NDArray[np.int64]) -> None:
    """Make classes without a training row impossible to predict."""
    at = torch.from_numpy(classes)
    with torch.no_grad():
        network.classifier.weight[at] = 0
        network.classifier.bias[at] = _LOGIT_OF_ABSENT_CLASS


def _scaling(config: TuneConfig, rows: NDArray[np.float32], stored: Checkpoint | None) -> Scaling:
    if stored is None:
        return Scaling.fit(config.scaling, rows)
    try:
        return Scaling.from_tensors(config.scaling, stored.scaling, n_columns=rows.shape[1])
    except ValueError as wrong:
        raise CheckpointError(f"not a readable checkpoint: {wrong}") from None
