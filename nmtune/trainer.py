"""The home of Trainer: iterate it to train a head on frozen embeddings."""

import copy
import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from nmtune.adamw_fit import AdamwFit, generator
from nmtune.checkpoint import Checkpoint
from nmtune.config import TuneConfig
from nmtune.errors import CheckpointError, DataError, DivergenceError
from nmtune.head import Head
from nmtune.lbfgs_fit import LbfgsFit
from nmtune.network import Network
from nmtune.procedure import EpochReport, LabelledRows, Procedure
from nmtune.rows import as_classes, as_labels, load_rows
from nmtune.scaling import Scaling

_MAX_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What a training gave.

    Attributes:
        head: the trained head, on the CPU.
        history: every epoch's report, those before a checkpoint too.
        seconds: of training, all epochs together.
        notes: what the user should know of how it went, in full sentences.
    """

    head: Head
    history: tuple[EpochReport, ...]
    seconds: float
    notes: tuple[str, ...]


class Trainer:
    """An iterator of EpochReports that trains one head.

    Leaving the loop stops the training; iterating again goes on. On a CPU the same rows,
    config and number of threads give the same head bit for bit, with or without a checkpoint
    in between. Torch's global random numbers are neither used nor changed.
    """

    def __init__(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        classes: Sequence[str],
        config: TuneConfig,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
        device: str = "cpu",
        checkpoint: bytes | None = None,
    ) -> None:
        """Check the rows and copy them to the device.

        Args:
            x: embeddings (n, d) of any float or integer type; may be memory-mapped.
            y: class indices (n,); at least two classes must occur.
            classes: the name of each index.
            config: how to train.
            validation: rows (x, y) to score after each epoch, never trained on.
            device: where to train, as torch names it.
            checkpoint: what `checkpoint()` gave on the same rows, classes and config.

        Raises:
            DataError: rows, labels or classes cannot be used (names row and column).
            CheckpointError: the checkpoint is damaged or of another training.
        """
        self._config = config
        self._classes = as_classes(classes)
        n_classes = len(self._classes)
        train = _load(x, y, n_classes=n_classes)
        held_out = None
        if validation is not None:
            held_out = _load(*validation, n_classes=n_classes, prefix="validation.")
            _check_width(held_out, train)
        self._notes = _notes_on_classes(train.labels, self._classes)
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
        procedure: type[AdamwFit | LbfgsFit] = AdamwFit if config.optimiser == "adamw" else LbfgsFit
        self._procedure: Procedure = procedure(
            network.to(device),
            train.scaled(self._scaling, device),
            config=config,
            validation=held_out.scaled(self._scaling, device) if held_out else None,
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

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> EpochReport:
        """Train one more epoch; DivergenceError if it left the finite numbers."""
        epoch, n_epochs = len(self._history) + 1, self._procedure.n_epochs
        if epoch > n_epochs:
            raise StopIteration
        self._check_between_epochs()
        self._is_between_epochs = False
        started = time.perf_counter()
        done = self._procedure.run(epoch)
        self._check_finite(epoch, done.losses)
        report = EpochReport(
            epoch=epoch,
            n_epochs=n_epochs,
            losses=done.losses,
            learning_rate=done.learning_rate,
            l2=done.l2,
            validation=done.validation,
            seconds=time.perf_counter() - started,
        )
        self._history.append(report)
        self._is_between_epochs = True
        return report

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

    def result(self) -> Fit:
        """The trained head and its history; RuntimeError before the last epoch."""
        if len(self._history) < self._procedure.n_epochs:
            raise RuntimeError("the training has not finished: iterate the trainer to its end")
        head = Head(
            copy.deepcopy(self._procedure.network),
            self._scaling,
            classes=self._classes,
            config=self._config.replace(**self._procedure.settings()),
        )
        return Fit(
            head=head,
            history=tuple(self._history),
            seconds=sum(report.seconds for report in self._history),
            notes=(*self._notes, *self._procedure.notes()),
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


@dataclass(frozen=True, eq=False)
class _Loaded:
    """Checked rows (n, d) and labels (n,) of our own, with a digest of both."""

    rows: NDArray[np.float32]
    labels: NDArray[np.int64]
    digest: str

    def scaled(self, scaling: Scaling, device: str) -> LabelledRows:
        """On the device; uses up `rows`, which are scaled in place."""
        x: Tensor = torch.from_numpy(self.rows).to(device)
        return LabelledRows(
            scaling.apply(x, in_place=True), torch.from_numpy(self.labels).to(device)
        )


def _load(x: ArrayLike, y: ArrayLike, *, n_classes: int, prefix: str = "") -> _Loaded:
    rows, digest_of_rows = load_rows(x, field=f"{prefix}embeddings")
    labels = as_labels(y, n_rows=len(rows), n_classes=n_classes, field=f"{prefix}labels")
    digest = hashlib.sha256(digest_of_rows.encode() + labels.tobytes())
    return _Loaded(rows, labels, digest.hexdigest())


def _check_width(validation: _Loaded, train: _Loaded) -> None:
    got, expected = validation.rows.shape[1], train.rows.shape[1]
    if got != expected:
        raise DataError(
            f"validation embeddings must have {expected} columns, as the training ones, got {got}",
            field="validation.embeddings",
        )


def _notes_on_classes(labels: NDArray[np.int64], classes: tuple[str, ...]) -> tuple[str, ...]:
    """What to tell of classes without a training row; DataError if fewer than two have one."""
    counts = np.bincount(labels, minlength=len(classes))
    if np.count_nonzero(counts) < 2:
        only = classes[int(counts.argmax())]
        raise DataError(
            f"labels must hold at least two classes to tell apart, got only {only!r}",
            field="labels",
        )
    absent = [repr(name) for name, count in zip(classes, counts, strict=True) if not count]
    if not absent:
        return ()
    more = f" and {len(absent) - _MAX_NAMED} more" if len(absent) > _MAX_NAMED else ""
    named = ", ".join(absent[:_MAX_NAMED])
    return (f"No training row is of class {named}{more}: the head cannot know it.",)


def _scaling(config: TuneConfig, rows: NDArray[np.float32], stored: Checkpoint | None) -> Scaling:
    if stored is None:
        return Scaling.fit(config.scaling, rows)
    try:
        return Scaling.from_tensors(config.scaling, stored.scaling, n_columns=rows.shape[1])
    except ValueError as wrong:
        raise CheckpointError(f"not a readable checkpoint: {wrong}") from None
