"""The home of how far a Gram matrix may be trusted: errors of what is read from its eigenvalues.

"The error" is that of entropy and largest ratio of the singular values, the larger of the two, and
eigenvalues come largest first. With p = s / sum(s), H the entropy and lambda = s^2,

    dH / dlambda_i = (-log p_i - H) / (2 s_i sum(s))
    d log(sum(s) / s_1) / dlambda_i = 1 / (2 s_i sum(s)) - [i = 1] / (2 s_1^2).
"""

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

_Array: TypeAlias = NDArray[np.float64]

# Below so many times the norm of the noise an eigenvalue is taken for lost in it.
_RESOLVED = 10
# Standard deviations of a sum of random errors that the estimate allows for.
_DEVIATIONS = 5


def float64_error(gram: _Array, eigenvalues: _Array, *, n_terms: int) -> float:
    """About how large the error is if products of n_terms were summed in float64; errs high.

    Rounding in a sum moves an entry by at most about `rounding` times the largest of the diagonal.
    As random errors that is little, but says nothing of eigenvalues near 0; there the bound is
    that any is moved by `rounding` times the largest eigenvalue.
    """
    rounding = float(np.finfo(np.float64).eps) * math.sqrt(n_terms)
    at_random = random_error(eigenvalues, noise=rounding * float(gram.diagonal().max()))
    return min(at_random, _bound(eigenvalues, noise=rounding * float(eigenvalues[0])))


def _bound(eigenvalues: _Array, *, noise: float) -> float:
    """The error if all eigenvalues are off by `noise`, to the worst effect.

    That moves a singular value s by noise / 2s, or by sqrt(noise) where s is that small itself.
    """
    values = np.sqrt(np.maximum(eigenvalues, 0))
    total = values.sum()
    if total == 0:
        return 0.0
    errors = noise / np.maximum(2 * values, math.sqrt(noise)) / total
    shares = values[values > 0] / total
    entropy = float(-(shares * np.log(shares)).sum())
    information = -np.log(np.maximum(values / total, errors))
    return float((errors * (information + entropy + 1)).sum())


def random_error(eigenvalues: _Array, *, noise: float) -> float:
    """About how large the error is if each entry is off at random with a deviation `noise`.

    Then v_i^T E v_i, the change of an eigenvalue, deviates by sqrt(2) * noise, each on its own: the
    first order is a root of squares. The second order is bounded by the norm of E, which is
    2 sqrt(d) * noise. inf where an eigenvalue is so small that this says nothing.
    """
    norm = 2 * math.sqrt(len(eigenvalues)) * noise
    if not eigenvalues[-1] > _RESOLVED * norm:  # so written, NaN is not trusted either
        return math.inf
    values = np.sqrt(eigenvalues)
    total = values.sum()
    information = -np.log(values / total)
    entropy = float((values / total * information).sum())
    slope = 1 / (2 * values * total)
    of_entropy, of_ratio = slope * (information - entropy), slope.copy()
    of_ratio[0] -= 1 / (2 * eigenvalues[0])
    steepest = max(float(np.linalg.norm(of_entropy)), float(np.linalg.norm(of_ratio)))
    bend = slope * (information + entropy + 1) * norm**2 / (4 * eigenvalues)
    return _DEVIATIONS * math.sqrt(2) * noise * steepest + float(bend.sum())


def float32_noise(chunk: _Array, product: NDArray[Any]) -> float:
    """How far a float32 product is from chunk^T chunk, as a share of its diagonal.

    chunk: (m, d) float64; product: (d, d), chunk^T chunk by way of float32. An entry's error goes
    with the lengths of its two columns, so the differences are taken in units of those; the root
    of their mean square times the largest entry of the diagonal of a Gram matrix is then the
    noise of that matrix, or more. Measured, it holds whatever library and processor it was.
    """
    exact = chunk.T @ chunk
    length = np.sqrt(exact.diagonal())
    # A zero column has no error, and is no reason to divide by zero.
    length[length == 0] = np.inf
    relative = (product - exact) / length
    relative /= length[:, None]
    return float(np.sqrt(np.mean(relative**2)))
