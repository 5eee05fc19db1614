"""Estimate how far entropy and largest ratio from a Gram matrix can be trusted.

"The error" is the larger of the errors of entropy and largest ratio of the singular values, and
eigenvalues come largest first. With p = s / sum(s), H the entropy and lambda = s^2,

    dH / dlambda_i = (-log p_i - H) / (2 s_i sum(s))
    d log(sum(s) / s_1) / dlambda_i = 1 / (2 s_i sum(s)) - [i = 1] / (2 s_1^2).
"""

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

_Array: TypeAlias = NDArray[np.float64]

# An eigenvalue below this many times the norm of the noise counts as lost in it.
_RESOLVED = 10
# The estimate allows for this many standard deviations of a sum of random errors.
_DEVIATIONS = 5


def float64_error(gram: _Array, eigenvalues: _Array, *, n_terms: int) -> float:
    """Estimate the error of products of n_terms summed in float64; errs high.

    Rounding in a sum moves an entry by at most about `rounding` times the largest diagonal entry.
    Taken as random errors that is little, but says nothing about eigenvalues near 0; for those the
    bound assumes that each moves by `rounding` times the largest eigenvalue.
    """
    rounding = float(np.finfo(np.float64).eps) * math.sqrt(n_terms)
    at_random = random_error(eigenvalues, noise=rounding * float(gram.diagonal().max()))
    return min(at_random, _bound(eigenvalues, noise=rounding * float(eigenvalues[0])))


def _bound(eigenvalues: _Array, *, noise: float) -> float:
    """The error in the worst case in which all eigenvalues are off by `noise`.

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
    """Estimate the error if each entry is off at random with a deviation `noise`.

    Then v_i^T E v_i, the change of an eigenvalue, has a deviation of sqrt(2) * noise, independently
    of the others: the first order is a root of squares. The second order is bounded by the norm of
    E, which is 2 sqrt(d) * noise. It is inf if an eigenvalue is too small for this to hold.
    """
    norm = 2 * math.sqrt(len(eigenvalues)) * noise
    if not eigenvalues[-1] > _RESOLVED * norm:  # written so that NaN is not trusted either
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
    """How far a float32 product is from chunk^T chunk, relative to its diagonal.

    chunk: (m, d) float64; product: (d, d), chunk^T chunk in float32. An entry's error grows with
    the lengths of its two columns, so differences are taken in units of those. The root of their
    mean square, times the largest diagonal entry of a Gram matrix, bounds the noise of that matrix.
    As it is measured, it holds for any library and processor.
    """
    exact = chunk.T @ chunk
    length = np.sqrt(exact.diagonal())
    # A zero column has no error; avoid dividing by zero.
    length[length == 0] = np.inf
    relative = (product - exact) / length
    relative /= length[:, None]
    return float(np.sqrt(np.mean(relative**2)))
