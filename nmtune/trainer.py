"""The home of Trainer: iterate it to train a head on frozen embeddings."""

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from nmtune.adamw_fit import AdamwFit
from nmtune.calibration import calibrate
from nmtune.checkpoint import Checkpoint
from nmtune.config import TuneConfig
from nmtune.ensemble_fit import EnsembleFit
from nmtune.errors import CheckpointError, DivergenceError
from nmtune.gpu_fit import GpuFit
from nmtune.head import Head, Member
from nmtune.held_out import HeldOut
from nmtune.network import Network
from nmtune.probe_fit import ProbeFit
from nmtune.procedure import EpochReport, Procedure
from nmtune.random_numbers import generator
from nmtune.rows import as_classes
from nmtune.scaling import Scaling
from nmtune.torch_state import own_state
from nmtune.training_data import TrainingData, notes_on_classes

_NEVER = -1e4
"""A logit that no other falls below: its probability is 0 in float32."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What a training gave.

    Attributes
    ----------
    head
        The trained head, on the CPU.
    history
        Every epoch's report, those before a checkpoint too.
    seconds
        Of training, all epochs together.
    notes
        What the user should know of how it went, in full sentences.
    held_out
        What was said of rows that were not learnt from, the temperature left out; None
        where no rows were held out.
    """

    head: Head
    history: tuple[EpochReport, ...]
    seconds: float
    notes: tuple[str, ...]
    held_out: HeldOut | None = None


class Trainer:
    """Train one head, an epoch at a time: an iterator of EpochReports.

    Leaving the loop stops the training; iterating again goes on. On a CPU the same rows, config and
    number of threads give the same head bit for bit, with or without a checkpoint in between.
    Torch's
    global random numbers are neither used nor changed.

    Examples
    --------
    >>> import numpy as np
    >>> from nmtune import TuneConfig
    >>> y = np.arange(60) % 2
    >>> x = np.random.default_rng(0).normal(size=(60, 8)) + y[:, None]
    >>> trainer = Trainer(x, y, classes=["no", "yes"], config=TuneConfig(epochs=3))
    >>> [report.epoch for report in trainer]
    [1, 2, 3]
    >>> trainer.result().head.classes
    ('no', 'yes')
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
        """Check the rows and copy them to the device.

        Parameters
        ----------
        x
            Embeddings (n, d) of any float or integer type; may be memory-mapped.
        y
            Class indices (n,); at least two classes must occur.
        classes
            The name of each index.
        config
            How to train.
        validation
            Rows (x, y) to score after each epoch, never trained on.
        groups
            (n,) which domain, or other group, each row is from: cross-validation then
            holds out whole groups.
        sample_weight
            (n,) how much each row counts, not negative; only ratios matter.
        device
            Where to train, as torch names it.
        checkpoint
            What `checkpoint()` gave on the same rows, classes and config.

        Raises
        ------
        DataError
            Rows, labels or classes cannot be used (names row and column).
        CheckpointError
            The checkpoint is damaged or of another training.
        """
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
        """Train one more epoch; DivergenceError if it left the finite numbers."""
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
        """The training as it stands, for a Trainer to go on from: inside the loop or after it."""
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
            raise RuntimeError("an epoch was broken off half-way: start again from a checkpoint")

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


def _procedure(config: TuneConfig, device: str) -> type[AdamwFit | ProbeFit | EnsembleFit]:
    if config.is_convex:
        return ProbeFit
    if config.transform == "hidden":
        return EnsembleFit
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
    """Calibrate what was trained; it never predicts a class that was absent."""
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
    """See to it that classes without a training row are never predicted."""
    at = torch.from_numpy(classes)
    with torch.no_grad():
        network.classifier.weight[at] = 0
        network.classifier.bias[at] = _NEVER


def _scaling(config: TuneConfig, rows: NDArray[np.float32], stored: Checkpoint | None) -> Scaling:
    if stored is None:
        return Scaling.fit(config.scaling, rows)
    try:
        return Scaling.from_tensors(config.scaling, stored.scaling, n_columns=rows.shape[1])
    except ValueError as wrong:
        raise CheckpointError(f"not a readable checkpoint: {wrong}") from None
