"""The home of within-class whitening: the linear map that evens out how rows of a class vary."""

import torch
from torch import Tensor

_BLOCK_VALUES = 1 << 22


def fit_whitening(
    x: Tensor, y: Tensor, *, n_classes: int, shrinkage: float, weight: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Weight (d, d) and bias (d,), both float32 on x's device, of the map Z = x weight^T + bias.

    With S the covariance of x (n, d) within the classes y (n,), each row weighed by `weight` (n,)
    if given, and a = shrinkage * trace(S) / d, the map turns S + a I into a multiple of the
    identity, and the mean square entry of all Z into 1. Directions in which rows of one class
    differ much are made small, as in linear discriminant analysis; the shrinkage keeps directions
    with hardly any variance from being blown up (Friedman 1989). Such a map is unique up to a
    rotation, under which a penalty ||W||^2 does not change: this one is lower-triangular, by
    Cholesky. Sums are in float64. Rows that are all alike within their classes give a plain
    scaling; rows that are all alike give zeros.
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
    # The map's mean square entry from the two covariances: the rows need not be mapped for it.
    inverse = torch.linalg.solve_triangular(
        lower, torch.eye(d, dtype=torch.float64, device=x.device), upper=False
    )
    variance = ((inverse @ within_class) * inverse).sum() + (between @ inverse.T).square().sum()
    if bool(variance > 0):
        inverse = inverse / (variance / d).sqrt()
    return inverse.float(), (-(inverse @ mean)).float()
