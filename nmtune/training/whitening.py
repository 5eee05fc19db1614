"""Within-class whitening: a linear map that evens out how rows of a class vary."""

import torch
from torch import Tensor

_BLOCK_VALUES = 1 << 22


def fit_whitening(
    x: Tensor, y: Tensor, *, n_classes: int, shrinkage: float, weight: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Weight (d, d) and bias (d,), both float32 on x's device, of the map Z = x weight^T + bias.

    Let S be the covariance of x (n, d) within the classes y (n,), with rows weighted by `weight`
    (n,) if given, and a = shrinkage * trace(S) / d. The map turns S + a I into a multiple of the
    identity, and the mean square entry of Z into 1. It shrinks directions in which rows of one
    class differ much, as linear discriminant analysis does; the shrinkage keeps directions with
    hardly any variance from blowing up (Friedman 1989). The map is unique up to a rotation, which
    leaves a penalty ||W||^2 unchanged; this one is lower-triangular, by Cholesky. Sums are in
    float64. If all rows are equal within their classes, the map is a plain scaling; if all rows are
    equal, it gives zeros.
    """
    n_rows, d = x.shape
    share = torch.ones(n_rows, dtype=torch.float64, device=x.device) if weight is None else weight
    share = share.double()
    totals = torch.zeros(n_classes, dtype=torch.float64, device=x.device).index_add_(0, y, share)
    sums = torch.zeros(n_classes, d, dtype=torch.float64, device=x.device)
    squares = torch.zeros(d, d, dtype=torch.float64, device=x.device)
    starts = range(0, n_rows, max(1, _BLOCK_VALUES // d))
    bounds = [(start, min(start + starts.step, n_rows)) for start in starts]
    for start, stop in bounds:
        sums.index_add_(0, y[start:stop], x[start:stop].double() * share[start:stop, None])
    means = sums / totals.clamp_min(torch.finfo(torch.float64).tiny)[:, None]
    mean = sums.sum(0) / share.sum()
    for start, stop in bounds:
        within = (x[start:stop].double() - means[y[start:stop]]) * share[start:stop, None].sqrt()
        squares += within.T @ within
    within_class = squares / share.sum()
    between = (means - mean) * (totals / share.sum()).sqrt()[:, None]
    added = shrinkage * within_class.diagonal().mean()
    if not bool(added > 0):
        added = torch.ones_like(added)
    lower = torch.linalg.cholesky(within_class + added * torch.eye(d, device=x.device))
    # The mean square entry of Z follows from the two covariances, without mapping the rows.
    inverse = torch.linalg.solve_triangular(
        lower, torch.eye(d, dtype=torch.float64, device=x.device), upper=False
    )
    variance = ((inverse @ within_class) * inverse).sum() + (between @ inverse.T).square().sum()
    if bool(variance > 0):
        inverse = inverse / (variance / d).sqrt()
    return inverse.float(), (-(inverse @ mean)).float()
