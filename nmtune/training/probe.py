"""Linear probes: L2-penalised logistic regression with a cross-validated penalty."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nmtune.config import TuneConfig
from nmtune.heads.network import Network
from nmtune.numeric.tensor_file import check_layout
from nmtune.rows.folds import assign_folds
from nmtune.rows.held_out import HeldOut
from nmtune.training.logistic import linear, row_losses, solve
from nmtune.training.procedure import Progress, score, score_logits
from nmtune.training.rows import LabelledRows
from nmtune.training.whitening import fit_whitening

L2_PER_ROW = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4)
"""The penalties tried if config.l2 is None, divided by the number of rows, strong to weak."""

FALLBACK_L2_PER_ROW = 0.1
"""The penalty for too few rows to cross-validate, divided by the number of rows."""

FEWEST_ROWS = 20
"""Rows; fewer are not enough to choose a penalty by."""

_RISE = 1e-6
_GRID_TOLERANCE = 1e-4
_GRID_ITERATIONS = 100
_TOLERANCE = 1e-6


class ProbeFit:
    """Minimise the sum of losses + l2 / 2 * ||W||^2 over all rows; the bias is free.

    With config.l2 given, there is one epoch: the solution. With None, each fold of the training
    rows is an epoch: the penalties are tried from strong to weak, each started from the solution
    before and scored on the fold. Once the held-out loss rises, weaker ones are skipped and count
    as the last one tried.
    The last epoch fits all training rows with the chosen penalty: the strongest whose held-out
    accuracy, over all folds and the validation rows, is within one standard error of the best
    (Breiman et al. 1984; Hastie et al. 2009, section 7.10). On a separable set the loss is flat in
    the penalty, and chance would pick a weak one, which costs accuracy on other domains.

    With transform `whiten`, each fold is whitened by its own training part.
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
        self._rows = rows
        self._config = config
        self._validation = validation
        self._folds = np.zeros(0, np.int64)
        if config.l2 is None and len(rows) >= FEWEST_ROWS:
            labels = rows.y.cpu().numpy()
            self._folds = assign_folds(
                labels, n_folds=config.n_folds, seed=config.seed, groups=groups
            )
        n_folds = int(self._folds.max()) + 1 if len(self._folds) else 0
        self.n_epochs = n_folds + 1
        # Per fold: the coefficients (n_penalties, c, d + 1) of each penalty on the scaled rows.
        self._paths: list[Tensor] = []
        # The objective is convex, so any start will do; 0 is the optimum of the penalty alone.
        for parameter in network.classifier.parameters():
            nn.init.zeros_(parameter)

    def run(self, epoch: int) -> Progress:
        return self._final() if epoch == self.n_epochs else self._cross_validate(epoch - 1)

    def _cross_validate(self, fold: int) -> Progress:
        kept, held_out = self._division(fold)
        whitening = self._whitening(kept)
        rows = _mapped(kept, whitening)
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
            path.append(_composed(start, whitening))
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
        whitening = self._whitening(self._rows)
        solution = solve(
            _mapped(self._rows, whitening),
            l2_per_row=l2 / len(self._rows),
            start=self._zeros(),
            loss=self._config.loss,
            tolerance=_TOLERANCE,
        )
        with torch.no_grad():
            if whitening is not None:
                _fill(self.network.transform, *whitening)
            coefficients = solution.coefficients
            _fill(self.network.classifier, coefficients[:, :-1], coefficients[:, -1])
        validation = score(self.network, self._validation) if self._validation else None
        return Progress(losses=solution.losses, l2=l2, validation=validation)

    def _division(self, fold: int) -> tuple[LabelledRows, LabelledRows]:
        kept, held_out = np.flatnonzero(self._folds != fold), np.flatnonzero(self._folds == fold)
        take = self._rows.take
        return take(torch.from_numpy(kept)), take(torch.from_numpy(held_out))

    def _whitening(self, rows: LabelledRows) -> tuple[Tensor, Tensor] | None:
        if self._config.transform != "whiten":
            return None
        return fit_whitening(
            rows.x,
            rows.y,
            n_classes=self.network.classifier.out_features,
            shrinkage=self._config.shrinkage,
            weight=rows.weight,
        )

    def _zeros(self) -> Tensor:
        weight = self.network.classifier.weight
        return torch.zeros(len(weight), weight.shape[1] + 1, device=weight.device)

    def _chosen(self) -> float:
        if self._config.l2 is not None:
            return self._config.l2
        if not len(self._folds):
            return FALLBACK_L2_PER_ROW * len(self._rows)
        return L2_PER_ROW[self._chosen_index()] * len(self._rows)

    def _chosen_index(self) -> int:
        n_penalties = max(map(len, self._paths))
        accuracies = [self._held_out(index).accuracy for index in range(n_penalties)]
        best = max(accuracies)
        n_rows = len(self._rows) + len(self._validation or ())
        enough = best - np.sqrt(best * (1 - best) / n_rows)
        return next(index for index, value in enumerate(accuracies) if value >= enough)

    def held_out(self) -> HeldOut | None:
        return self._held_out(self._chosen_index()) if self._paths else None

    def _held_out(self, index: int) -> HeldOut:
        """The held-out predictions of the folds' models with one penalty."""
        logits = torch.empty(len(self._rows), len(self._zeros()), device=self._rows.x.device)
        for fold, path in enumerate(self._paths):
            at = torch.from_numpy(np.flatnonzero(self._folds == fold)).to(logits.device)
            logits[at] = linear(_of(path, index), self._rows.x[at])
        y = self._rows.y
        if self._validation is not None:
            mean = torch.stack([_of(path, index) for path in self._paths]).mean(0)
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
            f"l2 = {self._chosen():g} was chosen by cross-validation ({len(self._paths)} folds) as "
            f"the strongest of {max(map(len, self._paths))} values whose accuracy is within one "
            "standard error of the best."
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


_SCORES = ("loss", "loss_standard_error", "accuracy")


def _of(path: Tensor, index: int) -> Tensor:
    """The coefficients of a penalty, or of the weakest one tried if it is weaker still."""
    return path[min(index, len(path) - 1)]


def _mapped(rows: LabelledRows, whitening: tuple[Tensor, Tensor] | None) -> LabelledRows:
    if whitening is None:
        return rows
    weight, bias = whitening
    return LabelledRows(torch.addmm(bias, rows.x, weight.T), rows.y, rows.weight)


def _composed(coefficients: Tensor, whitening: tuple[Tensor, Tensor] | None) -> Tensor:
    """The coefficients for the rows before whitening."""
    if whitening is None:
        return coefficients
    weight, bias = whitening
    classifier = coefficients[:, :-1]
    shifted = coefficients[:, -1:] + classifier @ bias[:, None]
    return torch.cat([classifier @ weight, shifted], dim=1)


def _fill(module: nn.Module, weight: Tensor, bias: Tensor) -> None:
    assert isinstance(module, nn.Linear)  # noqa: S101  # by the config's transform
    module.weight.copy_(weight)
    module.bias.copy_(bias)
