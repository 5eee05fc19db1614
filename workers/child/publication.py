"""Equip a head for publication: self-test rows, and knowledge of when to trust it."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nmtune import Head, HeldOut
from nmtune.trust.knowledge import learn
from nmtune.trust.self_test import self_test_rows
from nmtune.vocabulary import ID_SPLIT, TRAIN, VALIDATION
from store.files.dataset import DatasetFile

SELF_TEST_SPLITS: Final = (ID_SPLIT, VALIDATION, TRAIN)
"""Where self-test rows come from: the first of these splits that the data set has."""

MOST_ROWS: Final = 20_000
"""Training rows, evenly spaced, whose predictions count if no rows were held out."""


def equip(
    head: Head,
    dataset: DatasetFile,
    held_out: HeldOut | None,
    *,
    predicted: NDArray[Any],
    like: Head | None = None,
    noise: NDArray[np.float64] | None = None,
) -> Head:
    """The head as it is published; the same head and rows give the same bytes.

    held_out: its training's held-out predictions, before the temperature. predicted: the classes
    (n,) that the head itself predicts for the n training rows. like: another head of the job that
    is equipped already, whose knowledge of the training rows is taken over; it saves the time of
    learning it again and changes nothing. noise: the noise matrix that the head is calibrated
    through, if it is.
    """
    rows = next(dataset.splits[name] for name in SELF_TEST_SPLITS if name in dataset.splits)
    taken = head.with_self_test(rows.x[self_test_rows(rows.y)])
    seen, of_truth, weights = _seen(head, dataset, held_out, predicted, noise)
    if like is not None and like.knowledge is not None:
        return taken.with_knowledge(
            like.knowledge.of_other_head(predicted=seen, of_truth=of_truth, weights=weights)
        )
    train = dataset.splits[TRAIN]
    return taken.with_knowledge(
        learn(
            train.x,
            np.asarray(train.y),
            predicted=seen,
            of_truth=of_truth,
            weights=weights,
            n_classes=len(dataset.classes),
            seed=head.configs[0].seed,  # which all candidates of a job share
        )
    )


def rows_held_out(head: Head, dataset: DatasetFile, held_out: HeldOut | None) -> HeldOut | None:
    """The training's held-out predictions, or else the head's on the validation rows."""
    validation = dataset.splits.get(VALIDATION)
    if held_out is not None or validation is None:
        return held_out
    return HeldOut(logits=head.logits(validation.x), y=np.asarray(validation.y), n_train_rows=0)


_Numbers = NDArray[np.floating[Any]]


def _seen(
    head: Head,
    dataset: DatasetFile,
    held_out: HeldOut | None,
    predicted: NDArray[Any],
    noise: NDArray[np.float64] | None,
) -> tuple[NDArray[np.intp], _Numbers | None, _Numbers | None]:
    """Predicted classes; if rows were held out, the true class's probability, and its weights."""
    found = rows_held_out(head, dataset, held_out)
    if found is None:
        return predicted[:: -(-len(predicted) // MOST_ROWS)].astype(np.intp), None, None
    if noise is not None:
        return found.logits.argmax(axis=1), *found.of_right(head.temperature, noise)
    return found.logits.argmax(axis=1), found.of_truth(head.temperature), None
