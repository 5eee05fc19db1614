"""LoraTrainer: iterate it to adapt an encoder and its linear head to labelled texts."""

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nmtune.config import TuneConfig
from nmtune.encoder.adapter import Adapter, Pair
from nmtune.encoder.batches import check_rows, digest, epoch_batches, rate
from nmtune.encoder.config import LoraConfig
from nmtune.encoder.network import EncoderNetwork, Tokens, padded, unit_rows
from nmtune.encoder.state import TrainingState
from nmtune.encoder.terms import added
from nmtune.errors import CheckpointError, DivergenceError
from nmtune.heads.head import Head, Member
from nmtune.heads.network import Network
from nmtune.heads.scaling import Scaling
from nmtune.numeric.random_numbers import generator
from nmtune.numeric.torch_state import own_state

STEPS_AT_A_TIME: Final = 8
"""Steps between two reports: a few seconds for a MiniLM on a CPU."""

_LONGEST_STEP: Final = 1.0
"""The largest length of the gradient; a longer one is shortened to it."""

_LOSSES: Final = ("cross_entropy", "consistency", "covariance", "dominant")


@dataclass(frozen=True, kw_only=True)
class LoraReport:
    """How far a training is: after a few steps, the means of the losses since the last report."""

    step: int
    n_steps: int
    epoch: int
    n_epochs: int
    losses: dict[str, float]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class LoraFit:
    """A finished training.

    Attributes
    ----------
    adapter : Adapter or None
        On the CPU, at strength 1; None after full fine-tuning.
    head : Head
        The linear head on the adapted encoder's vectors, not calibrated.
    start : Head
        The head that the training started from.
    history : tuple of LoraReport
    """

    adapter: Adapter | None
    head: Head
    start: Head
    history: tuple[LoraReport, ...]

    @property
    def seconds(self) -> float:
        """Training time of all steps."""
        return sum(report.seconds for report in self.history)

    def head_at(self, strength: float) -> Head:
        """The head that goes with the adapter at a strength: between `start` and `head`."""
        member, first = self.head.members[0], self.start.members[0]
        mixed = {
            name: torch.lerp(first.network.state_dict()[name], tensor, strength)
            for name, tensor in member.network.state_dict().items()
        }
        return _head(self.head.classes, member, mixed)


