"""Draw a sample of a dataset of texts: the first ranking of encoders needs no more."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from store.files.texts import TextsFile, TextSplit

FEWEST_OF_CLASS = 2
"""Rows of a class and split that are kept if there are as many: cross-validation needs two."""


def sampled(texts: TextsFile, n_rows: int) -> TextsFile:
    """About n_rows of the texts: of each class in each split the same share, drawn at random.

    Always the same ones, so that they are paid for once. All texts if there are no more than that.
    """
    n_all = sum(len(split.texts) for split in texts.splits)
    if n_all <= n_rows:
        return texts
    share = n_rows / n_all
    return TextsFile(
        classes=texts.classes,
        splits=[_of_split(split, _drawn(split.y, share)) for split in texts.splits],
    )


def _drawn(y: NDArray[np.int64], share: float) -> Sequence[int]:
    """The places to keep, in order."""
    generator = np.random.default_rng(0)
    kept: list[int] = []
    for label in np.unique(y):
        places = np.flatnonzero(y == label)
        n = min(len(places), max(FEWEST_OF_CLASS, round(share * len(places))))
        kept += generator.permutation(places)[:n].tolist()
    return sorted(kept)


def _of_split(split: TextSplit, places: Sequence[int]) -> TextSplit:
    return TextSplit(
        name=split.name,
        texts=[split.texts[place] for place in places],
        y=split.y[list(places)],
        rows=[split.rows[place] for place in places],
        ids=None if split.ids is None else [split.ids[place] for place in places],
    )
