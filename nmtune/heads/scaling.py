"""Scale embeddings before a head, by what was measured once on its training rows."""

from collections.abc import Iterator, Mapping
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmtune.config import ScalingKind
from nmtune.numeric.tensor_file import check_layout

_BLOCK_VALUES = 1 << 20


class Scaling:
    """x -> (x - mean) / divisor in float32; either may be absent.

    L_COV grows with the fourth power of the embeddings' scale, so no fixed weight suits both
    unit-norm vectors from an API and raw CNN features. Scaling brings them to a known scale, and is
    part of the head.

    Attributes:
        mean: (d,) for `standardise`, else None.
        divisor: (1,) for `rms`, (d,) for `standardise`, None for `none`.
    """

    def __init__(self, *, mean: Tensor | None = None, divisor: Tensor | None = None) -> None:
        self.mean = mean
        self.divisor = divisor

    @classmethod
    def fit(cls, kind: ScalingKind, rows: NDArray[np.float32]) -> Self:
        """Measure on rows (n, d), in float64 and a block at a time.

        `rms`: one factor, the root of the mean square of all entries. `standardise`: each
        column's mean and (population) deviation. A column that does not vary is divided by 1.
        """
        if kind == "none":
            return cls()
        if kind == "rms":
            rms = np.sqrt(sum(float((block**2).sum()) for block in _blocks(rows)) / rows.size)
            return cls(divisor=_float32(_where_usable(np.array([rms]), floor=0.0)))
        mean = sum(block.sum(axis=0) for block in _blocks(rows)) / len(rows)
        variance = sum(((block - mean) ** 2).sum(axis=0) for block in _blocks(rows)) / len(rows)
        # A column that varies by less than float32 resolves at its size is constant plus rounding.
        floor = np.abs(mean) * np.finfo(np.float32).eps
        return cls(mean=_float32(mean), divisor=_float32(_where_usable(np.sqrt(variance), floor)))

    def apply(self, x: Tensor, *, in_place: bool = False) -> Tensor:
        """x (n, d) scaled, on x's device; the same values in place or not."""
        out = x if in_place else None
        if self.mean is not None:
            out = x = torch.sub(x, self.mean.to(x.device), out=out)
        if self.divisor is not None:
            x = torch.div(x, self.divisor.to(x.device), out=out)
        return x

    def tensors(self) -> dict[str, Tensor]:
        """The tensors to store, by name."""
        named = {"mean": self.mean, "divisor": self.divisor}
        return {name: tensor for name, tensor in named.items() if tensor is not None}

    @classmethod
    def from_tensors(
        cls, kind: ScalingKind, tensors: Mapping[str, Tensor], *, n_columns: int
    ) -> Self:
        """The inverse of `tensors`; ValueError says what does not fit."""
        column = (n_columns,)
        by_kind: dict[ScalingKind, dict[str, tuple[int, ...]]] = {
            "none": {},
            "rms": {"divisor": (1,)},
            "standardise": {"mean": column, "divisor": column},
        }
        expected = {name: _like(shape) for name, shape in by_kind[kind].items()}
        check_layout(tensors, expected)
        divisor = tensors.get("divisor")
        if divisor is not None and not bool((divisor > 0).all()):
            raise ValueError("the scaling divides by something not positive")
        return cls(mean=tensors.get("mean"), divisor=divisor)


def _blocks(rows: NDArray[np.float32]) -> Iterator[NDArray[np.float64]]:
    step = max(1, _BLOCK_VALUES // rows.shape[1])
    for start in range(0, len(rows), step):
        yield rows[start : start + step].astype(np.float64)


def _where_usable(
    deviation: NDArray[np.float64], floor: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    usable = deviation > np.maximum(floor, np.finfo(np.float32).tiny)
    return np.where(usable, deviation, 1.0)


def _float32(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _like(shape: tuple[int, ...]) -> Tensor:
    return torch.empty(shape, dtype=torch.float32, device="meta")
