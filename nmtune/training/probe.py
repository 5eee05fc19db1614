"""Linear probes: L2-penalised logistic regression with a cross-validated penalty."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nmtune.config import TuneConfig
from nmtune.heads.network import Network
from nmtune.heads.temperature import fit_temperature
from nmtune.numeric.tensor_file import check_layout, prefixed, sections
from nmtune.rows.folds import assign_folds
from nmtune.rows.held_out import HeldOut
from nmtune.study.label_errors import find_label_errors
from nmtune.training.axes import Axes
from nmtune.training.logistic import Problems, linear, row_losses, solve
from nmtune.training.procedure import Progress, score_logits
from nmtune.training.rows import LabelledRows
from nmtune.training.whitening import Maps, Whitenings

L2_PER_ROW = (30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4)
"""The penalties tried if config.l2 is None, divided by the number of rows, strong to weak."""

FALLBACK_L2_PER_ROW = 0.1
"""The penalty for too few rows to cross-validate, divided by the number of rows."""

FEWEST_ROWS = 20
"""Rows; fewer are not enough to choose a penalty by."""

_RISE = 1e-6
_GRID_TOLERANCE = 1e-4
"""Nats per row: a fortieth of the standard error of a held-out log loss on 3,000 rows."""
_GRID_ITERATIONS = 100


class ProbeFit:
    """Minimise the sum of losses + l2 / 2 * ||W||^2 over all rows; the bias is free.

    With config.l2 given, there is one epoch: the solution. With None, each penalty is an epoch,
    from strong to weak: the solutions without each fold of the training rows are found side by
    side, started from those of the penalties before, and scored on the folds. Once the held-out
    loss rises, weaker ones are left out.
    The last epoch fits all training rows with the chosen penalty: the strongest whose held-out
    accuracy, over all folds and the validation rows, is within one standard error of the best
    (Breiman et al. 1984; Hastie et al. 2009, section 7.10). On a separable set the loss is flat in
    the penalty, and chance would pick a weak one, which costs accuracy on other domains.

    With config.trim, all penalties are then tried again, on the rows whose label the
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
        self._n_folds = int(self._folds.max()) + 1 if len(self._folds) else 0
        n_rounds = (1 + config.trim) if self._n_folds else 0
        self.n_epochs = n_rounds * len(L2_PER_ROW) + 1
        self._rounds_to_come = n_rounds
        self._rounds: list[list[_Tried]] = []
        self._begin_round(np.ones(len(rows), bool))
        # The objective is convex, so any start will do; 0 is the optimum of the penalty alone.
        for parameter in network.classifier.parameters():
            nn.init.zeros_(parameter)

    def _begin_round(self, kept: NDArray[np.bool_]) -> None:
        """Try the penalties from the start, on these (n,) of the rows."""
        self._kept = kept
        self._whitenings = self._whitened() if self._config.transform == "whiten" else None
        if self._rounds_to_come:
            self._rounds_to_come -= 1
            self._rounds.append([])
            self._problems = self._without_each_fold()

    def run(self, epoch: int) -> Progress:
        if epoch == self.n_epochs:
            return self._final()
        progress, is_last = self._try_next()
        if is_last:
            self._end_round(epoch)
        return progress

    def _end_round(self, epoch: int) -> None:
        self.n_epochs = epoch + self._rounds_to_come * len(L2_PER_ROW) + 1
        if self._rounds_to_come:
            self._begin_round(self._trimmed_rows())

    def _trimmed_rows(self) -> NDArray[np.bool_]:
        """(n,): the rows whose label the cross-validation does not contradict."""
        held_out = self._held_out(self._chosen_index())
        held_out = held_out.tempered(fit_temperature(held_out.logits, held_out.y))
        n_rows = len(self._rows)
        y = held_out.y[:n_rows]
        kept = np.ones(n_rows, bool)
        kept[find_label_errors(np.exp(held_out.log_probabilities[:n_rows]), y).rows] = False
        # A class is never left without a row.
        return kept | ~np.isin(y, y[kept])

    def _try_next(self) -> tuple[Progress, bool]:
        """Solve for the next penalty; whether it is the round's last."""
        tried = self._rounds[-1]
        l2_per_row = L2_PER_ROW[len(tried)]
        solution = solve(
            self._problems,
            l2_per_row=l2_per_row,
            start=self._start(),
            tolerance=_GRID_TOLERANCE,
            max_iterations=_GRID_ITERATIONS,
        )
        tried.append(self._judged(solution.mapped))
        scores = tried[-1].scores
        progress = Progress(
            losses=solution.losses,
            l2=l2_per_row * len(self._rows),
            validation={name: scores[name] for name in _SCORES},
        )
        return progress, self._is_over()

    def _is_over(self) -> bool:
        tried = self._rounds[-1]
        losses = [one.scores["held_out"] for one in tried[-2:]]
        return len(tried) == len(L2_PER_ROW) or losses[-1] > losses[0] + _RISE

    def _start(self) -> Tensor:
        """Where the solutions for the next penalty probably are, for mapped rows.

        As far from those of the penalty before as these are from the ones before them: that saves a
        third of the steps.
        """
        last = [one.mapped for one in self._rounds[-1][-2:]]
        if not last:
            return torch.stack([self._zeros()] * self._n_folds)
        return 2 * last[-1] - last[0]

    def _judged(self, mapped: Tensor) -> "_Tried":
        """The solutions of one penalty, scored on the rows that each was found without."""
        coefficients = self._problems.maps.back(mapped)
        logits, y = self._out_of_fold(coefficients), self._rows.y
        scores = score_logits(logits, y)
        scores["held_out"] = row_losses(logits, y, self._config.loss).mean().item()
        correct = logits.argmax(dim=1) == y
        if self._validation is not None:
            found = linear(coefficients.mean(0), self._validation.x).argmax(dim=1)
            correct = torch.cat([correct, found == self._validation.y])
        return _Tried(mapped=mapped, scores=scores, correct=correct.cpu().numpy())

    def _final(self) -> Progress:
        l2 = self._chosen()
        start = self._zeros()[None]
        if self._rounds:  # the folds' mean is near the solution
            start = self._rounds[-1][self._chosen_index()].mapped.mean(0, keepdim=True)
        solution = solve(
            self._on_all_rows(),
            l2_per_row=l2 / int(self._kept.sum()),
            start=start,
        )
        (turned,) = solution.coefficients
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
            _fill(self.network.transform, whitening.weight, whitening.bias)
            coefficients = whitening.forth(coefficients)
        _fill(self.network.classifier, coefficients[:, :-1], coefficients[:, -1])

    def _without_each_fold(self) -> Problems:
        folds = [(self._folds != fold) & self._kept for fold in range(self._n_folds)]
        return self._problem(folds, list(range(self._n_folds)))

    def _on_all_rows(self) -> Problems:
        return self._problem([self._kept], [None])

    def _problem(self, learns: list[NDArray[np.bool_]], left_out: list[int | None]) -> Problems:
        """A regression on each of these (n,) rows, whitened without the fold that is left out."""
        rows, whitenings = self._rows, self._whitenings
        share = torch.from_numpy(np.stack(learns)).to(rows.x.device, torch.float32)
        share /= share.sum(1, keepdim=True)
        if rows.weight is not None:
            share *= rows.weight
        maps = Maps()
        if whitenings is not None:
            maps = Maps.of_each([whitenings.without(fold) for fold in left_out])
        return Problems(
            rows=rows,
            share=share,
            maps=maps,
            squares=self._axes.variances if whitenings is None else whitenings.variances,
            loss=self._config.loss,
        )

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

    def _zeros(self) -> Tensor:
        x = self._rows.x
        return torch.zeros(self.network.classifier.out_features, x.shape[1] + 1, device=x.device)

    def _chosen(self) -> float:
        if self._config.l2 is not None:
            return self._config.l2
        if not self._rounds:
            return FALLBACK_L2_PER_ROW * len(self._rows)
        return L2_PER_ROW[self._chosen_index()] * int(self._kept.sum())

    def _chosen_index(self) -> int:
        """The strongest penalty of the last round within one standard error of the best accuracy.

        Of the accuracy for the probes of clean labels. Of the difference on the same rows, which is
        smaller, for those of wrong labels: there one of the accuracy takes penalties that are too
        strong, and elsewhere one of the difference won nothing (docs/inside/method.md).
        """
        counted = np.concatenate([self._kept, np.ones(len(self._validation or ()), bool)])
        correct = np.stack([one.correct for one in self._rounds[-1]])
        correct = correct[:, counted].astype(np.float64)
        accuracies = correct.mean(axis=1)
        best = accuracies.argmax()
        if self._config.trim or self._config.loss == "gce":
            spread = (correct[best] - correct).std(axis=1)
        else:
            spread = correct[best].std()
        enough = accuracies[best] - spread / np.sqrt(correct.shape[1])
        return int(np.argmax(accuracies >= enough))

    def held_out(self) -> HeldOut | None:
        return self._held_out(self._chosen_index()) if self._rounds else None

    def _held_out(self, index: int) -> HeldOut:
        """The held-out predictions of the last round's models with one penalty."""
        coefficients = self._problems.maps.back(self._rounds[-1][index].mapped)
        logits, y = self._out_of_fold(coefficients), self._rows.y
        if self._validation is not None:
            logits = torch.cat([logits, linear(coefficients.mean(0), self._validation.x)])
            y = torch.cat([y, self._validation.y])
        return HeldOut(logits=logits.cpu().numpy(), y=y.cpu().numpy(), n_train_rows=len(self._rows))

    def _out_of_fold(self, coefficients: Tensor) -> Tensor:
        """Logits (n, c) of each row by the coefficients (K, c, r + 1) found without its fold."""
        x = self._rows.x
        logits = torch.empty(len(x), coefficients.shape[1], device=x.device)
        for fold, without in enumerate(coefficients):
            at = torch.from_numpy(np.flatnonzero(self._folds == fold)).to(x.device)
            logits[at] = linear(without, x[at])
        return logits

    def notes(self) -> list[str]:
        if self._config.l2 is not None:
            return []
        if not self._rounds:
            return [
                f"{len(self._rows)} training rows are too few to choose l2 by cross-validation (it "
                f"takes {FEWEST_ROWS}), so l2 = {self._chosen():g} was used. Add rows, or set l2."
            ]
        return [
            f"l2 = {self._chosen():g} was chosen by cross-validation ({self._n_folds} folds) as "
            f"the strongest of {len(self._rounds[-1])} values whose accuracy is within "
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
        tensors = {
            f"round{index}.{at}": one.mapped
            for index, tried in enumerate(self._rounds)
            for at, one in enumerate(tried)
        }
        document = {"n_tried": [len(tried) for tried in self._rounds], "n_epochs": self.n_epochs}
        return document, tensors | prefixed("network", self.network.state_dict())

    def restore(self, epoch: int, document: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        n_tried = [int(one) for one in document["n_tried"]]
        if len(n_tried) > 1 + self._config.trim or any(n > len(L2_PER_ROW) for n in n_tried):
            raise ValueError("there are more solutions than penalties")
        for index, n in enumerate(n_tried):
            for at in range(n):
                mapped = tensors.pop(f"round{index}.{at}")
                check_layout({"mapped": mapped}, {"mapped": self._start()})
                self._rounds[index].append(self._judged(mapped.to(self._rows.x.device)))
            if index + 1 < len(n_tried):
                self._end_round(epoch)
        (of_network,) = sections(tensors, "network")
        check_layout(of_network, self.network.state_dict())
        self.network.load_state_dict(of_network)
        self.n_epochs = int(document["n_epochs"])


@dataclass(frozen=True, kw_only=True, eq=False)
class _Tried:
    """One penalty: the solutions (K, c, r + 1) without each fold, for rows as each was mapped.

    scores: on the rows held out. correct: whether each of them, and of the validation rows, was
    predicted right.
    """

    mapped: Tensor
    scores: dict[str, float]
    correct: NDArray[np.bool_]


_SCORES = ("loss", "loss_standard_error", "accuracy")


def _turned(rows: LabelledRows, axes: Axes) -> LabelledRows:
    return LabelledRows(axes.turn(rows.x), rows.y, rows.weight)


def _fill(module: nn.Module, weight: Tensor, bias: Tensor) -> None:
    assert isinstance(module, nn.Linear)  # noqa: S101  # by the config's transform
    module.weight.copy_(weight)
    module.bias.copy_(bias)
