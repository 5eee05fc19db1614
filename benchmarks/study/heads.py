"""Heads on frozen features: trained, judged and looked at by `nmtune` as a job does it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.study.task import TRAIN
from nmtune import Head, Trainer, TuneConfig, spectrum
from nmtune.heads.head import Member
from nmtune.heads.network import Network
from nmtune.heads.scaling import Scaling
from nmtune.numeric.random_numbers import generator
from nmtune.study.spectrum import Centring
from nmtune.training.gpu.stack import Stack
from nmtune.training.rows import LabelledRows

PROBES: Final = ("linear_probe", "whitened_probe")
NETWORKS: Final = {"mlp": "mlp", "nmtune_paper": "paper", "nmtune_reference": "reference"}
"""Method to preset. They get features scaled by one factor, their RMS: the terms depend on the
scale, and noise changes it."""
CENTRINGS: Final[tuple[Centring, ...]] = ("none", "columns", "reference")

Features = NDArray[np.float32]
Found = dict[str, Any]


def fit_probe(
    method: str, x: Features, y: NDArray[np.int64], *, classes: tuple[str, ...], seed: int
) -> Head:
    """A linear probe, solved, with the penalty by cross-validation, on features x (n, d)."""
    trainer = Trainer(x, y, classes=classes, config=TuneConfig.from_preset(method, seed=seed))
    for _ in trainer:
        pass
    return trainer.result().head


def fit_networks(
    method: str,
    features: Tensor,
    y: Tensor,
    *,
    classes: tuple[str, ...],
    seeds: Sequence[int],
    epochs: int,
) -> list[Head]:
    """Heads of an MLP side by side, each on its own model's features (m, n, d).

    Each comes out as `Trainer` would train it, but for rounding.
    """
    configs = [
        TuneConfig.from_preset(NETWORKS[method], seed=seed, scaling="rms", epochs=epochs)
        for seed in seeds
    ]
    n_columns = features.shape[2]
    networks = [
        Network.initialised(
            one, n_columns=n_columns, n_classes=len(classes), generator=generator(one.seed, 0)
        )
        for one in configs
    ]
    scalings = [Scaling.fit("rms", as_rows(one)) for one in features]
    pairs = zip(features, scalings, strict=True)
    scaled = torch.stack([scaling.apply(x.float()) for x, scaling in pairs])
    stack = Stack(networks, _RowsOfEach(scaled, y), configs=configs)
    for epoch in range(1, stack.n_epochs + 1):
        stack.run(epoch)
    for index, network in enumerate(networks):
        network.load_state_dict(stack.state(index))
    return [
        Head([Member(network=network, scaling=scaling, config=config)], classes=classes)
        for network, scaling, config in zip(networks, scalings, configs, strict=True)
    ]


class _RowsOfEach(LabelledRows):
    """The same rows as each of m models sees them, x (m, n, d), with classes y (n,)."""

    def take(self, indices: Tensor) -> LabelledRows:
        """Rows (m, b) of each model's own order."""
        at = indices.to(self.y.device)
        models = torch.arange(len(self.x), device=at.device)[:, None]
        return LabelledRows(self.x[models, at], self.y[at])


def judged(
    predictions: Mapping[str, NDArray[np.int64]],
    features: Mapping[str, Features],
    y: Mapping[str, NDArray[np.int64]],
) -> Found:
    """Accuracy by split, and SVE and LSVR of (tuned) features by split and centring."""
    return {
        "accuracy": {
            split: float((found == y[split]).mean()) for split, found in predictions.items()
        },
        "spectra": {
            split: {centring: _spectrum(features[split], centring) for centring in CENTRINGS}
            for split in predictions
        },
    }


def judged_head(
    head: Head, features: Mapping[str, Features], y: Mapping[str, NDArray[np.int64]]
) -> Found:
    """`judged` for a head on frozen features; the training rows test nothing."""
    tested = {split: x for split, x in features.items() if split != TRAIN}
    predictions = {split: head.logits(x).argmax(1) for split, x in tested.items()}
    tuned = {split: head.transform(x) for split, x in tested.items()}
    if head.config.transform == "none":
        tuned = tested  # without the probe's scaling: the encoder's own features
    return judged(predictions, tuned, y)


def linear_map(head: Head) -> tuple[Tensor, Tensor]:
    """Weight (d, c) and bias (1, c) of a linear probe, for features as the encoder gives them."""
    (member,) = head.members
    classifier, scaling = member.network.classifier, member.scaling
    weight = classifier.weight.double()
    if scaling.divisor is not None:
        weight = weight / scaling.divisor.double()
    bias = classifier.bias.double()
    if scaling.mean is not None:
        bias = bias - weight @ scaling.mean.double()
    return weight.T.float().clone(), bias[None].float().clone()


def _spectrum(x: Features, centring: Centring) -> list[float]:
    found = spectrum(x, centering=centring)
    return [round(found.entropy, 6), round(found.largest_ratio, 6)]


def as_rows(features: Tensor) -> Features:
    """Features of one model on the host."""
    return features.to("cpu", torch.float32).contiguous().numpy()
