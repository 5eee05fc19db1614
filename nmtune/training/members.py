"""Members trained side by side, each stopped by a fold of the rows that it never saw."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nmtune.config import TuneConfig
from nmtune.heads.network import Network
from nmtune.numeric.random_numbers import generator
from nmtune.numeric.tensor_file import check_layout, prefixed, sections
from nmtune.rows.folds import assign_folds
from nmtune.rows.held_out import HeldOut
from nmtune.training.optimiser import AdamW, Moments
from nmtune.training.procedure import Progress, score_logits
from nmtune.training.rows import LabelledRows

_STEPS_AT_MOST = 100
"""Steps per epoch: with many rows, a whole pass would be too long between two checks."""

_ROWS_WATCHED = 8192
"""Training rows checked after an epoch, each by the members that do not learn from it."""

_LEAST_GAIN = 1e-4

Weights = Mapping[str, Tensor]
"""The members' weights by name. Each tensor holds the first member's first, and so on."""


class FoldedFit(ABC):
    """Train K = n_bags * n_folds members side by side; an epoch is at most 100 steps.

    Each bag divides the training rows into folds anew, and each of its members learns from all
    folds but its own. A member keeps the weights with the least loss on its own fold and stops
    after `patience` epochs without a better one. So every row has members that never learnt from
    it; the mean of their logits is its out-of-fold prediction. The head is the mean of the members'
    logits, and its network holds their best weights side by side.

    All members see the same batches with the same inputs dropped, so that their first layers are
    one matrix product. Members that have stopped are taken out of it.
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
        self._rows, self._config, self._validation = rows, config, validation
        device, n_rows = rows.x.device, len(rows)
        # (K, n): whether a row is in a member's own fold, which it watches and does not learn from.
        self._own = _own_folds(rows, config, groups).to(device)
        self._batch = min(config.batch_size, n_rows)
        self._n_steps = min(_STEPS_AT_MOST, n_rows // self._batch)
        self.n_epochs = config.n_epochs(self._n_steps)
        is_watched = torch.zeros(n_rows, dtype=torch.bool)
        is_watched[torch.randperm(n_rows, generator=generator(config.seed, 0))[:_ROWS_WATCHED]] = 1
        self._watched = [(own & is_watched.to(device)).nonzero()[:, 0] for own in self._own]
        n_members = len(self._own)
        self._active = torch.arange(n_members, device=device)
        self._best = self._initial_weights(n_members)
        self._live = {name: tensor.clone() for name, tensor in self._best.items()}
        self._optimiser = self._optimise({})
        self._least = torch.full((n_members,), float("inf"), dtype=torch.float64, device=device)
        self._stale = torch.zeros(n_members, dtype=torch.int64, device=device)

    def _optimise(self, moments: Moments) -> AdamW:
        """An optimiser of the live weights that goes on with these moments."""
        for parameter in self._live.values():
            parameter.requires_grad_(True)
        return AdamW(
            self._live,
            learning_rate=self._config.learning_rate,
            weight_decay=self._config.weight_decay,
            moments=moments,
        )

    @abstractmethod
    def _initial_weights(self, n_members: int) -> dict[str, Tensor]:
        """Every member's initial weights, in float32 on the rows' device."""

    @abstractmethod
    def _training_logits(self, x: Tensor, learns: Tensor, masks: "Masks") -> Tensor:
        """Logits (K, b, c) of x (b, d) from the live weights of K members; learns (K, b): who
        learns from which row.
        """

    @abstractmethod
    def _member_logits(self, x: Tensor, member: int, weights: Weights) -> Tensor:
        """Logits (n, c) of x (n, d) from the member whose weights come at this place."""

    @abstractmethod
    def _publish(self) -> None:
        """Copy the best weights into the network, side by side."""

    def run(self, epoch: int) -> Progress:
        config, device = self._config, self._rows.x.device
        order = torch.randperm(len(self._rows), generator=generator(config.seed, epoch)).to(device)
        masks = Masks(np.random.default_rng((config.seed, epoch)), device)
        total = torch.zeros((), dtype=torch.float64, device=device)
        for step in range(self._n_steps):
            loss = self._loss(order[step * self._batch : (step + 1) * self._batch], masks)
            self._optimiser.descend(loss)
            total += loss.detach()
        mean = (total / self._n_steps / len(self._active)).item()
        with torch.no_grad():
            watching = self._watch()
            self._publish()
        self._take_out(self._stale[self._active] < config.patience)
        if not len(self._active):
            self.n_epochs = epoch
        return Progress(
            losses={"total": mean, "cross_entropy": mean},
            learning_rate=config.learning_rate,
            validation=watching,
        )

    def _loss(self, at: Tensor, masks: "Masks") -> Tensor:
        """The sum over members of the mean loss over the batch's rows that they learn from."""
        x = masks.drop(self._rows.x[at], self._config.input_dropout)
        learns = ~self._own[self._active[:, None], at]
        logits = self._training_logits(x, learns, masks)
        counts = learns.double()
        if self._rows.weight is not None:
            counts = counts * self._rows.weight[at]
        losses = functional.cross_entropy(
            logits.flatten(0, 1), self._rows.y[at].repeat(len(logits)), reduction="none"
        )
        losses = losses.view(len(logits), -1).double() * counts
        return (losses.sum(1) / learns.sum(1).clamp_min(1)).sum()

    def _watch(self) -> dict[str, float]:
        """Keep what improved on its own fold; score the members there, pooled."""
        active = self._active
        watched = [self._watched[member] for member in active.tolist()]
        logits, losses = self._out_of_fold(watched, self._live)
        is_better = losses < self._least[active] - _LEAST_GAIN
        better = active[is_better]
        self._least[better] = losses[is_better]
        self._stale[active] += 1
        self._stale[better] = 0
        for name, tensor in self._best.items():
            live = _by_member(self._live[name].detach(), len(active))
            _by_member(tensor, len(self._own))[better] = live[is_better]
        seen = torch.unique(torch.cat(watched))
        return score_logits(logits[seen], self._rows.y[seen])

    def _take_out(self, is_kept: Tensor) -> None:
        """Go on with these (K,) of the active members only."""
        if bool(is_kept.all()):
            return

        def kept(tensor: Tensor) -> Tensor:
            return _by_member(tensor, len(is_kept))[is_kept].flatten(0, 1)

        moments = {
            name: {
                moment: one if moment == "step" else kept(one)
                for moment, one in of_parameter.items()
            }
            for name, of_parameter in self._optimiser.moments.items()
        }
        self._live = {name: kept(one.detach()) for name, one in self._live.items()}
        self._active = self._active[is_kept]
        self._optimiser = self._optimise(moments)

    def _out_of_fold(self, held: list[Tensor], weights: Weights) -> tuple[Tensor, Tensor]:
        """Each row's mean logits (n, c) over the members that hold it, and their losses (K,).

        held: for each member, some rows of its own fold. Rows that nobody holds get zeros.
        """
        rows, n_members = self._rows, len(held)
        n_classes = self.network.classifier.out_features
        logits = torch.zeros(len(rows), n_classes, device=rows.x.device)
        n_held = torch.zeros(len(rows), 1, device=rows.x.device)
        losses = torch.zeros(n_members, dtype=torch.float64, device=rows.x.device)
        for member, at in enumerate(held):
            for start in range(0, len(at), _ROWS_WATCHED):
                part = at[start : start + _ROWS_WATCHED]
                of_part = self._member_logits(rows.x[part], member, weights)
                logits[part] += of_part
                n_held[part] += 1
                of_rows = functional.cross_entropy(of_part, rows.y[part], reduction="none").double()
                losses[member] += (
                    of_rows.sum() if rows.weight is None else of_rows @ rows.weight[part].double()
                )
            weight = len(at) if rows.weight is None else float(rows.weight[at].double().sum())
            losses[member] /= max(weight, 1e-12)
        return logits / n_held.clamp_min(1), losses

    def held_out(self) -> HeldOut | None:
        with torch.no_grad():
            own = [one.nonzero()[:, 0] for one in self._own]
            logits, _ = self._out_of_fold(own, self._best)
            y = self._rows.y
            if self._validation is not None:
                x = self._validation.x
                members = range(len(self._own))
                each = [self._member_logits(x, one, self._best) for one in members]
                logits = torch.cat([logits, torch.stack(each).mean(0)])
                y = torch.cat([y, self._validation.y])
        n_rows = len(self._rows)
        return HeldOut(logits=logits.cpu().numpy(), y=y.cpu().numpy(), n_train_rows=n_rows)

    def notes(self) -> list[str]:
        if not len(self._active):
            return []
        return [
            f"{len(self._active)} of {len(self._own)} ensemble members were still "
            "improving after the last epoch: more epochs may help."
        ]

    def settings(self) -> dict[str, Any]:
        return {}

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        tensors = prefixed("live", self._live) | prefixed("best", self._best)
        tensors |= {"members.least": self._least, "members.stale": self._stale}
        tensors |= prefixed("optimiser", self._optimiser.state())
        return {"n_epochs": self.n_epochs}, tensors

    def restore(self, epoch: int, document: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        stale = tensors["members.stale"]
        check_layout({"stale": stale}, {"stale": self._stale})
        self._stale = stale.to(self._stale.device)
        self._take_out(self._stale < self._config.patience)
        live, best, members, optimiser = sections(tensors, "live", "best", "members", "optimiser")
        # Before the first epoch the losses are infinite, which the layout's check would refuse.
        least = members.pop("least")
        check_layout({"least": least.nan_to_num(0, 0)}, {"least": self._least})
        check_layout(members, {"stale": self._stale})
        check_layout(live, self._live)
        check_layout(best, self._best)
        self._optimiser.restore(optimiser, is_begun=epoch > 0)
        with torch.no_grad():
            for name in self._live:
                self._live[name].copy_(live[name])
                self._best[name].copy_(best[name])
            self._publish()
        self._least = least.to(self._least.device)
        self.n_epochs = int(document["n_epochs"])


def _by_member(tensor: Tensor, n_members: int) -> Tensor:
    """The tensor with a dimension of members in front."""
    return tensor.view(n_members, tensor.shape[0] // n_members, *tensor.shape[1:])


class Masks:
    """Dropout, and drawn columns, from one generator: the same on every device and on a restart.

    Dropout draws one byte per entry, so shares are exact to 1/256; wider numbers took a quarter of
    a step.
    """

    def __init__(self, random: np.random.Generator, device: torch.device) -> None:
        self._random, self._device = random, device

    def drop(self, x: Tensor, share: float) -> Tensor:
        n_dropped = round(256 * share)
        if not n_dropped:
            return x
        drawn = self._random.integers(0, 256, size=tuple(x.shape), dtype=np.uint8)
        mask = torch.from_numpy(drawn >= n_dropped).to(self._device, torch.float32)
        return x * mask.mul_(256 / (256 - n_dropped))

    def columns(self, n_columns: int, most: int) -> Tensor:
        """Up to `most` different columns, drawn evenly."""
        drawn = self._random.permutation(n_columns)[:most]
        return torch.from_numpy(drawn).to(self._device)


def _own_folds(rows: LabelledRows, config: TuneConfig, groups: NDArray[Any] | None) -> Tensor:
    """(K, n): whether a row is in the member's own fold."""
    y = rows.y.cpu().numpy()
    own = []
    for bag in range(config.n_bags):
        seed = int(np.random.SeedSequence((config.seed, bag)).generate_state(1)[0])
        # There may be more groups than members, and fewer rows.
        folds = assign_folds(y, n_folds=config.n_folds, seed=seed, groups=groups) % config.n_folds
        own += [folds == fold % (folds.max() + 1) for fold in range(config.n_folds)]
    return torch.from_numpy(np.stack(own))