class LoraTrainer:
    """Adapt an encoder and its head to labelled texts, a few steps per iteration.

    Leaving the loop stops the training; iterating again continues it. On a CPU, the same texts,
    config and number of threads give the same adapter and head bit for bit, with or without a
    checkpoint in between.

    Parameters
    ----------
    network : EncoderNetwork
        The encoder, whose weights stay as they are. Its device is where the training runs.
    tokens : sequence of ndarray
        The token ids of the n training texts, each cut to `config.max_tokens`.
    y : ndarray of int, shape (n,)
        Class indices.
    start : Head
        A linear probe on the encoder's own vectors of the training texts; with `start` "random"
        its classes and width are taken.
    config : LoraConfig
        How to train.
    full : bool, default=False
        Train all weights of the encoder instead of an adapter.
    checkpoint : bytes, optional
        From `checkpoint()` of the same training.

    Raises
    ------
    DataError
        Texts and labels do not fit together, or to the encoder.
    CheckpointError
        The checkpoint is damaged, or belongs to another training.
    """

    @own_state()
    def __init__(
        self,
        network: EncoderNetwork,
        tokens: Tokens,
        y: NDArray[np.integer[Any]],
        *,
        start: Head,
        config: LoraConfig,
        full: bool = False,
        checkpoint: bytes | None = None,
    ) -> None:
        check_rows(network, tokens, y)
        self._config, self._tokens, self._full = config, tokens, full
        self._y = torch.from_numpy(np.array(y, np.int64))
        self._device = network.device
        self._base = network
        self._network = _trainable(network) if full else network
        self._start = _random_start(start, config) if config.start == "random" else start
        reference = config.terms == "published"
        self._normalised = network.architecture.normalised and not reference
        first = Adapter.initialised(
            network.architecture,
            rank=config.rank,
            alpha=config.alpha,
            targets=config.targets,
            normalised=self._normalised,
            generator=generator(config.seed, 0),
        )
        self._adapter = first
        self._pairs = {} if full else first.on(self._device)
        member = self._start.members[0]
        self._weight = member.network.classifier.weight.detach().clone().to(self._device)
        self._bias = member.network.classifier.bias.detach().clone().to(self._device)
        self._scaling = member.scaling
        self._n_steps = config.n_steps(len(tokens))
        self._step = 0
        self._history: list[LoraReport] = []
        self._optimiser = self._made_optimiser()
        self._identity = {
            "config": config.to_dict(),
            "full": full,
            "texts": digest(tokens, y),
            "start": digest([member.network.classifier.weight.detach().numpy().ravel()], y),
        }
        if checkpoint is not None:
            self._restore(checkpoint)

    def _trained(self) -> dict[str, Tensor]:
        """What is trained, by name; the head last."""
        found = {f"encoder.{name}": one for name, one in self._network.weights.items()}
        if not self._full:
            found = {}
            for name, pair in self._pairs.items():
                found |= {f"{name}.a": pair.a, f"{name}.b": pair.b}
        return found | {"head.weight": self._weight, "head.bias": self._bias}

    def _made_optimiser(self) -> torch.optim.AdamW:
        trained = self._trained()
        for tensor in trained.values():
            tensor.requires_grad_()
        of_head = [self._weight, self._bias]
        others = [tensor for name, tensor in trained.items() if not name.startswith("head.")]
        return torch.optim.AdamW(
            [
                {"params": others, "lr": self._config.learning_rate},
                {"params": of_head, "lr": self._config.head_learning_rate},
            ],
            weight_decay=self._config.weight_decay,
            foreach=False,
        )

    def __iter__(self) -> Self:
        return self

    @property
    def n_steps(self) -> int:
        """Steps of the whole training."""
        return self._n_steps

    @own_state()
    def __next__(self) -> LoraReport:
        """Train some more steps; DivergenceError if the loss became infinite or NaN."""
        if self._step >= self._n_steps:
            raise StopIteration
        began = time.perf_counter()
        per_epoch = self._n_steps // self._config.epochs
        epoch = self._step // per_epoch + 1
        lengths = [len(one) for one in self._tokens]
        size = self._config.batch_size
        batches = epoch_batches(lengths, size=size, seed=self._config.seed, epoch=epoch)
        stop = min(self._step + STEPS_AT_A_TIME, epoch * per_epoch)
        sums = dict.fromkeys(_LOSSES, 0.0)
        n_done = stop - self._step
        for step in range(self._step, stop):
            for name, value in self._take(batches[step % per_epoch], step).items():
                sums[name] += value / n_done
        if not all(map(math.isfinite, sums.values())):
            raise DivergenceError(
                f"the training of the encoder diverged in epoch {epoch}: lower learning_rate or "
                "the weights"
            )
        self._step = stop
        report = LoraReport(
            step=stop,
            n_steps=self._n_steps,
            epoch=epoch,
            n_epochs=self._config.epochs,
            losses=sums,
            seconds=time.perf_counter() - began,
        )
        self._history.append(report)
        return report

    def _take(self, rows: NDArray[np.int64], step: int) -> dict[str, float]:
        """One step; its losses, before it."""
        config = self._config
        ids, mask = padded([self._tokens[row] for row in rows], self._device)
        pooled = self._network.pooled(ids, mask, self._pairs, config.alpha / config.rank)
        # The graph is cut at the pooled vectors, where the terms add to the gradient.
        cut = pooled.detach().requires_grad_()
        vectors = unit_rows(cut) if self._normalised else cut
        logits = functional.linear(_scaled(vectors, self._scaling), self._weight, self._bias)
        loss = functional.cross_entropy(logits, self._y[rows].to(self._device))
        self._optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        assert cut.grad is not None  # noqa: S101 - for the type checker: it is a leaf
        frozen = pooled
        if config.w_consistency:
            with torch.no_grad():
                frozen = self._base.pooled(ids, mask)
        gradient, values = added(config, pooled, frozen, cut.grad)
        torch.autograd.backward(pooled, gradient)
        if config.preset != "reference":
            torch.nn.utils.clip_grad_norm_(
                [one for one in self._trained().values() if one.grad is not None], _LONGEST_STEP
            )
        factor = rate(step, self._n_steps, warmup=config.warmup)
        rates = (config.learning_rate, config.head_learning_rate)
        for group, highest in zip(self._optimiser.param_groups, rates, strict=True):
            group["lr"] = highest * factor
        self._optimiser.step()
        return {"cross_entropy": float(loss.detach()), **values}

    @own_state()
    def checkpoint(self) -> bytes:
        """The state of the training, to continue from."""
        trained = self._trained()
        moments: dict[str, Tensor] = {}
        for name, tensor in trained.items():
            found = self._optimiser.state.get(tensor, {})
            moments |= {f"{name}.{key}": one for key, one in found.items()}
        return TrainingState(
            identity=self._identity,
            step=self._step,
            history=tuple(report.to_dict() for report in self._history),
            trained=trained,
            moments=moments,
        ).to_bytes()

    def _restore(self, data: bytes) -> None:
        state = TrainingState.from_bytes(data, identity=self._identity, like=self._trained())
        if not 0 <= state.step <= self._n_steps:
            raise CheckpointError("not a readable checkpoint: it has more steps than the training")
        with torch.no_grad():
            for name, tensor in self._trained().items():
                tensor.copy_(state.trained[name])
        for name, tensor in self._trained().items():
            found = state.moments_of(name)
            if found:
                self._optimiser.state[tensor] = {
                    key: one if key == "step" else one.to(self._device)
                    for key, one in found.items()
                }
        self._step = state.step
        self._history = [LoraReport(**report) for report in state.history]

    @property
    def network(self) -> EncoderNetwork:
        """The encoder: after full fine-tuning a changed one, else the one that was given."""
        return self._network

    @own_state()
    def result(self) -> LoraFit:
        """The adapter and the head; RuntimeError before the last step."""
        if self._step < self._n_steps:
            raise RuntimeError("the training has not finished: iterate the trainer to its end")
        adapter = None
        if not self._full:
            pairs = {
                name: Pair(*(one.detach().cpu().clone() for one in pair))
                for name, pair in self._pairs.items()
            }
            adapter = Adapter(
                pairs=pairs,
                rank=self._config.rank,
                alpha=self._config.alpha,
                targets=self._config.targets,
                normalised=self._normalised,
            )
        member = self._start.members[0]
        state = {
            **member.network.state_dict(),
            "classifier.weight": self._weight.detach().cpu().clone(),
            "classifier.bias": self._bias.detach().cpu().clone(),
        }
        return LoraFit(
            adapter=adapter,
            head=_head(self._start.classes, member, state),
            start=self._start,
            history=tuple(self._history),
        )


