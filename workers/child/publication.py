"""The home of what a head is given when it is published: a canary, and when to trust it."""

from typing import Final

import numpy as np

from nmtune import Head, HeldOut
from nmtune.trust.knowledge import Knowledge, learn
from nmtune.trust.self_test import canary_rows
from store.files.dataset import DatasetFile

CANARY_SPLITS: Final = ("test", "validation", "train")
"""Where a canary's rows come from: the first split that is there, best one not learnt from."""

MOST_ROWS: Final = 20_000
"""Training rows that are predicted, evenly taken, where none were held out."""


def equip(head: Head, dataset: DatasetFile, held_out: HeldOut | None) -> Head:
    """The head as it is published; the same head and rows give the same bytes.

    held_out: what its training said of rows that it had not learnt from, temperature left out.
    """
    rows = next(dataset.splits[name] for name in CANARY_SPLITS if name in dataset.splits)
    taken = head.with_canary(rows.x[canary_rows(rows.y)])
    return taken.with_knowledge(_knowledge(head, dataset, held_out))


def rows_held_out(head: Head, dataset: DatasetFile, held_out: HeldOut | None) -> HeldOut | None:
    """What the training said of rows that it held out, else the head of the validation rows."""
    validation = dataset.splits.get("validation")
    if held_out is not None or validation is None:
        return held_out
    return HeldOut(logits=head.logits(validation.x), y=np.asarray(validation.y), n_train_rows=0)


def _knowledge(head: Head, dataset: DatasetFile, held_out: HeldOut | None) -> Knowledge:
    train = dataset.splits["train"]
    held_out = rows_held_out(head, dataset, held_out)
    if held_out is None:
        some = train.x[:: -(-len(train.x) // MOST_ROWS)]
        predicted, of_truth = head.logits(some).argmax(axis=1), None
    else:
        predicted = held_out.logits.argmax(axis=1)
        of_truth = held_out.of_truth(head.temperature)
    return learn(
        train.x,
        np.asarray(train.y),
        predicted=predicted,
        of_truth=of_truth,
        n_classes=len(dataset.classes),
        seed=head.configs[0].seed,
    )
