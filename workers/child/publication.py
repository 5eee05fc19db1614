"""Equip a head for publication: self-test rows, and knowledge of when to trust it."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from nmtune import Head, HeldOut
from nmtune.trust.knowledge import Knowledge, learn
from nmtune.trust.self_test import self_test_rows
from nmtune.vocabulary import ID_SPLIT, TRAIN, VALIDATION
from store.files.dataset import DatasetFile

SELF_TEST_SPLITS: Final = (ID_SPLIT, VALIDATION, TRAIN)
"""Where self-test rows come from: the first of these splits that the data set has."""

MOST_ROWS: Final = 20_000
"""Training rows, evenly spaced, that are predicted if no rows were held out."""


def equip(
    head: Head,
    dataset: DatasetFile,
    held_out: HeldOut | None,
    *,
    noise: NDArray[np.float64] | None = None,
) -> Head:
    """The head as it is published; the same head and rows give the same bytes.

    held_out: its training's held-out predictions, before the temperature. noise: the noise matrix
    that the head is calibrated through, if it is.
    """
    rows = next(dataset.splits[name] for name in SELF_TEST_SPLITS if name in dataset.splits)
    taken = head.with_self_test(rows.x[self_test_rows(rows.y)])
    return taken.with_knowledge(_knowledge(head, dataset, held_out, noise))


def rows_held_out(head: Head, dataset: DatasetFile, held_out: HeldOut | None) -> HeldOut | None:
    """The training's held-out predictions, or else the head's on the validation rows."""
    validation = dataset.splits.get(VALIDATION)
    if held_out is not None or validation is None:
        return held_out
    return HeldOut(logits=head.logits(validation.x), y=np.asarray(validation.y), n_train_rows=0)


def _knowledge(
    head: Head,
    dataset: DatasetFile,
    held_out: HeldOut | None,
    noise: NDArray[np.float64] | None,
) -> Knowledge:
    train = dataset.splits[TRAIN]
    held_out = rows_held_out(head, dataset, held_out)
    weights = None
    if held_out is None:
        some = train.x[:: -(-len(train.x) // MOST_ROWS)]
        predicted, of_truth = head.logits(some).argmax(axis=1), None
    else:
        predicted = held_out.logits.argmax(axis=1)
        of_truth = held_out.of_truth(head.temperature)
        if noise is not None:
            of_truth, weights = held_out.of_right(head.temperature, noise)
    return learn(
        train.x,
        np.asarray(train.y),
        predicted=predicted,
        of_truth=of_truth,
        weights=weights,
        n_classes=len(dataset.classes),
        seed=head.configs[0].seed,
    )