def _scaled(x: Tensor, scaling: Scaling) -> Tensor:
    """As `Scaling.apply`, in operations that have a gradient."""
    if scaling.mean is not None:
        x = x - scaling.mean.to(x.device)
    return x if scaling.divisor is None else x / scaling.divisor.to(x.device)


def _trainable(network: EncoderNetwork) -> EncoderNetwork:
    weights = {name: tensor.clone() for name, tensor in network.weights.items()}
    return EncoderNetwork(network.architecture, weights)


def _random_start(like: Head, config: LoraConfig) -> Head:
    """A head of the same classes and width with random weights, on the vectors as they are."""
    plain = TuneConfig.from_preset(
        "linear_probe", optimiser="adamw", scaling="none", seed=config.seed
    )
    network = Network.initialised(
        plain,
        n_columns=like.n_columns,
        n_classes=len(like.classes),
        generator=generator(config.seed, 1),
    )
    return Head([Member(network=network, scaling=Scaling(), config=plain)], classes=like.classes)


def _head(classes: tuple[str, ...], like: Member, state: Mapping[str, Tensor]) -> Head:
    n_columns, n_classes = like.network.n_columns, len(classes)
    network = Network(like.config, n_columns=n_columns, n_classes=n_classes)
    network.load_state_dict({name: one.clone() for name, one in state.items()}, assign=True)
    return Head(
        [Member(network=network, scaling=like.scaling, config=like.config)], classes=classes
    )
