"""What the report says of a few labels of a new domain: honest, and only where there are rows."""

from pathlib import Path

import numpy as np
import pytest

from nmtune import Head, Trainer, TuneConfig
from nmtune.heads import adaptation
from store.files.dataset import DatasetFile, DatasetWriter
from workers.child import new_domain

CLASSES = ("cat", "dog", "owl")


def _file(path: Path, sizes: dict[str, int], *, shift: float) -> DatasetFile:
    """Clouds by class; those of OOD splits are moved towards the first class."""
    random = np.random.default_rng(0)
    with DatasetWriter(
        path, classes=CLASSES, n_columns=4, dtype=np.float32, splits=list(sizes.items())
    ) as writer:
        for name, n_rows in sizes.items():
            y = np.arange(n_rows) % 3
            x = random.normal(size=(n_rows, 4)) + 2 * np.eye(4)[y]
            x[:, 0] += shift * name.startswith("ood")
            writer.x(name)[:], writer.y(name)[:] = x, y
    return DatasetFile.open(path)


def _head(dataset: DatasetFile) -> Head:
    train = dataset.splits["train"]
    config = TuneConfig.from_preset("linear_probe")
    trainer = Trainer(train.x, train.y, classes=CLASSES, config=config)
    for _ in trainer:
        pass
    return trainer.result().head


def test_labels_of_a_shifted_domain_are_worth_something(tmp_path: Path) -> None:
    dataset = _file(tmp_path / "a", {"train": 300, "ood/far": 500}, shift=2.5)
    found = new_domain.of_splits(_head(dataset), dataset)["new_domain"]
    one = found["splits"]["ood/far"]
    assert [size["n_labels"] for size in one["sizes"]] == [20, 50, 200]
    assert one["sizes"][-1]["gain"] > 0.1
    for size in one["sizes"]:
        low, high = size["gain_interval"]
        assert low <= size["gain"] <= high
        assert size["accuracy"] - size["gain"] == pytest.approx(one["accuracy"], abs=0.05)
    assert "On far the head is right on" in found["sentence"]
    assert "draw them at random" in found["hint"]
    assert new_domain.of_splits(_head(dataset), dataset)["new_domain"] == found


def test_labels_that_say_nothing_are_worth_nothing(tmp_path: Path) -> None:
    """With labels at random an adaptation that was judged on its own rows would seem to gain."""
    dataset = _file(tmp_path / "a", {"train": 300, "ood/noise": 300}, shift=0)
    head = _head(dataset)
    y = np.random.default_rng(1).permutation(np.arange(300) % 3)
    one = new_domain._of_domain(
        head, np.asarray(dataset.splits["ood/noise"].x), y, seed=0, n_draws=4
    )
    for size in one["sizes"]:
        assert size["accuracy"] < 1 / 3 + 0.08


def test_it_measures_nothing_that_it_does_not_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each draw chooses and fits one change: the nested folds would cost more than the training."""
    draws: list[int] = []
    choose = adaptation._choose

    def counted(rows: adaptation._Rows, **how: int) -> adaptation._Strengths:
        draws.append(len(rows.y))
        return choose(rows, **how)

    monkeypatch.setattr(adaptation, "_choose", counted)
    few = _file(tmp_path / "a", {"train": 300, "ood/far": 500}, shift=2.5)
    new_domain.of_splits(_head(few), few)
    assert draws == [20] * 4 + [50] * 4 + [200] * 4
    draws.clear()
    many = _file(tmp_path / "b", {"train": 300} | {f"ood/{at}": 60 for at in range(10)}, shift=1)
    found = new_domain.of_splits(_head(many), many)["new_domain"]
    assert draws == [20] * 3 * new_domain.MOST_DOMAINS
    assert "Means over 3 draws" in found["sentence"]


def test_labels_of_one_class_leave_the_head_as_it_is(tmp_path: Path) -> None:
    dataset = _file(tmp_path / "a", {"train": 300, "ood/cats": 60}, shift=0)
    x = np.asarray(dataset.splits["ood/cats"].x)
    one = new_domain._of_domain(_head(dataset), x, np.zeros(60, np.int64), seed=0, n_draws=4)
    assert [size["gain"] for size in one["sizes"]] == [0.0]


def test_without_a_domain_of_enough_rows_there_is_no_section(tmp_path: Path) -> None:
    dataset = _file(tmp_path / "a", {"train": 300, "test": 300, "ood/few": 39}, shift=1)
    assert new_domain.of_splits(_head(dataset), dataset) == {}
