"""The task of pictures: pre-train on Tiny-ImageNet, classify CIFAR-10 and its corruptions."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.study import folders
from benchmarks.study.sizes import Size
from benchmarks.study.task import TEST, TRAIN, DataMissingError, Rows, Task, drawn

TINY_IMAGENET: Final = "tiny-imagenet-200"
CIFAR: Final = "cifar-10"
"""Folders of the data that the user names."""
STRENGTHS: Final = (1, 2, 3)
_ALL: Final = 60_000


def task(data: Path, size: Size) -> Task:
    """From `data/tiny-imagenet-200` and `data/cifar-10`.

    Each corruption is a domain, made of the test rows at all strengths in turn.
    """
    for name in (TINY_IMAGENET, CIFAR):
        if not (data / name).is_dir():
            raise DataMissingError(
                f"{data / name} is missing: docs/inside/study.md says what it holds"
            )
    pretraining = folders.tiny_imagenet(
        data / TINY_IMAGENET, n_classes=size.n_classes, rows_of_a_class=size.rows_of_a_class
    )
    most = max(size.downstream_rows, size.test_rows or _ALL) // 10
    downstream, classes = folders.cifar10(data / CIFAR, rows_of_a_class=most)
    train = drawn(downstream[TRAIN], size.downstream_rows)
    test = drawn(downstream[TEST], size.test_rows)
    return Task(
        pretraining=pretraining,
        downstream={TRAIN: train, TEST: test, **corrupted(test)},
        n_pretraining_classes=1 + int(pretraining[TRAIN].y.max()),
        classes=classes,
    )


def corrupted(rows: Rows) -> dict[str, Rows]:
    """`ood_noise` and so on: row i at strength 1, 2, 3, 1, ...; always the same."""
    found = {}
    for name, change in CORRUPTIONS.items():
        random = torch.Generator().manual_seed(0)
        x = torch.empty_like(rows.x)
        for at, strength in enumerate(STRENGTHS):
            here = slice(at, None, len(STRENGTHS))
            changed = change(rows.x[here].float() / 255, strength, random)
            x[here] = (changed.clamp(0, 1) * 255).round().to(torch.uint8)
        found[f"ood_{name}"] = Rows(x, rows.y)
    return found


def _noise(x: Tensor, strength: int, random: torch.Generator) -> Tensor:
    return x + (0.04, 0.08, 0.12)[strength - 1] * torch.randn(x.shape, generator=random)


def _blur(x: Tensor, strength: int, _: torch.Generator) -> Tensor:
    """A Gaussian of 0.6, 1.0 or 1.4 pixels."""
    sigma = (0.6, 1.0, 1.4)[strength - 1]
    places = torch.arange(-4, 5)
    kernel = torch.exp(-(places**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    padded = functional.pad(x, (4, 4, 4, 4), mode="replicate")
    n_channels = x.shape[1]
    across = kernel.view(1, 1, 1, -1).expand(n_channels, 1, 1, -1)
    once = functional.conv2d(padded, across, groups=n_channels)
    return functional.conv2d(once, across.transpose(2, 3), groups=n_channels)


def _contrast(x: Tensor, strength: int, _: torch.Generator) -> Tensor:
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (0.6, 0.4, 0.25)[strength - 1] * (x - mean)


def _pixelate(x: Tensor, strength: int, _: torch.Generator) -> Tensor:
    side = (16, 11, 8)[strength - 1]
    small = functional.interpolate(x, size=(side, side), mode="area")
    return functional.interpolate(small, size=x.shape[-2:], mode="nearest")


def _quantised(x: Tensor, strength: int, _: torch.Generator) -> Tensor:
    """What JPEG does: blocks of 8 x 8 by cosines, the fine ones rounded more coarsely."""
    step = (0.1, 0.2, 0.35)[strength - 1]
    places = torch.arange(8, dtype=torch.float32)
    cosines = torch.cos(np.pi / 8 * (places + 0.5) * places[:, None]) * (2 / 8) ** 0.5
    cosines[0] /= 2**0.5
    blocks = x.unfold(2, 8, 8).unfold(3, 8, 8)
    found: Tensor = cosines @ blocks @ cosines.T
    steps = step * (1 + places[:, None] + places) / 4
    back: Tensor = cosines.T @ ((found / steps).round() * steps) @ cosines
    whole: Tensor = back.transpose(3, 4).reshape(x.shape)
    return whole


CORRUPTIONS: Final[Mapping[str, Callable[[Tensor, int, torch.Generator], Tensor]]] = {
    "noise": _noise,
    "blur": _blur,
    "contrast": _contrast,
    "pixelate": _pixelate,
    "jpeg": _quantised,
}
