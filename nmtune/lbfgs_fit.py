"""The home of the linear probe: L2-penalised logistic regression solved with L-BFGS."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from nmtune.config import TuneConfig
from nmtune.network import Network
from nmtune.procedure import LabelledRows, Progress, score
from nmtune.split import stratified_split
from nmtune.tensor_file import check_layout

L2_GRID = (1e4, 1e3, 3e2, 1e2, 3e1, 1e1, 1e0)
"""The penalties tried when config.l2 is None, strong to weak, for entries of mean square 1."""

FALLBACK_L2 = 3e1
"""The penalty when there are too few rows to hold any out, likewise."""

HELD_OUT_FRACTION = 0.1
SMALLEST_HELD_OUT = 10
"""Rows; fewer say too little of a penalty to choose by them."""

_MAX_ITERATIONS = 500
_GRID_TOLERANCE = 1e-4
_TOLERANCE = 1e-6
"""The largest entry of the gradient (per row) at which a solution is good enough."""

_LOGITS_AT_A_TIME = 1 << 23


class LbfgsFit:
    """Minimises sum of cross-entropies + l2 / 2 * ||W||^2 over all rows; the bias is free.

    With config.l2 given there is one epoch: the solution. With None there is one epoch for each
    penalty of L2_GRID, each started from the solution before, scored on the validation rows or
    else on a stratified tenth of the training rows; and a last epoch on all training rows with
    the penalty chosen: the strongest whose held-out log loss is within one standard error of the
    least (Breiman et al. 1984; Hastie et al. 2009, section 7.10). Log loss and not accuracy, of
    which a tenth of a small set has too few rows to tell penalties apart, and which ignores what
    the probabilities are worth. Not the least itself: once a set is separable its log loss is flat
    in the penalty, and chance would pick a weak one, which costs accuracy on other domains.
    """

    def __init__(
        self,
        network: Network,
        rows: LabelledRows,
        *,
        config: TuneConfig,
        validation: LabelledRows | None,
    ) -> None:
        self.network = network
        self._rows = rows
        self._validation = validation
        self._kept, self._held_out = rows, validation
        self._fixed = config.l2
        self._is_fallback = False
        self._grid = () if config.l2 is not None else L2_GRID
        if self._grid and validation is None:
            self._hold_out(config.seed)
        self.n_epochs = len(self._grid) + 1
        self._scores: list[dict[str, float]] = []
        # The objective is convex: the start is not a choice, and 0 is the penalty's own optimum.
        for parameter in network.parameters():
            torch.nn.init.zeros_(parameter)

    def _hold_out(self, seed: int) -> None:
        labels = self._rows.y.cpu().numpy()
        kept, held_out = stratified_split(labels, fraction=HELD_OUT_FRACTION, seed=seed)
        if len(held_out) < SMALLEST_HELD_OUT:
            self._grid = ()
            self._fixed = FALLBACK_L2
            self._is_fallback = True
            return
        self._kept = self._rows.take(torch.from_numpy(kept))
        self._held_out = self._rows.take(torch.from_numpy(held_out))

    def run(self, epoch: int) -> Progress:
        if epoch == self.n_epochs or self._held_out is None:
            return self._final()
        l2 = self._grid[epoch - 1]
        losses = self._solve(self._kept, l2, tolerance=_GRID_TOLERANCE)
        self._scores.append(score(self.network, self._held_out))
        return Progress(losses=losses, l2=l2, validation=self._scores[-1])

    def _final(self) -> Progress:
        l2 = self._chosen()
        losses = self._solve(self._rows, l2, tolerance=_TOLERANCE)
        validation = score(self.network, self._validation) if self._validation else None
        return Progress(losses=losses, l2=l2, validation=validation)

    def _chosen(self) -> float:
        if self._fixed is not None:
            return self._fixed
        least = min(self._scores, key=lambda held_out: held_out["loss"])
        enough = least["loss"] + least["loss_standard_error"]
        return next(
            l2
            for l2, held_out in zip(self._grid, self._scores, strict=True)
            if held_out["loss"] <= enough
        )

    def _solve(self, rows: LabelledRows, l2: float, *, tolerance: float) -> dict[str, float]:
        """Minimise on rows from where the network stands; the losses at the end, per row."""
        weight = self.network.classifier.weight
        optimiser = torch.optim.LBFGS(
            self.network.parameters(),
            max_iter=_MAX_ITERATIONS,
            max_eval=2 * _MAX_ITERATIONS,
            tolerance_grad=tolerance,
            tolerance_change=1e-9,
            line_search_fn="strong_wolfe",
        )

        def objective() -> float:
            optimiser.zero_grad()
            # Per row, so that the tolerances mean the same for any number of rows.
            penalty = l2 / 2 * weight.double().square().sum() / len(rows)
            torch.autograd.backward(penalty)
            return self._cross_entropy(rows, backward=True) + penalty.item()

        self.network.train()
        optimiser.step(objective)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        cross_entropy = self._cross_entropy(rows, backward=False)
        penalty = l2 / 2 * weight.detach().double().square().sum().item() / len(rows)
        return {
            "total": cross_entropy + penalty,
            "cross_entropy": cross_entropy,
            "l2_penalty": penalty,
        }

    def _cross_entropy(self, rows: LabelledRows, *, backward: bool) -> float:
        """Mean cross-entropy, its gradient added to the parameters', a block of rows at a time."""
        block = max(1, _LOGITS_AT_A_TIME // self.network.classifier.out_features)
        total = torch.zeros((), dtype=torch.float64, device=rows.y.device)
        with torch.set_grad_enabled(backward):
            for start in range(0, len(rows), block):
                stop = start + block
                _, logits = self.network(rows.x[start:stop])
                # In float64: the line search compares values that differ in the eighth digit.
                y = rows.y[start:stop]
                part = functional.cross_entropy(logits.double(), y, reduction="sum") / len(rows)
                if backward:
                    torch.autograd.backward(part)
                total += part.detach()
        return total.item()

    def notes(self) -> list[str]:
        if self._is_fallback:
            return [
                f"Too few training rows ({len(self._rows)}) to hold out {SMALLEST_HELD_OUT} for "
                f"the choice of l2: {self._chosen():g} was taken. Give validation rows, or l2."
            ]
        if self._grid and self._held_out is not None:
            return [
                f"l2 = {self._chosen():g} was chosen on {len(self._held_out)} held-out rows: of "
                f"{len(self._grid)} values the strongest whose log loss is within one standard "
                "error of the least."
            ]
        return []

    def settings(self) -> dict[str, Any]:
        return {"l2": self._chosen()}

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        return {"scores": self._scores}, self.network.state_dict()

    def restore(self, epoch: int, document: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        scores = [
            {name: float(held_out[name]) for name in ("loss", "loss_standard_error", "accuracy")}
            for held_out in document["scores"]
        ]
        if len(scores) != min(epoch, len(self._grid)):
            raise ValueError("the number of penalties tried does not fit the epoch")
        check_layout(tensors, self.network.state_dict())
        self.network.load_state_dict(tensors)
        self._scores = scores
