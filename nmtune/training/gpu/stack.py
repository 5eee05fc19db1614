"""Train many heads as one: weights stacked (h, ...), each layer one batched product.

On a GPU, a step of one head mostly waits for small kernels; a stack needs no more of them.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from nmtune.config import TuneConfig
from nmtune.heads.network import Network
from nmtune.losses import terms as loss_terms
from nmtune.losses.objective import NMTuneLoss, differentiable
from nmtune.losses.terms import Batch, Term
from nmtune.training.adamw import batch_bounds, epoch_order, notes_on_steps, remaining
from nmtune.training.gpu.graphs import GraphedSteps
from nmtune.training.rows import LabelledRows


class Passed(NamedTuple):
    """The result of a forward pass: Z (h, b, d), logits (h, b, c), and what the terms share."""

    z: Tensor
    logits: Tensor
    batch: Batch


class Stack:
    """Networks of one shape trained side by side, each with its own batches and weights."""

    def __init__(
        self, networks: Sequence[Network], rows: LabelledRows, *, configs: Sequence[TuneConfig]
    ) -> None:
        """networks: h of them; configs differ only in seed and the terms' weights."""
        device = rows.x.device
        self._shape = networks[0]
        self._rows, self._configs, self._config = rows, configs, configs[0]
        states = [network.state_dict() for network in networks]
        self._state = {
            name: torch.stack([state[name].to(device) for state in states]) for name in states[0]
        }
        learnt = [self._state[name] for name, _ in self._shape.named_parameters()]
        for tensor in learnt:
            tensor.requires_grad_(True)
        config = self._config
        self._batches = batch_bounds(
            len(rows), config.batch_size, smallest=max(2, config.k, config.batch_size // 4)
        )
        self.n_epochs = config.n_epochs(len(self._batches))
        # A graph would freeze a number; it reads a tensor anew.
        self._rate = torch.tensor(config.learning_rate, device=device)
        self.optimiser = torch.optim.AdamW(
            learnt,
            lr=self._rate if rows.x.is_cuda else config.learning_rate,
            weight_decay=config.weight_decay,
            fused=True,
            capturable=rows.x.is_cuda,
        )
        self._graphed = GraphedSteps(self) if rows.x.is_cuda else None
        self._weights = {
            name: torch.tensor(
                [getattr(one, f"w_{name}") for one in configs], dtype=torch.float64, device=device
            )
            for name in ("consistency", "covariance", "dominant")
        }
        self.needed = {name for name, weight in self._weights.items() if bool(weight.any())}
        # A term without weight must not count even if it is infinite.
        self._unused = {name: weight == 0 for name, weight in self._weights.items()}

    def run(self, epoch: int) -> tuple[list[NMTuneLoss], float]:
        """One epoch (1-based) of every head: mean losses, and the last step's learning rate."""
        config, device = self._config, self._rows.x.device
        orders = torch.stack(
            [epoch_order(len(self._rows), seed=one.seed, epoch=epoch) for one in self._configs]
        ).to(device)
        # Read once, after the epoch: reading each step would make a GPU wait for the host.
        sums = torch.zeros(len(NMTuneLoss._fields), len(self._configs), device=device)
        do_step = self._graphed or self.step
        n_steps = len(self._batches) * self.n_epochs
        rate = config.learning_rate
        for index, (start, stop) in enumerate(self._batches):
            step = (epoch - 1) * len(self._batches) + index
            rate = config.learning_rate * remaining(config.schedule, step / n_steps)
            self._set_rate(rate)
            sums += do_step(self._rows.take(orders[:, start:stop])) * (stop - start)
        means = (sums / len(self._rows)).T.tolist()
        return [NMTuneLoss(*one) for one in means], rate

    def state(self, index: int) -> Mapping[str, Tensor]:
        """The state of one head's network on the device, as views that change with training."""
        return {name: tensor.detach()[index] for name, tensor in self._state.items()}

    def moments(self, name: str, index: int) -> dict[str, Tensor]:
        """AdamW's state for one head's parameter, by AdamW's names; empty before the first step."""
        return {
            moment: tensor if moment == "step" else tensor[index]
            for moment, tensor in self.optimiser.state[self._state[name]].items()
        }

    def set_moments(self, name: str, moments: Mapping[str, Tensor]) -> None:
        """Take up what `moments` returned for a parameter, in a stack of one head."""
        device = self._rows.x.device
        self.optimiser.state[self._state[name]] = {
            moment: tensor.to(device) if moment == "step" else tensor.to(device)[None]
            for moment, tensor in moments.items()
        }

    def _set_rate(self, rate: float) -> None:
        if self._rows.x.is_cuda:
            self._rate.fill_(rate)
            return
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    def notes(self, index: int) -> list[str]:
        """What the user should know about one head's training."""
        n_rows, n_columns = self._rows.x.shape
        return notes_on_steps(
            self._configs[index], n_rows=n_rows, n_columns=n_columns, n_epochs=self.n_epochs
        )

    def step(self, rows: LabelledRows) -> Tensor:
        """One step on rows x (h, b, d), y (h, b); returns its losses (fields of NMTuneLoss, h)."""
        self.optimiser.zero_grad()
        return self.backward(rows, self.forward(rows))

    def forward(self, rows: LabelledRows) -> Passed:
        """The first half of a step."""
        f = rows.x
        if self._config.transform == "residual_mlp":
            change = self._through("transform.branch", f)
            z = f + self._state["transform.scale"][:, None] * change
        else:
            z = self._through("transform", f)
        return Passed(z, self._linear("classifier", z), Batch(z))

    def backward(self, rows: LabelledRows, passed: Passed) -> Tensor:
        """The second half: gradients, and AdamW's step."""
        losses = functional.cross_entropy(
            passed.logits.flatten(0, 1), rows.y.flatten(), reduction="none"
        ).view(rows.y.shape)
        if rows.weight is not None:
            losses = losses * rows.weight
        cross_entropy = losses.mean(1)
        terms = self._terms(passed.batch, rows.x)
        total, whole = cross_entropy.detach().double(), cross_entropy.sum()
        if terms:
            values = torch.stack([self._weights[name] * term.value for name, term in terms.items()])
            gradient = torch.stack([term.gradient for term in terms.values()]).sum(0)
            whole = whole + differentiable(passed.z, values.sum(), gradient)
            total = total + values.sum(0)
        torch.autograd.backward(whole)
        self.optimiser.step()
        zero = torch.zeros_like(total)
        parts = [terms[name].value if name in terms else zero for name in self._weights]
        return torch.stack([total, cross_entropy.detach().double(), *parts]).float()

    def _terms(self, batch: Batch, f: Tensor) -> dict[str, Term]:
        config = self._config
        weights = {name: weight[:, None, None] for name, weight in self._weights.items()}
        n_rows, n_columns = f.shape[-2:]
        terms = {}
        if "consistency" in self.needed:
            by_entry = config.consistency_mean_over_dimensions
            terms["consistency"] = loss_terms.consistency(
                batch,
                f,
                divisor=n_rows * n_columns if by_entry else n_rows,
                weight=weights["consistency"],
            )
        if "covariance" in self.needed:
            terms["covariance"] = loss_terms.covariance(batch, weight=weights["covariance"])
        if "dominant" in self.needed:
            terms["dominant"] = loss_terms.dominant(batch, k=config.k, weight=weights["dominant"])
        return {name: _without(term, self._unused[name]) for name, term in terms.items()}

    def _through(self, path: str, x: Tensor) -> Tensor:
        for name, module in self._shape.get_submodule(path).named_children():
            if isinstance(module, nn.Linear):
                x = self._linear(f"{path}.{name}", x)
            elif isinstance(module, nn.BatchNorm1d):
                x = self._normalise(f"{path}.{name}", module, x)
            else:
                x = module(x)
        return x

    def _linear(self, path: str, x: Tensor) -> Tensor:
        weight, bias = self._state[f"{path}.weight"], self._state[f"{path}.bias"]
        return torch.baddbmm(bias[:, None], x, weight.mT)

    def _normalise(self, path: str, module: nn.BatchNorm1d, x: Tensor) -> Tensor:
        """BatchNorm per head on its own batch: for torch, one batch with h times the columns."""
        n_heads, n_rows, n_columns = x.shape
        names = ("running_mean", "running_var", "weight", "bias")
        mean, variance, weight, bias = (self._state[f"{path}.{name}"].view(-1) for name in names)
        self._state[f"{path}.num_batches_tracked"] += 1
        flat = functional.batch_norm(
            x.transpose(0, 1).reshape(n_rows, -1),
            mean,
            variance,
            weight,
            bias,
            training=True,
            momentum=module.momentum or 0.0,
            eps=module.eps,
        )
        return flat.view(n_rows, n_heads, n_columns).transpose(0, 1)


def _without(term: Term, unused: Tensor) -> Term:
    gradient = term.gradient.masked_fill(unused[:, None, None], 0)
    return Term(term.value.masked_fill(unused, 0), gradient)
