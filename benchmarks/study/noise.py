"""Make labels wrong: anywhere, by their class, or where the row itself is ambiguous."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.study.encoders import Encoder
from benchmarks.study.pretraining import pretrain
from benchmarks.study.sizes import CLEAN, Kind, Steps
from benchmarks.study.task import Rows

_STREAM = 7
"""Of a seed's random numbers: apart from its initial weights and the order of its rows."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Confusions:
    """What clean models, asked about rows that they did not learn from, take them for.

    other: (n,), the most probable class but the true one. ambiguity: (n,) in 0..1, a row's rank by
    how far the true class is ahead of that; 1 is the most ambiguous row. of_class: (c,), the class
    that the rows of each class are most often taken for.
    """

    other: NDArray[np.int64]
    ambiguity: NDArray[np.float64]
    of_class: NDArray[np.int64]


def confusions(encoder: Encoder, rows: Rows, *, n_classes: int, steps: Steps) -> Confusions:
    """From two models, each trained on one half of the rows and asked about the other.

    Their seed is no cell's.
    """
    halves = torch.from_numpy(np.random.default_rng(_STREAM).permutation(len(rows)))
    half = len(rows) // 2
    pools = torch.stack([halves[:half], halves[half : 2 * half]])
    models = pretrain(
        encoder,
        rows.x,
        rows.y.expand(2, -1),
        n_classes=n_classes,
        seeds=[2**31, 2**31],
        steps=steps,
        pools=pools,
    )
    logits = models.logits(rows.x)
    learned = torch.zeros(len(rows), dtype=torch.bool, device=rows.y.device)
    learned[pools[0].to(learned.device)] = True
    held_out = torch.where(learned[:, None], logits[1], logits[0]).double().log_softmax(1)
    return confusions_of(held_out.cpu().numpy(), rows.y.cpu().numpy())


def confusions_of(scores: NDArray[np.float64], y: NDArray[np.int64]) -> Confusions:
    """From held-out log probabilities (n, c)."""
    at = np.arange(len(y))
    others = scores.copy()
    others[at, y] = -np.inf
    other = others.argmax(1)
    lead = scores[at, y] - others[at, other]
    rank = np.argsort(np.argsort(-lead, kind="stable"), kind="stable")
    by_class = np.zeros((scores.shape[1],) * 2)
    np.add.at(by_class, y, np.exp(scores))
    np.fill_diagonal(by_class, -1)
    return Confusions(other=other, ambiguity=rank / max(1, len(y) - 1), of_class=by_class.argmax(1))


def noisy(
    y: NDArray[np.int64],
    *,
    kind: Kind | str,
    level: float,
    seed: int,
    n_classes: int,
    found: Confusions,
) -> NDArray[np.int64]:
    """Labels (n,) of which about the share `level` is wrong.

    A seed draws the same numbers at every level, so what is wrong at a level is wrong at the next.
    `uniform`: any other class. `class`: the class that the row's class is most often taken for.
    `instance`: the class that the row is taken for, with a probability that rises evenly from 0 for
    the clearest row to 2 level for the most ambiguous one.
    """
    if kind == CLEAN:
        return y.copy()
    random = np.random.default_rng((seed, _STREAM))
    drawn, shift = random.random(len(y)), random.integers(1, n_classes, len(y))
    probability = np.full(len(y), level)
    if kind == "uniform":
        wrong = (y + shift) % n_classes
    elif kind == "class":
        wrong = found.of_class[y]
    elif kind == "instance":
        wrong = found.other
        probability = 2 * level * found.ambiguity
    else:
        raise ValueError(f"no such kind of noise: {kind!r}")
    return np.where(drawn < probability, wrong, y)


def as_labels(labels: list[NDArray[np.int64]], device: torch.device) -> Tensor:
    """(m, n) on the device."""
    return torch.from_numpy(np.stack(labels)).to(device)
