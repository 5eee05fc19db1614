"""Principal axes: coordinates in which the rows' columns are uncorrelated, and no more than rows.

The minimum of a loss with a penalty ||W||^2 does not depend on a rotation of the rows, and it lies
in the span of the rows. So it can be searched in these coordinates, where the curvature of a linear
probe's objective is nearly diagonal and known.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

_BLOCK_VALUES = 1 << 22
_LEAST_VARIANCE = 1e-10
"""Relative to the largest; directions below it are rounding. Only dropped if n < d."""


@dataclass(frozen=True, eq=False)
class Axes:
    """Orthonormal directions (r, d), the mean (d,) that they are measured from, and the rows'
    variances (r,) along them; float32."""

    directions: Tensor
    mean: Tensor
    variances: Tensor

    @classmethod
    def of(cls, x: Tensor) -> "Axes":
        """The principal axes of x (n, d): d of them, or at most n if there are fewer rows."""
        n_rows, d = x.shape
        mean = x.mean(0, dtype=torch.float64)
        if n_rows < d:
            centred = x.double() - mean
            values, vectors = torch.linalg.eigh(centred @ centred.T)
            kept = values > _LEAST_VARIANCE * values[-1]
            kept[-1] = True
            norms = values[kept].clamp_min(torch.finfo(torch.float64).tiny).sqrt()
            directions, sums = (vectors[:, kept] / norms).T @ centred, values[kept]
        else:
            covariance = torch.zeros(d, d, dtype=torch.float64, device=x.device)
            for at in _blocks(x):
                block = x[at] - mean.float()
                covariance += block.T @ block
            sums, vectors = torch.linalg.eigh(covariance)
            directions = vectors.T
        variances = (sums / n_rows).clamp_min(0)
        return cls(directions.float().contiguous(), mean.float(), variances.float())

    def turn(self, x: Tensor) -> Tensor:
        """The rows x (n, d) in these coordinates (n, r); overwrites x if r = d."""
        r = len(self.directions)
        turned = x if r == x.shape[1] else torch.empty(len(x), r, device=x.device)
        for at in _blocks(x):
            turned[at] = (x[at] - self.mean) @ self.directions.T
        return turned

    def back(self, coefficients: Tensor) -> Tensor:
        """Coefficients (c, d + 1) for the rows as they were, from those (c, r + 1) for turned."""
        weight = coefficients[:, :-1] @ self.directions.to(coefficients.dtype)
        bias = coefficients[:, -1:] - weight @ self.mean.to(coefficients.dtype)[:, None]
        return torch.cat([weight, bias], dim=1)


def _blocks(x: Tensor) -> list[slice]:
    n_rows = max(1, _BLOCK_VALUES // x.shape[1])
    return [slice(start, start + n_rows) for start in range(0, len(x), n_rows)]
