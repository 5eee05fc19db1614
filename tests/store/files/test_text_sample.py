"""A sample of texts keeps the shares of splits and classes, and is always the same."""

import numpy as np

from store.files.text_sample import sampled
from store.files.texts import TextsFile, TextSplit


def texts(**sizes: list[int]) -> TextsFile:
    """Splits by name with the number of rows of each class."""
    splits, row = [], 0
    for name, counts in sizes.items():
        y = np.repeat(np.arange(len(counts)), counts)
        rows = list(range(row, row + len(y)))
        row += len(y)
        ids = [f"id {at}" for at in rows]
        splits.append(
            TextSplit(name=name, texts=[f"text {at}" for at in rows], y=y, rows=rows, ids=ids)
        )
    return TextsFile(classes=["a", "b", "c"], splits=splits)


def test_each_class_of_each_split_keeps_its_share() -> None:
    file = texts(train=[400, 200, 3], test=[200, 100, 97])
    some = sampled(file, 100)
    assert [split.name for split in some.splits] == ["train", "test"]
    assert [np.bincount(split.y).tolist() for split in some.splits] == [[40, 20, 2], [20, 10, 10]]
    for split in some.splits:
        assert split.texts == [f"text {row}" for row in split.rows]
        assert split.ids == [f"id {row}" for row in split.rows]
        assert split.rows == sorted(split.rows)
    assert sampled(file, 100).to_bytes() == some.to_bytes()


def test_fewer_rows_than_the_sample_are_all_taken() -> None:
    file = texts(train=[10, 10], test=[5])
    assert sampled(file, 25) is file


def test_a_rare_class_keeps_two_rows_and_a_single_one_its_only() -> None:
    some = sampled(texts(train=[1000, 7, 1]), 50)
    assert np.bincount(some.splits[0].y).tolist() == [50, 2, 1]
