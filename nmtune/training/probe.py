"""Linear probes: L2-penalised logistic regression with a cross-validated penalty."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nmtune.config import TuneConfig
from nmtune.heads.network import Network
from nmtune.heads.temperature import fit_temperature
from nmtune.numeric.tensor_file import check_layout
from nmtune.rows.folds import assign_folds
from nmtune.rows.held_out import HeldOut
from nmtune.study.label_errors import find_label_errors
from nmtune.training.axes import Axes
from nmtune.training.logistic import linear, row_losses, solve
from nmtune.training.procedure import Progress, score_logits
from nmtune.training.rows import LabelledRows
from nmtune.training.whitening import Affine, Whitenings

L2_PER_ROW = (30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4)
"""The penalties tried if config.l2 is None, divided by the number of rows, strong to weak."""

FALLBACK_L2_PER_ROW = 0.1
"""The penalty for too few rows to cross-validate, divided by the number of rows."""

FEWEST_ROWS = 20
"""Rows; fewer are not enough to choose a penalty by."""

_RISE = 1e-6
_GRID_TOLERANCE = 1e-5
_GRID_ITERATIONS = 100


class ProbeFit:
    """Minimise the sum of losses + l2 / 2 * ||W||^2 over all rows; the bias is free.

    With config.l2 given, there is one epoch: the solution. With None, each fold of the training
    rows is an epoch: the penalties are tried from strong to weak, each started from the solution
    before and scored on the fold. Once the held-out loss rises, weaker ones are skipped and count
    as the last one tried.
    The last epoch fits all training rows with the chosen penalty: the strongest whose held-out
    accuracy, over all folds and the validation rows, is within one standard error of the best
    (Breiman et al. 1984; Hastie et al. 2009, section 7.10), that of the difference between the two
    on the same rows. On a separable set the loss is flat in the penalty, and chance would pick a
    weak one, which costs accuracy on other domains.

    With config.trim, every fold is then learnt again, from the rows whose label the
    cross-validation does not contradict; so is the last solution. The rows left out are predicted
    like all others, and only have no say in the penalty.

    With transform `whiten`, each fold is whitened by its own training part.

    All of it is computed in the principal axes of the training rows, which changes no optimum.
    """

    def __init__(
        self,
        network: Network,
        rows: LabelledRows,
        *,
        config: TuneConfig,
        validation: LabelledRows | None,
        groups: NDArray[Any] | None = None,
    ) -> None:
        self.network = network
        self._axes = Axes.of(rows.x)
        self._rows = _turned(rows, self._axes)
        self._config = config
        self._validation = _turned(validation, self._axes) if validation else None
        self._folds = np.zeros(0, np.int64)
        if config.l2 is None and len(rows) >= FEWEST_ROWS:
            labels = rows.y.cpu().numpy()
            self._folds = assign_folds(
                labels, n_folds=config.n_folds, seed=config.seed, groups=groups
            )
        n_folds = int(self._folds.max()) + 1 if len(self._folds) else 0
        self._n_folds = n_folds
        self.n_epochs = (1 + config.trim) * n_folds + 1
        self._kept = np.ones(len(rows), bool)
        self._whitenings = self._whitened() if config.transform == "whiten" else None
        # Per fold, on all rows and then on those kept: the coefficients (n_penalties, c, r + 1) of
        # each penalty for the turned rows.
        self._paths: list[Tensor] = []
        # The objective is convex, so any start will do; 0 is the optimum of the penalty alone.
        for parameter in network.classifier.parameters():
            nn.init.zeros_(parameter)

    def run(self, epoch: int) -> Progress:
        self._trim(epoch - 1)
        if epoch == self.n_epochs:
            return self._final()
        return self._cross_validate((epoch - 1) % self._n_folds)

    def _trim(self, n_done: int) -> None:
        """Leave out the rows that the first folds contradict, once all of them are done."""
        if not (self._config.trim and self._n_folds and n_done == self._n_folds):
            return
        paths = self._paths[: self._n_folds]  # when it is restored, the others are there too
        held_out = self._held_out(self._chosen_index(paths), paths)
        held_out = held_out.tempered(fit_temperature(held_out.logits, held_out.y))
        n_rows = len(self._rows)
        y = held_out.y[:n_rows]
        kept = np.ones(n_rows, bool)
        kept[find_label_errors(np.exp(held_out.log_probabilities[:n_rows]), y).rows] = False
        # A class is never left without a row.
        self._kept = kept | ~np.isin(y, y[kept])
        if self._whitenings is not None:
            self._whitenings = self._whitened()

    def _cross_validate(self, fold: int) -> Progress:
        kept, held_out = self._division(fold)
        mapping = self._mapping(fold)
        rows = mapping.apply(kept)
        start, path, scores = self._zeros(), [], []
        losses: dict[str, float] = {}
        for l2_per_row in L2_PER_ROW:
            solution = solve(
                rows,
                l2_per_row=l2_per_row,
                start=start,
                loss=self._config.loss,
                tolerance=_GRID_TOLERANCE,
                max_iterations=_GRID_ITERATIONS,
            )
            start, losses = solution.coefficients, solution.losses
            path.append(mapping.back(start))
            logits = linear(path[-1], held_out.x)
            scores.append(
                score_logits(logits, held_out.y)
                | {"held_out": row_losses(logits, held_out.y, self._config.loss).mean().item()}
            )
            if len(scores) > 1 and scores[-1]["held_out"] > scores[-2]["held_out"] + _RISE:
                break
        self._paths.append(torch.stack(path))
        best = min(range(len(scores)), key=lambda index: scores[index]["held_out"])
        validation = {name: scores[best][name] for name in _SCORES}
        return Progress(losses=losses, l2=L2_PER_ROW[best] * len(self._rows), validation=validation)

    def _final(self) -> Progress:
        l2 = self._chosen()
        mapping = self._mapping(None)
        start = self._zeros()
        if self._paths:  # the folds' mean is near the solution
            index = self._chosen_index(self._last_paths)
            start = torch.stack([_of(path, index) for path in self._last_paths]).mean(0)
        rows = self._rows
        if not self._kept.all():
            rows = rows.take(torch.from_numpy(np.flatnonzero(self._kept)))
        solution = solve(
            mapping.apply(rows),
            l2_per_row=l2 / len(rows),
            start=mapping.forth(start),
            loss=self._config.loss,
        )
        turned = mapping.back(solution.coefficients)
        with torch.no_grad():
            self._fill(self._axes.back(turned.double()))
        validation = None
        if self._validation is not None:
            validation = score_logits(linear(turned, self._validation.x), self._validation.y)
        return Progress(losses=solution.losses, l2=l2, validation=validation)

    def _fill(self, coefficients: Tensor) -> None:
        """Write coefficients (c, d + 1) for the scaled rows into the network."""
        if self._whitenings is not None:
            whitening = self._whitenings.whole()
            assert whitening.weight is not None and whitening.bias is not None  # noqa: S101, PT018
            _fill(self.network.transform, whitening.weight, whitening.bias)
            coefficients = whitening.forth(coefficients)
        _fill(self.network.classifier, coefficients[:, :-1], coefficients[:, -1])

    def _division(self, fold: int) -> tuple[LabelledRows, LabelledRows]:
        kept = np.flatnonzero((self._folds != fold) & self._kept)
        held_out = np.flatnonzero(self._folds == fold)
        take = self._rows.take
        return take(torch.from_numpy(kept)), take(torch.from_numpy(held_out))

    def _whitened(self) -> Whitenings:
        folds = self._folds if self._n_folds else np.zeros(len(self._rows), np.int64)
        return Whitenings(
            self._rows,
            [
                torch.from_numpy(np.flatnonzero((folds == fold) & self._kept))
                for fold in range(max(1, self._n_folds))
            ],
            n_classes=self.network.classifier.out_features,
            shrinkage=self._config.shrinkage,
            axes=self._axes,
        )

    def _mapping(self, fold: int | None) -> Affine:
        """To the rows that are solved on without this fold, or on all rows."""
        return self._whitenings.without(fold) if self._whitenings else Affine(None, None)

    def _zeros(self) -> Tensor:
        x = self._rows.x
        return torch.zeros(self.network.classifier.out_features, x.shape[1] + 1, device=x.device)

    def _chosen(self) -> float:
        if self._config.l2 is not None:
            return self._config.l2
        if not len(self._folds):
            return FALLBACK_L2_PER_ROW * len(self._rows)
        return L2_PER_ROW[self._chosen_index(self._last_paths)] * int(self._kept.sum())

    @property
    def _last_paths(self) -> list[Tensor]:
        return self._paths[-self._n_folds :]

    def _chosen_index(self, paths: list[Tensor]) -> int:
        """The strongest penalty within one standard error of the best accuracy.

        Of the accuracy for the probes of clean labels. Of the difference on the same rows, which is
        smaller, for those of wrong labels: there one of the accuracy takes penalties that are too
        strong, and elsewhere one of the difference won nothing (docs/inside/method.md).
        """
        counted = np.concatenate([self._kept, np.ones(len(self._validation or ()), bool)])
        correct = np.stack(
            [self._held_out(index, paths).correct for index in range(max(map(len, paths)))]
        )[:, counted].astype(np.float64)
        accuracies = correct.mean(axis=1)
        best = accuracies.argmax()
        if self._config.trim or self._config.loss == "gce":
            spread = (correct[best] - correct).std(axis=1)
        else:
            spread = correct[best].std()
        enough = accuracies[best] - spread / np.sqrt(correct.shape[1])
        return int(np.argmax(accuracies >= enough))

    def held_out(self) -> HeldOut | None:
        if not self._paths:
            return None
        return self._held_out(self._chosen_index(self._last_paths), self._last_paths)

    def _held_out(self, index: int, paths: list[Tensor]) -> HeldOut:
        """The held-out predictions of the folds' models with one penalty."""
        logits = torch.empty(len(self._rows), len(self._zeros()), device=self._rows.x.device)
        for fold, path in enumerate(paths):
            at = torch.from_numpy(np.flatnonzero(self._folds == fold)).to(logits.device)
            logits[at] = linear(_of(path, index), self._rows.x[at])
        y = self._rows.y
        if self._validation is not None:
            mean = torch.stack([_of(path, index) for path in paths]).mean(0)
            logits = torch.cat([logits, linear(mean, self._validation.x)])
            y = torch.cat([y, self._validation.y])
        return HeldOut(logits=logits.cpu().numpy(), y=y.cpu().numpy(), n_train_rows=len(self._rows))

    def notes(self) -> list[str]:
        if self._config.l2 is not None:
            return []
        if not len(self._folds):
            return [
                f"{len(self._rows)} training rows are too few to choose l2 by cross-validation (it "
                f"takes {FEWEST_ROWS}), so l2 = {self._chosen():g} was used. Add rows, or set l2."
            ]
        return [
            f"l2 = {self._chosen():g} was chosen by cross-validation ({self._n_folds} folds) as "
            f"the strongest of {max(map(len, self._last_paths))} values whose accuracy is within "
            "one standard error of the best.",
            *self._trimmed(),
        ]

    def _trimmed(self) -> list[str]:
        if not self._config.trim:
            return []
        n_dropped = int((~self._kept).sum())
        return [
            f"{n_dropped:,} of {len(self._rows):,} training rows were left out, because the "
            "cross-validation contradicts their label."
        ]

    def settings(self) -> dict[str, Any]:
        return {"l2": self._chosen()}

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        tensors = {f"path{fold}": path for fold, path in enumerate(self._paths)}
        return {}, tensors | {
            f"network.{name}": tensor for name, tensor in self.network.state_dict().items()
        }

    def restore(self, epoch: int, document: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        if document:
            raise ValueError("a probe's state holds only tensors")
        n_folds = min(epoch, self.n_epochs - 1)
        paths = [tensors.pop(f"path{fold}") for fold in range(n_folds)]
        for path in paths:
            if path.ndim != 3 or not 1 <= len(path) <= len(L2_PER_ROW):
                raise ValueError("a path of penalties has the wrong shape")
            check_layout({"path": path[0]}, {"path": self._zeros()})
        expected = {f"network.{name}": one for name, one in self.network.state_dict().items()}
        check_layout(tensors, expected)
        self.network.load_state_dict(
            {name.removeprefix("network."): tensor for name, tensor in tensors.items()}
        )
        self._paths = [path.to(self._rows.x.device) for path in paths]
        if n_folds > self._n_folds:
            self._trim(self._n_folds)


_SCORES = ("loss", "loss_standard_error", "accuracy")


def _of(path: Tensor, index: int) -> Tensor:
    """The coefficients of a penalty, or of the weakest one tried if it is weaker still."""
    return path[min(index, len(path) - 1)]


def _turned(rows: LabelledRows, axes: Axes) -> LabelledRows:
    return LabelledRows(axes.turn(rows.x), rows.y, rows.weight)


def _fill(module: nn.Module, weight: Tensor, bias: Tensor) -> None:
    assert isinstance(module, nn.Linear)  # noqa: S101  # by the config's transform
    module.weight.copy_(weight)
    module.bias.copy_(bias)
