"""Move a head to a new encoder by a bridge, and measure on held-out texts what that costs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nmtune.bridge.mapped_head import mapped_head
from nmtune.bridge.space_map import SpaceMap, check_pairs
from nmtune.errors import DataError
from nmtune.heads.head import Head
from nmtune.numeric.statistics import mean_interval, wilson_interval
from nmtune.trust.knowledge import learn
from nmtune.trust.self_test import self_test_rows

HELD_OUT: Final = 0.2
"""The share of the bridge that tells how good the map is."""

LEAST_AGREEMENT: Final = 0.9
"""Below it, a moved head is published only by force."""

Refit = Callable[[NDArray[np.float32], NDArray[np.int64]], Head]
"""Trains a head on new vectors (n, d) and classes (n,)."""

_Rows = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How often old and moved head choose the same class, on texts that the map has not seen.

    interval: 95 %, Wilson's.
    """

    n_rows: int
    share: float
    interval: tuple[float, float]

    @property
    def is_enough(self) -> bool:
        """Whether the moved head may be published without force."""
        return self.share >= LEAST_AGREEMENT


@dataclass(frozen=True, kw_only=True)
class LabelledTrial:
    """The moved head and one that is refitted to the bridge's labels, on the held-out texts.

    Attributes:
        loss_moved, loss_refitted: mean log loss in nats.
        gain: loss_moved - loss_refitted, with its 95 % interval over the rows.
    """

    n_rows: int
    loss_moved: float
    loss_refitted: float
    gain: float
    gain_interval: tuple[float, float]
    accuracy_moved: float
    accuracy_refitted: float

    @property
    def refit_wins(self) -> bool:
        return self.gain > 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Moved:
    """The result of `move`.

    Attributes:
        head: for new vectors, with self-test rows and knowledge of the bridge's rows. Made of all
            pairs, while `agreement` and `trial` are of a head that was made of four fifths.
        space: the map of all pairs.
        trial: None for a bridge without labels.
    """

    head: Head
    space: SpaceMap
    agreement: Agreement
    trial: LabelledTrial | None

    @property
    def is_refitted(self) -> bool:
        """Whether the head was trained on the bridge's labels, rather than mapped."""
        return self.trial is not None and self.trial.refit_wins


def move(
    head: Head,
    new: _Rows,
    old: _Rows,
    *,
    y: NDArray[np.int64] | None = None,
    refit: Refit | None = None,
    seed: int = 0,
) -> Moved:
    """Move a head of old vectors to new ones, by the same texts embedded by both encoders.

    Parameters
    ----------
    head : Head
        Of the old space.
    new, old : ndarray of float32, shapes (n, d_new) and (n, d_old)
        A text a row; of equal rows only the first counts.
    y : ndarray of int64, shape (n,), optional
        The texts' classes, if the bridge has labels.
    refit : callable, optional
        Trains a head on new vectors and classes; what has the lower log loss on held-out texts is
        taken. Needs y.
    seed : int, default=0
        Chooses the held-out texts.

    Returns
    -------
    Moved

    Raises
    ------
    DataError
        Fewer than 100 different texts, or old vectors that are not the head's.
    """
    if old.shape[1] != head.n_columns:
        raise DataError(
            f"the head takes {head.n_columns:,} columns, and the old encoder's vectors have "
            f"{old.shape[1]:,}",
            field="bridge",
        )
    kept = _different(new)
    check_pairs(len(kept))
    new, old, y = new[kept], old[kept], None if y is None else y[kept]
    order = np.random.default_rng(seed).permutation(len(new))
    n_held_out = round(HELD_OUT * len(new))
    held_out, learnt = np.sort(order[:n_held_out]), np.sort(order[n_held_out:])
    space = SpaceMap.fit(new[learnt], old[learnt], seed=seed)
    tried = mapped_head(head, space).predict_proba(new[held_out])
    agreement = _agreement(tried, head.predict_proba(old[held_out]))
    trial, judged = None, tried
    if y is not None and refit is not None:
        other = refit(new[learnt], y[learnt]).predict_proba(new[held_out])
        trial = _trial(tried, other, y[held_out])
        judged = other if trial.refit_wins else tried
    whole = SpaceMap.fit(new, old, seed=seed)
    is_refitted = trial is not None and trial.refit_wins
    if is_refitted and refit is not None and y is not None:
        made = refit(new, y)
    else:
        made = mapped_head(head, whole)
    of_truth = None if y is None else judged[np.arange(n_held_out), y[held_out]]
    return Moved(
        head=_equipped(made, new, of_truth, seed=seed),
        space=whole,
        agreement=agreement,
        trial=trial,
    )


def _different(rows: _Rows) -> NDArray[np.intp]:
    """The places of the first of equal rows, in order: a held-out text must be no learnt one."""
    row = np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))
    whole = np.ascontiguousarray(rows).view(row)
    return np.sort(np.unique(whole.ravel(), return_index=True)[1])


def _agreement(moved: _Rows, before: _Rows) -> Agreement:
    share = float((moved.argmax(axis=1) == before.argmax(axis=1)).mean())
    return Agreement(n_rows=len(moved), share=share, interval=wilson_interval(share, len(moved)))


def _trial(moved: _Rows, refitted: _Rows, y: NDArray[np.int64]) -> LabelledTrial:
    rows, least = np.arange(len(y)), np.finfo(np.float32).tiny
    losses = [
        -np.log(np.maximum(one[rows, y], least)).astype(np.float64) for one in (moved, refitted)
    ]
    gains = losses[0] - losses[1]
    return LabelledTrial(
        n_rows=len(y),
        loss_moved=float(losses[0].mean()),
        loss_refitted=float(losses[1].mean()),
        gain=float(gains.mean()),
        gain_interval=mean_interval(gains),
        accuracy_moved=float((moved.argmax(axis=1) == y).mean()),
        accuracy_refitted=float((refitted.argmax(axis=1) == y).mean()),
    )


def _equipped(head: Head, x: _Rows, of_truth: NDArray[np.float32] | None, *, seed: int) -> Head:
    """The head with self-test rows and knowledge: of classes it knows what it predicts itself."""
    predicted = head.predict_proba(x).argmax(axis=1).astype(np.int64)
    knowledge = learn(
        x,
        predicted,
        predicted=predicted,
        of_truth=of_truth,
        n_classes=len(head.classes),
        seed=seed,
    )
    return head.with_self_test(x[self_test_rows(predicted)]).with_knowledge(knowledge)
