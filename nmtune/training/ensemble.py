"""An ensemble: small MLPs trained side by side, each stopped by rows that it never saw."""

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
from nmtune.training.procedure import Progress, score_logits
from nmtune.training.rows import LabelledRows

_STEPS_AT_MOST = 100
"""Steps per epoch: with many rows, a whole pass would be too long between two checks."""

_ROWS_WATCHED = 8192
"""Training rows checked after an epoch, each by the members that do not learn from it."""

_LEAST_GAIN = 1e-4
_PARAMETERS = ("hidden_weight", "hidden_bias", "out_weight", "out_bias")
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class EnsembleFit:
    """Average K = n_bags * n_folds networks d - hidden_width - c; an epoch is at most 100 steps.

    Each bag divides the training rows into folds anew, and each of its members learns from all
    folds but its own. A member keeps the weights with the least loss on its own fold and stops
    after `patience` epochs without a better one. So every row has members that never learnt from
    it; their mean is its out-of-fold prediction.

    All members see the same batches with the same inputs dropped, so their hidden layers are one
    matrix product. The mean of the members' logits is, up to a constant, the mean of their
    log-probabilities, so the ensemble is itself one network: hidden layers side by side, and
    classifiers divided by K.
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
        self._own = _members(rows, config, groups).to(device)
        n_members = len(self._own)
        self._batch = min(config.batch_size, n_rows)
        self._n_steps = min(_STEPS_AT_MOST, n_rows // self._batch)
        self.n_epochs = config.n_epochs(self._n_steps)
        watched = torch.randperm(n_rows, generator=generator(config.seed, 0))[:_ROWS_WATCHED]
        self._watched = watched.sort().values.to(device)
        hidden, classifier = network.transform[0], network.classifier  # type: ignore[index]
        n_hidden, n_classes = config.hidden_width, classifier.out_features
        # From the bound of one layer of K * n_hidden inputs to that of K layers of n_hidden.
        out = classifier.weight.detach() * (n_members / 6) ** 0.5
        out = out.reshape(n_classes, n_members, n_hidden).permute(1, 2, 0)
        self._live: dict[str, Tensor] = {
            "hidden_weight": hidden.weight.detach().clone(),
            "hidden_bias": hidden.bias.detach().clone(),
            "out_weight": out.contiguous(),
            "out_bias": torch.zeros(n_members, 1, n_classes, device=device),
        }
        self._best = {name: tensor.clone() for name, tensor in self._live.items()}
        for parameter in self._live.values():
            parameter.requires_grad_(True)
        self._least = torch.full((n_members,), float("inf"), dtype=torch.float64, device=device)
        self._stale = torch.zeros(n_members, dtype=torch.int64, device=device)
        self._optimiser = torch.optim.AdamW(
            self._live.values(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=True,
        )

    def run(self, epoch: int) -> Progress:
        config, device = self._config, self._rows.x.device
        order = torch.randperm(len(self._rows), generator=generator(config.seed, epoch)).to(device)
        masks = _Masks(np.random.default_rng((config.seed, epoch)), device)
        total = torch.zeros((), dtype=torch.float64, device=device)
        for step in range(self._n_steps):
            at = order[step * self._batch : (step + 1) * self._batch]
            loss = self._loss(at, masks)
            self._optimiser.zero_grad()
            torch.autograd.backward(loss)
            self._optimiser.step()
            total += loss.detach()
        with torch.no_grad():
            watching = self._watch()
            self._publish()
        if bool((self._stale >= config.patience).all()):
            self.n_epochs = epoch
        mean = (total / self._n_steps / len(self._own)).item()
        return Progress(
            losses={"total": mean, "cross_entropy": mean},
            learning_rate=config.learning_rate,
            validation=watching,
        )

    def _loss(self, at: Tensor, masks: "_Masks") -> Tensor:
        """The sum over members of the mean loss over the batch's rows that they learn from."""
        config = self._config
        x = masks.drop(self._rows.x[at], config.input_dropout)
        hidden = self._hidden(x, self._live)
        logits = self._out(masks.drop(hidden, config.hidden_dropout), self._live)
        learns = (~self._own[:, at]).double()
        if self._rows.weight is not None:
            learns = learns * self._rows.weight[at]
        losses = _losses(logits, self._rows.y[at])
        n_learnt = (~self._own[:, at]).sum(1).clamp_min(1)
        return ((losses * learns).sum(1) / n_learnt).sum()

    def _watch(self) -> dict[str, float]:
        """Keep the members that improved on their own folds; score all of them there, pooled."""
        rows = self._rows.take(self._watched)
        own = self._own[:, self._watched]
        logits = self._forward(rows.x, self._live)
        weight = own.double() if rows.weight is None else own * rows.weight.double()
        losses = (_losses(logits, rows.y) * weight).sum(1) / weight.sum(1).clamp_min(1e-12)
        is_better = losses < self._least - _LEAST_GAIN
        # A member that has run out of patience is finished for good.
        is_better &= self._stale < self._config.patience
        self._least = torch.where(is_better, losses, self._least)
        self._stale = torch.where(is_better, 0, self._stale + 1)
        for name, tensor in self._best.items():
            by_member = tensor.view(len(is_better), -1)
            live = self._live[name].detach().view(len(is_better), -1)
            by_member[is_better] = live[is_better]
        return score_logits(_out_of_fold(logits, own), rows.y)

    def _publish(self) -> None:
        """Copy the best members into the network, side by side."""
        out = self._best["out_weight"]  # (K, h, c)
        n_members, _, n_classes = out.shape
        hidden, classifier = self.network.transform[0], self.network.classifier  # type: ignore[index]
        hidden.weight.copy_(self._best["hidden_weight"])
        hidden.bias.copy_(self._best["hidden_bias"])
        classifier.weight.copy_(out.permute(2, 0, 1).reshape(n_classes, -1) / n_members)
        classifier.bias.copy_(self._best["out_bias"].mean(0)[0])

    def _hidden(self, x: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        return torch.addmm(weights["hidden_bias"], x, weights["hidden_weight"].T).relu()

    def _out(self, hidden: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """Logits (K, b, c) of hidden (b, K h)."""
        by_member = hidden.view(len(hidden), len(self._own), -1).transpose(0, 1)
        return torch.baddbmm(weights["out_bias"], by_member, weights["out_weight"])

    def _forward(self, x: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        return self._out(self._hidden(x, weights), weights)

    def held_out(self) -> HeldOut | None:
        parts, n_rows = [], len(self._rows)
        with torch.no_grad():
            for start in range(0, n_rows, _ROWS_WATCHED):
                stop = start + _ROWS_WATCHED
                logits = self._forward(self._rows.x[start:stop], self._best)
                parts.append(_out_of_fold(logits, self._own[:, start:stop]))
            y = self._rows.y
            if self._validation is not None:
                parts.append(self._forward(self._validation.x, self._best).mean(0))
                y = torch.cat([y, self._validation.y])
        logits = torch.cat(parts)
        return HeldOut(logits=logits.cpu().numpy(), y=y.cpu().numpy(), n_train_rows=n_rows)

    def notes(self) -> list[str]:
        n_stopped = int((self._stale >= self._config.patience).sum())
        if n_stopped == len(self._own):
            return []
        return [
            f"{len(self._own) - n_stopped} of {len(self._own)} ensemble members were still "
            "improving after the last epoch: more epochs may help."
        ]

    def settings(self) -> dict[str, Any]:
        return {}

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        tensors = prefixed("live", self._live) | prefixed("best", self._best)
        tensors |= {"members.least": self._least, "members.stale": self._stale}
        for name, parameter in self._live.items():
            tensors |= prefixed(f"optimiser.{name}", self._optimiser.state[parameter])
        return {"n_epochs": self.n_epochs}, tensors

    def restore(self, epoch: int, document: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        expected = prefixed("live", self._live) | prefixed("best", self._best)
        expected |= {"members.stale": self._stale}
        # Before the first epoch the losses are infinite, which the layout's check would refuse.
        least = tensors.pop("members.least")
        check_layout({"least": least.nan_to_num(0, 0)}, {"least": self._least})
        if epoch:
            for name, parameter in self._live.items():
                for moment in _MOMENTS:
                    like = torch.zeros(()) if moment == "step" else parameter
                    expected[f"optimiser.{name}.{moment}"] = like
        check_layout(tensors, expected)
        live, best, members, optimiser = sections(tensors, "live", "best", "members", "optimiser")
        with torch.no_grad():
            for name in _PARAMETERS:
                self._live[name].copy_(live[name])
                self._best[name].copy_(best[name])
            self._publish()
        self._least = least.to(self._least.device)
        self._stale = members["stale"].to(self._stale.device)
        self.n_epochs = int(document["n_epochs"])
        for name, parameter in self._live.items() if epoch else ():
            self._optimiser.state[parameter] = {
                moment: optimiser[f"{name}.{moment}"].to(parameter.device) for moment in _MOMENTS
            }


class _Masks:
    """Dropout from one generator: the same on every device and after a restart.

    It draws one byte per entry, so shares are exact to 1/256; wider numbers took a quarter of a
    step.
    """

    def __init__(self, random: np.random.Generator, device: torch.device) -> None:
        self._random, self._device = random, device

    def drop(self, x: Tensor, share: float) -> Tensor:
        n_dropped = round(256 * share)
        if not n_dropped:
            return x
        drawn = self._random.integers(0, 256, size=tuple(x.shape), dtype=np.uint8)
        kept = torch.from_numpy(drawn >= n_dropped).to(self._device)
        return x * kept * (256 / (256 - n_dropped))


def _members(rows: LabelledRows, config: TuneConfig, groups: NDArray[Any] | None) -> Tensor:
    """(K, n): whether a row is in the member's own fold."""
    y = rows.y.cpu().numpy()
    own = []
    for bag in range(config.n_bags):
        seed = int(np.random.SeedSequence((config.seed, bag)).generate_state(1)[0])
        folds = assign_folds(y, n_folds=config.n_folds, seed=seed, groups=groups)
        own += [folds == fold % (folds.max() + 1) for fold in range(config.n_folds)]
    return torch.from_numpy(np.stack(own))


def _losses(logits: Tensor, y: Tensor) -> Tensor:
    """The cross-entropies (K, b) of logits (K, b, c) and classes y (b,)."""
    flat = functional.cross_entropy(logits.flatten(0, 1), y.repeat(len(logits)), reduction="none")
    return flat.view(len(logits), -1).double()


def _out_of_fold(logits: Tensor, own: Tensor) -> Tensor:
    """(n, c): the mean of logits (K, n, c) over the members whose own fold a row is in, (K, n)."""
    share = own.to(logits.dtype)
    share = share / share.sum(0).clamp_min(1)
    return torch.einsum("knc,kn->nc", logits, share)
