"""Two small encoders, many models side by side: each weight is stacked (m, ...).

A model's features do not depend on the models beside it. What LoRA changes are the weights of
`adapted`; an encoder takes them as they are given, so a changed weight is `W + s B A`.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import torch
from torch import Generator, Tensor
from torch.nn import functional

Weights = dict[str, Tensor]

_GROUPS: Final = 8
"""Channels are normalised in so many groups, row by row: there is no state of a batch to keep."""
_MEAN, _DEVIATION, _BRIGHTEST = 0.45, 0.25, 255.0
"""Of pictures' channels, about: the same numbers for all, so that no test row is looked at."""
_SHIFT: Final = 3
"""Pixels that a training picture is moved by, at most."""


class Encoder(Protocol):
    """Inputs to features of m models."""

    @property
    def width(self) -> int:
        """d, of the features."""

    @property
    def adapted(self) -> Sequence[str]:
        """The weights (m, out, ...) of all linear or convolutional layers: what LoRA changes."""

    def initial(self, generators: Sequence[Generator]) -> Weights:
        """Weights of one model for each generator."""

    def features(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """(m, b, d) of inputs (m, b, ...)."""

    def varied(self, x: Tensor, generators: Sequence[Generator]) -> Tensor:
        """Training inputs (m, b, ...), changed in ways that leave the class as it is."""


class WordBag:
    """The sum of a sentence's word vectors over the root of their number, then two ReLU layers."""

    def __init__(self, n_words: int, widths: Sequence[int]) -> None:
        self._n_words = n_words
        self._word, self._hidden, self.width = widths
        self.adapted = ("hidden.weight", "out.weight")

    def initial(self, generators: Sequence[Generator]) -> Weights:
        shapes = {
            "words": ((self._n_words, self._word), 0.1),
            "hidden.weight": ((self._hidden, self._word), (2 / self._word) ** 0.5),
            "out.weight": ((self.width, self._hidden), (2 / self._hidden) ** 0.5),
        }
        weights = {
            name: torch.stack([torch.randn(shape, generator=one) * scale for one in generators])
            for name, (shape, scale) in shapes.items()
        }
        n_models = len(generators)
        return weights | {
            "hidden.bias": torch.zeros(n_models, 1, self._hidden),
            "out.bias": torch.zeros(n_models, 1, self.width),
        }

    def features(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        words = weights["words"]
        n_models, n_rows, n_places = x.shape
        offset = torch.arange(n_models, device=x.device)[:, None, None] * self._n_words
        known = (x > 0).to(words.dtype)
        bags = functional.embedding_bag(
            (x + offset).view(-1, n_places),
            words.view(-1, self._word),
            mode="sum",
            per_sample_weights=known.view(-1, n_places),
        ).view(n_models, n_rows, self._word)
        bags = bags / known.sum(2, keepdim=True).clamp_min(1).sqrt()
        for layer in ("hidden", "out"):
            weight, bias = weights[f"{layer}.weight"], weights[f"{layer}.bias"]
            bags = torch.baddbmm(bias, bags, weight.mT).relu()
        return bags

    def varied(self, x: Tensor, generators: Sequence[Generator]) -> Tensor:  # noqa: ARG002
        return x


class ConvNet:
    """Residual blocks of two 3 x 3 convolutions in stages of halving resolution, then the mean.

    Models lie side by side as groups of channels. widths and blocks: of each stage. A ResNet-18 of
    half width is widths (32, 64, 128, 256) and blocks (2, 2, 2, 2).
    """

    def __init__(
        self, widths: Sequence[int], blocks: Sequence[int], *, stem_stride: int = 1
    ) -> None:
        self.width = widths[-1]
        self._stem_stride = stem_stride
        self._layers: dict[str, tuple[int, int, int]] = {"stem": (3, widths[0], 3)}
        self._blocks: list[tuple[str, int]] = []
        n_in = widths[0]
        for stage, (n_out, n_blocks) in enumerate(zip(widths, blocks, strict=True)):
            for block in range(n_blocks):
                name = f"stage{stage}.block{block}"
                self._layers[f"{name}.first"] = (n_in, n_out, 3)
                self._layers[f"{name}.second"] = (n_out, n_out, 3)
                stride = 2 if stage and not block else 1
                if n_in != n_out or stride > 1:
                    self._layers[f"{name}.short"] = (n_in, n_out, 1)
                self._blocks.append((name, stride))
                n_in = n_out
        self.adapted = tuple(f"{name}.weight" for name in self._layers)

    def initial(self, generators: Sequence[Generator]) -> Weights:
        weights: Weights = {}
        for name, (n_in, n_out, side) in self._layers.items():
            scale = (2 / (n_in * side * side)) ** 0.5
            shape = (n_out, n_in, side, side)
            weights[f"{name}.weight"] = torch.stack(
                [torch.randn(shape, generator=one) * scale for one in generators]
            )
            last = name.endswith("second")  # a block starts as the identity
            weights[f"{name}.gain"] = torch.full((len(generators), n_out), 0.0 if last else 1.0)
            weights[f"{name}.shift"] = torch.zeros(len(generators), n_out)
        return weights

    def features(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        n_models, n_rows = x.shape[:2]
        rows = (x.float() / _BRIGHTEST - _MEAN) / _DEVIATION
        rows = rows.transpose(0, 1).reshape(n_rows, n_models * 3, *x.shape[-2:])
        rows = self._layer("stem", weights, rows, self._stem_stride).relu()
        for name, stride in self._blocks:
            change = self._layer(f"{name}.first", weights, rows, stride).relu()
            change = self._layer(f"{name}.second", weights, change)
            if f"{name}.short" in self._layers:
                pooled = functional.avg_pool2d(rows, stride) if stride > 1 else rows
                rows = self._layer(f"{name}.short", weights, pooled)
            rows = (rows + change).relu()
        return rows.mean((2, 3)).view(n_rows, n_models, self.width).transpose(0, 1)

    def _layer(
        self, name: str, weights: Mapping[str, Tensor], rows: Tensor, stride: int = 1
    ) -> Tensor:
        weight = weights[f"{name}.weight"]
        n_models, side = len(weight), weight.shape[-1]
        rows = functional.conv2d(
            rows, weight.flatten(0, 1), stride=stride, padding=side // 2, groups=n_models
        )
        gain, shift = (weights[f"{name}.{part}"].flatten() for part in ("gain", "shift"))
        return functional.group_norm(rows, n_models * _GROUPS, gain, shift)

    def varied(self, x: Tensor, generators: Sequence[Generator]) -> Tensor:
        """Half of the pictures mirrored; each batch moved by a few pixels."""
        changed = []
        for rows, one in zip(x, generators, strict=True):
            mirrored = torch.rand(len(rows), generator=one) < 0.5
            down, right = torch.randint(2 * _SHIFT + 1, (2,), generator=one).tolist()
            height, width = rows.shape[-2:]
            padded = functional.pad(rows, (_SHIFT,) * 4)
            moved = padded[..., down : down + height, right : right + width]
            flip = mirrored.to(rows.device)[:, None, None, None]
            changed.append(torch.where(flip, moved.flip(-1), moved))
        return torch.stack(changed)
