"""Within-class whitening: a linear map that evens out how rows of a class vary."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Self

import torch
from torch import Tensor

from nmtune.training.axes import Axes
from nmtune.training.rows import LabelledRows

_BLOCK_VALUES = 1 << 22


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over weighted rows: weights (c,) and rows (c, d) of each class, products (d, d)."""

    totals: Tensor
    sums: Tensor
    products: Tensor

    @classmethod
    def of(cls, x: Tensor, y: Tensor, *, n_classes: int, weight: Tensor | None = None) -> "Moments":
        """The sums of x (n, d) with classes y (n,), in float64."""
        n_rows, d = x.shape
        share = torch.ones(n_rows, device=x.device) if weight is None else weight
        share = share.double()
        totals = torch.zeros(n_classes, dtype=torch.float64, device=x.device)
        sums = torch.zeros(n_classes, d, dtype=torch.float64, device=x.device)
        products = torch.zeros(d, d, dtype=torch.float64, device=x.device)
        block = max(1, _BLOCK_VALUES // d)
        for start in range(0, n_rows, block):
            at = slice(start, start + block)
            rows = x[at].double()
            weighed = rows * share[at, None]
            sums.index_add_(0, y[at], weighed)
            products.addmm_(weighed.T, rows)
        return cls(totals.index_add_(0, y, share), sums, products)

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(
            self.totals + other.totals, self.sums + other.sums, self.products + other.products
        )

    def in_columns(self, axes: Axes) -> "Moments":
        """Of the rows less their mean, in the columns that they had before they were turned."""
        directions = axes.directions.double()
        products = directions.T @ self.products @ directions
        return Moments(self.totals, self.sums @ directions, products)

    @property
    def mean(self) -> Tensor:
        return self.sums.sum(0) / self.totals.sum()

    def between(self) -> Tensor:
        """(c, d), whose Gram matrix (d, d) is the covariance of the classes' means."""
        means = self.sums / self.totals.clamp_min(torch.finfo(torch.float64).tiny)[:, None]
        return (means - self.mean) * (self.totals / self.totals.sum()).sqrt()[:, None]

    def total(self) -> Tensor:
        """The covariance (d, d) of all rows."""
        return self.products / self.totals.sum() - torch.outer(self.mean, self.mean)

    def within(self) -> Tensor:
        """The covariance (d, d) of rows about the means of their classes."""
        between = self.between()
        within = self.total() - between.T @ between
        # Rounding may leave a variance of 0 slightly below it.
        within.diagonal().clamp_(min=0)
        return within


def fit_whitening(
    x: Tensor, y: Tensor, *, n_classes: int, shrinkage: float, weight: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """`whitening` of x (n, d) with classes y (n,), and rows weighted by `weight` (n,) if given."""
    origin = x[0].clone()  # rows far from 0 would lose digits
    moments = Moments.of(x - origin, y, n_classes=n_classes, weight=weight)
    matrix, bias = whitening(moments, shrinkage=shrinkage, n_columns=x.shape[1])
    return matrix.float(), (bias - matrix @ origin.double()).float()


def whitening(moments: Moments, *, shrinkage: float, n_columns: int) -> tuple[Tensor, Tensor]:
    """Weight (d, d) and bias (d,), both float64, of the map Z = x weight^T + bias.

    Let S be the covariance of x (n, d) within its classes, and a = shrinkage * trace(S) / d. The
    map turns S + a I into a multiple of the identity, and the mean square entry of Z into 1. It
    shrinks directions in which rows of one class differ much, as linear discriminant analysis does;
    the shrinkage keeps directions with hardly any variance from blowing up (Friedman 1989). The map
    is unique up to a rotation, which leaves a penalty ||W||^2 unchanged; this one is
    lower-triangular, by Cholesky. If all rows are equal within their classes, the map is a plain
    scaling; if all rows are equal, it gives zeros.

    n_columns: d, if the moments are of rows in fewer coordinates, in which all their variance lies.
    """
    within, between = moments.within(), moments.between()
    added = shrinkage * within.diagonal().sum() / n_columns
    # Not 0 but rounding, where all rows of a class are equal.
    least = 1e-12 * between.square().sum() / n_columns
    if not bool(added > least):
        added = torch.ones_like(added)
    eye = torch.eye(len(within), dtype=torch.float64, device=within.device)
    lower = torch.linalg.cholesky(within + added * eye)
    # The mean square entry of Z follows from the two covariances, without mapping the rows: with
    # S = L L^T - a I, the trace of L^-1 S L^-T is that of I - a L^-1 L^-T.
    inverse = torch.linalg.solve_triangular(lower, eye, upper=False)
    of_within = (len(within) - added * inverse.square().sum()).clamp_min(0)
    variance = of_within + (between @ inverse.T).square().sum()
    if bool(variance > 0):
        inverse = inverse / (variance / n_columns).sqrt()
    return inverse, -(inverse @ moments.mean)


@dataclass(frozen=True, eq=False)
class Affine:
    """Rows x (n, d) -> x weight^T + bias, in float64."""

    weight: Tensor
    bias: Tensor

    def forth(self, coefficients: Tensor) -> Tensor:
        """The coefficients (c, d + 1) for the mapped rows, from those for the rows before."""
        weight = torch.linalg.solve(self.weight, coefficients[:, :-1].double(), left=False)
        bias = coefficients[:, -1:].double() - weight @ self.bias[:, None]
        return torch.cat([weight, bias], dim=1).to(coefficients.dtype)


@dataclass(frozen=True, eq=False)
class Maps:
    """K maps of rows x (n, r) -> x weights^T + biases, (K, r, r) and (K, r), in float32.

    None is the identity.
    """

    weights: Tensor | None = None
    biases: Tensor | None = None

    @classmethod
    def of_each(cls, maps: Sequence[Affine]) -> Self:
        """The maps stacked."""
        weights = torch.stack([one.weight for one in maps])
        return cls(weights.float(), torch.stack([one.bias for one in maps]).float())

    def of(self, which: Tensor) -> "Maps":
        """Some of the maps."""
        if self.weights is None or self.biases is None or len(which) == len(self.weights):
            return self
        return Maps(self.weights[which], self.biases[which])

    def back(self, coefficients: Tensor) -> Tensor:
        """The coefficients (K, c, r + 1) for the rows before, from those for the mapped ones."""
        if self.weights is None or self.biases is None:
            return coefficients
        weight = coefficients[..., :-1]
        bias = coefficients[..., -1:] + weight @ self.biases[:, :, None]
        return torch.cat([weight @ self.weights, bias], dim=2)

    def pulled(self, gradient: Tensor) -> Tensor:
        """The gradient in the mapped rows' coefficients, from that in those for the rows before."""
        if self.weights is None or self.biases is None:
            return gradient
        bias = gradient[..., -1:]
        weight = gradient[..., :-1] @ self.weights.mT + bias * self.biases[:, None, :]
        return torch.cat([weight, bias], dim=2)


class Whitenings:
    """The whitenings of all rows but those of one fold, from sums that are taken once a fold.

    Those in the rows' own coordinates, the principal axes, are turned to keep the columns nearly
    uncorrelated.
    """

    def __init__(
        self,
        rows: LabelledRows,
        folds: list[Tensor],
        *,
        n_classes: int,
        shrinkage: float,
        axes: Axes,
    ) -> None:
        """folds: the indices of each fold's rows; at least one."""
        parts = (rows.take(fold) for fold in folds)
        self._moments = [
            Moments.of(part.x, part.y, n_classes=n_classes, weight=part.weight) for part in parts
        ]
        self._axes, self._shrinkage = axes, shrinkage
        self._all = reduce(add, self._moments)
        matrix, _ = self._whitening(self._all)
        # (r,): the variances of the mapped columns, of all rows.
        self.variances, vectors = torch.linalg.eigh(matrix @ self._all.total() @ matrix.T)
        self._turn = vectors.T

    def without(self, fold: int | None) -> Affine:
        """The whitening of all rows but those of one fold, or of all rows, for turned rows."""
        kept = [one for index, one in enumerate(self._moments) if index != fold]
        weight, bias = self._whitening(reduce(add, kept))
        # A rotation changes no solution, so float32 will do for it.
        turned = self._turn.float() @ torch.cat([weight, bias[:, None]], dim=1).float()
        return Affine(turned[:, :-1].double(), turned[:, -1].double())

    def whole(self) -> Affine:
        """The whitening of all rows, for rows as they were before they were turned."""
        weight, bias = self._whitening(self._all.in_columns(self._axes))
        return Affine(weight, bias - weight @ self._axes.mean.double())

    def _whitening(self, moments: Moments) -> tuple[Tensor, Tensor]:
        n_columns = self._axes.directions.shape[1]
        return whitening(moments, shrinkage=self._shrinkage, n_columns=n_columns)
