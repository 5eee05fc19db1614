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
) -> Head:
    """The head as it is published; the same head and rows give the same bytes.

    held_out: its training's held-out predictions, before the temperature. predicted: the classes
    (n,) that the head itself predicts for the n training rows. like: another head of the job that
    is equipped already, whose knowledge of the training rows is taken over; it saves the time of
    learning it again and changes nothing.
    """
    rows = next(dataset.splits[name] for name in SELF_TEST_SPLITS if name in dataset.splits)
    taken = head.with_self_test(rows.x[self_test_rows(rows.y)])
    seen, of_truth = _seen(head, dataset, held_out, predicted)
    if like is not None and like.knowledge is not None:
        return taken.with_knowledge(like.knowledge.of_other_head(predicted=seen, of_truth=of_truth))
    train = dataset.splits[TRAIN]
    return taken.with_knowledge(
        learn(
            train.x,
            np.asarray(train.y),
            predicted=seen,
            of_truth=of_truth,
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


def _seen(
    head: Head, dataset: DatasetFile, held_out: HeldOut | None, predicted: NDArray[Any]
) -> tuple[NDArray[np.intp], NDArray[np.floating[Any]] | None]:
    """Predicted classes, and the true class's probability if rows were held out."""
    found = rows_held_out(head, dataset, held_out)
    if found is None:
        return predicted[:: -(-len(predicted) // MOST_ROWS)].astype(np.intp), None
    return found.logits.argmax(axis=1), found.of_truth(head.temperature)
