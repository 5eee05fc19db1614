r"""Correct probabilities to known class shares.

A head learns how common each class is, and its probabilities hold for rows with the shares of its
training rows. Where the classes look the same but are more or less common, Bayes' rule corrects
them (Saerens, Latinne & Decaestecker 2002, Neural Computation 14):

.. math:: p'(y \mid x) \propto p(y \mid x) \, \pi'(y) / \pi(y)

with the shares :math:`\pi` of the training rows and :math:`\pi'` of the rows to predict.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nmtune.errors import DataError

FIELD: Final = "class_shares"
TOLERANCE: Final = 1e-6
"""How far from 1 the shares may add up: nothing is normalised silently."""

_SHOWN: Final = 5


class ClassSharesUnknownError(DataError):
    """The head does not know the shares of its training rows, or has none of some class."""

    code = "class_shares_unknown"


def check(shares: Mapping[str, float], classes: Sequence[str]) -> NDArray[np.float64]:
    """The shares (c,) in the order of `classes`.

    Raises DataError (field "class_shares"), which names the class, unless there is a share above 0
    for each class and for nothing else, and they add up to 1.
    """
    unknown = [name for name in shares if name not in set(classes)]
    if unknown:
        raise _wrong(
            f"class_shares names {_listed(unknown)}, which the head does not know: its classes are "
            f"{_listed(classes)}"
        )
    missing = [name for name in classes if name not in shares]
    if missing:
        raise _wrong(
            f"class_shares must have every class of the head, but lacks {_listed(missing)}"
        )
    for name, share in shares.items():
        if not 0 < share <= 1:
            raise _wrong(
                f"the share of {_listed([name])} must be above 0 and at most 1, got {share:g}"
                + (": give a class that hardly occurs a small share" if share == 0 else "")
            )
    total = math.fsum(shares.values())
    if abs(total - 1) > TOLERANCE:
        raise _wrong(f"class_shares must add up to 1, but add up to {total:.9g}")
    return np.array([shares[name] for name in classes])


def offsets(
    wanted: Mapping[str, float], trained: Mapping[str, float] | None, classes: Sequence[str]
) -> NDArray[np.float32]:
    """What to add to a head's scores (n, c) to have its probabilities hold for the shares `wanted`.

    trained: the shares of the rows that it learnt from. Raises DataError as `check` does, and
    ClassSharesUnknownError if they are not known or lack a class.

    Examples
    --------
    >>> from nmtune.heads.class_shares import offsets
    >>> wanted, trained = {"ham": 0.5, "spam": 0.5}, {"ham": 0.8, "spam": 0.2}
    >>> offsets(wanted, trained, ["ham", "spam"]).round(2).tolist()
    [-0.4699999988079071, 0.9200000166893005]
    """
    shares = check(wanted, classes)
    if trained is None:
        raise ClassSharesUnknownError(
            "this head does not know the class shares of its training rows, which were not "
            "recorded when it was trained: train it again, or leave out class_shares",
            field=FIELD,
        )
    without = [name for name in classes if not trained.get(name)]
    if without:
        raise ClassSharesUnknownError(
            f"the head has learnt from no row of {_listed(without)}, so its probabilities cannot "
            "be corrected to other class shares: leave out class_shares",
            field=FIELD,
        )
    learnt = np.array([trained[name] for name in classes])
    return np.asarray(np.log(shares) - np.log(learnt), np.float32)


def shares_of(y: NDArray[np.integer], classes: Sequence[str]) -> dict[str, float]:
    """The share of each class among labels y (n,)."""
    counts = np.bincount(y, minlength=len(classes))
    return dict(zip(classes, (counts / len(y)).tolist(), strict=True))


def _wrong(message: str) -> DataError:
    return DataError(message, field=FIELD)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:80]) for name in names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else "")
