"""Choose which rows without labels are worth a label.

Most rows that are chosen are those the head is least sure of, spread out: of the SHORTLIST times as
many rows with the smallest margin between the two best classes, k are drawn one after another, each
with a probability proportional to its squared distance to the rows drawn before, times its doubt
(k-means++ seeding, Arthur & Vassilvitskii 2007, weighted as in Zhdanov 2019, arXiv 1901.05954). A
share goes to rows that look unlike the training rows by the head's OOD score: there a head may be
sure and wrong. Rows that repeat a chosen one are left out; those that nearly do come last.

`make bench-select` compares the rule with random choice.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

SHORTLIST: Final = 5
"""Rows looked at for each row chosen."""
OOD_SHARE: Final = 0.2
"""The share of the chosen rows that goes to OOD rows, if there are as many."""
NEAR_DUPLICATE: Final = 0.02
"""Of two rows this close one is enough, as long as there are others: a share of the squared
distance that two rows usually have. For embeddings of length 1 it is about a cosine of 0.98."""
_REPEATED: Final = 1e-6
"""The same for rows that are the same up to rounding, which are never chosen twice."""

_Indices = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, eq=False)
class Shortlist:
    """The rows whose embeddings are looked at, as indices of the pool.

    Attributes:
        uncertain: (u,), the least margin first; none of them is in `ood`.
        doubts: (u,), 1 minus their margins.
        ood: (o,), rows above the threshold, in random order.
        n_ood: how many of these to choose at most.
    """

    uncertain: _Indices
    doubts: NDArray[np.float32]
    ood: _Indices
    n_ood: int


def margins_of(probabilities: NDArray[np.floating]) -> NDArray[np.float32]:
    """How much the most probable class leads (n,), from probabilities (n, c); 1: quite sure."""
    best = np.partition(probabilities, -2, axis=1)
    return (best[:, -1] - best[:, -2]).astype(np.float32)


def shortlist(
    margins: NDArray[np.float32],
    is_ood: NDArray[np.bool_],
    k: int,
    *,
    ood_share: float = OOD_SHARE,
    seed: int = 0,
) -> Shortlist:
    """The rows to look at for choosing k, from margins (n,) and OOD flags (n,)."""
    n_ood = int(k * ood_share)
    outside = np.flatnonzero(is_ood) if n_ood else np.zeros(0, np.intp)
    ood = np.random.default_rng(seed).permutation(outside)[: SHORTLIST * n_ood]
    order = np.argsort(margins, kind="stable")
    order = order[~np.isin(order, ood)][: SHORTLIST * k]
    return Shortlist(uncertain=order, doubts=1 - margins[order], ood=ood, n_ood=n_ood)


def choose(
    found: Shortlist,
    x_uncertain: NDArray[np.float32],
    x_ood: NDArray[np.float32],
    k: int,
    *,
    seed: int = 0,
) -> tuple[_Indices, _Indices]:
    """At most k rows as indices of the pool: the uncertain ones, then the OOD ones, as drawn.

    x_uncertain (u, d), x_ood (o, d): the embeddings of the shortlist. There are fewer than k only
    if the shortlist has no more rows that differ.
    """
    random = np.random.default_rng(seed)
    both = np.concatenate([x_uncertain, x_ood])
    # By a power of two, which changes no digit: float32 has no square of 1e20.
    both = np.ldexp(both, -np.frexp(np.abs(both).max(initial=0))[1])
    both = both - both.mean(axis=0, dtype=np.float64).astype(np.float32)
    pairs = both - both[random.permutation(len(both))]
    usual = float(np.median(np.einsum("ij,ij->i", pairs, pairs)))
    x_uncertain, x_ood = both[: len(x_uncertain)], both[len(x_uncertain) :]
    of_ood = _spread(x_ood, np.ones(len(x_ood)), found.n_ood, both[:0], usual, random)
    of_doubt = _spread(x_uncertain, found.doubts, k - len(of_ood), x_ood[of_ood], usual, random)
    return found.uncertain[of_doubt], found.ood[of_ood]


def _spread(
    x: NDArray[np.float32],
    weights: NDArray[np.floating],
    k: int,
    chosen: NDArray[np.float32],
    usual: float,
    random: np.random.Generator,
) -> _Indices:
    """At most k rows of x (n, d), far from each other and from `chosen` (m, d).

    usual: the squared distance that two rows usually have.
    """
    squares = np.einsum("ij,ij->i", x, x, dtype=np.float64)
    distances = np.full(len(x), np.inf)
    weights = np.maximum(weights.astype(np.float64), np.finfo(np.float32).tiny)
    found: list[int] = []

    def take(row: NDArray[np.float32]) -> None:
        square = float(row.astype(np.float64) @ row)
        np.minimum(distances, squares + square - 2 * (x @ row), out=distances)
        weights[distances <= _REPEATED * max(usual, square)] = 0

    for row in chosen:
        take(row)
    while len(found) < min(k, len(x)):
        if np.isinf(distances).all():
            at = int(weights.argmax())
        else:
            worth = weights * np.maximum(distances, 0)
            others = np.where(distances <= NEAR_DUPLICATE * usual, 0, worth)
            worth = others if others.any() else worth
            if not worth.any():
                break
            at = int(random.choice(len(x), p=worth / worth.sum()))
        found.append(at)
        take(x[at])
        weights[at] = 0
    return np.array(found, np.intp)
