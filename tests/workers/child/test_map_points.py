"""Which rows a map shows, and where."""

import numpy as np
import pytest

from store.files.job_map import MOST_POINTS
from store.files.job_rows import JobRows, Predictions, SplitRows, Suspects
from workers.child.map_points import choose


def many_rows(
    n_rows: dict[str, int], *, n_wrong: dict[str, int], n_suspects: int = 0, n_classes: int = 5
) -> JobRows:
    """Rows of which the first of each split are predicted wrong; class 4 has one row in 500."""

    def split(name: str) -> SplitRows:
        label = np.arange(n_rows[name]) % (n_classes - 1)
        label[::500] = n_classes - 1
        predicted = label.copy()
        predicted[: n_wrong[name]] = (label[: n_wrong[name]] + 1) % n_classes
        said = Predictions(predicted=predicted, label_probability=np.zeros(len(label), np.uint16))
        return SplitRows(label=label, predictions={"auto": said})

    suspects = np.arange(n_rows["train"] - n_suspects, n_rows["train"], dtype=np.uint32)
    return JobRows(
        classes=[str(index) for index in range(n_classes)],
        published="auto",
        candidates=["auto"],
        dataset_sha256="d" * 64,
        splits={name: split(name) for name in n_rows},
        suspects=Suspects(
            rows=suspects,
            suggested=np.zeros(n_suspects, np.uint32),
            neighbours=np.zeros((0, 5), np.uint32),
            similarities=np.zeros((0, 5), np.float32),
        ),
    )


def test_few_rows_are_all_shown_in_their_order() -> None:
    rows = many_rows({"train": 300, "test": 40}, n_wrong={"train": 3, "test": 2})
    chosen = choose(rows, seed=0)
    assert [len(at) for at in chosen.values()] == [300, 40]
    np.testing.assert_array_equal(chosen["test"], np.arange(40))


def test_of_many_rows_the_striking_ones_come_first_and_all_classes_stay() -> None:
    sizes = {"train": 60_000, "test": 6_000, "ood/a": 300}
    rows = many_rows(sizes, n_wrong={"train": 900, "test": 100, "ood/a": 30}, n_suspects=200)
    chosen = choose(rows, seed=1)
    assert sum(len(at) for at in chosen.values()) == MOST_POINTS
    assert set(range(900)) | set(range(59_800, 60_000)) <= set(chosen["train"].tolist())
    assert set(range(100)) <= set(chosen["test"].tolist())
    n_plain = MOST_POINTS - 900 - 100 - 30 - 200
    for name, n_striking in (("train", 1100), ("test", 100)):
        share = (len(chosen[name]) - n_striking) / n_plain
        assert share == pytest.approx((sizes[name] - n_striking) / 65_070, abs=0.01)
        counts = np.bincount(rows.splits[name].label[chosen[name]])
        assert counts.min() >= 1
        assert counts[:4] / counts[:4].sum() == pytest.approx(0.25, abs=0.02)
    assert all((np.diff(at) > 0).all() for at in chosen.values())


def test_striking_rows_leave_half_of_the_map_to_the_others() -> None:
    sizes = {"train": 40_000, "test": 100}
    rows = many_rows(sizes, n_wrong={"train": 30_000, "test": 0})
    chosen = choose(rows, seed=2)
    n_wrong = int((chosen["train"] < 30_000).sum())
    assert n_wrong == MOST_POINTS // 2
    assert len(chosen["train"]) + len(chosen["test"]) == MOST_POINTS


def test_if_nearly_all_are_striking_they_fill_the_map() -> None:
    rows = many_rows({"train": 20_000}, n_wrong={"train": 19_990})
    chosen = choose(rows, seed=3)
    assert len(chosen["train"]) == MOST_POINTS
    assert set(range(19_990, 20_000)) <= set(chosen["train"].tolist())


def test_the_choice_depends_on_the_seed_alone() -> None:
    rows = many_rows({"train": 30_000}, n_wrong={"train": 10})
    first, again, other = (choose(rows, seed=seed)["train"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_more_classes_than_points() -> None:
    rows = many_rows({"train": 30_000}, n_wrong={"train": 0}, n_classes=20_000)
    labels = rows.splits["train"].label[choose(rows, seed=0)["train"]]
    assert len(np.unique(labels)) == MOST_POINTS
