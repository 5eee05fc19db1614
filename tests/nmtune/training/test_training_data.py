"""What rows and labels can be trained on, whatever their form, and how the others are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nmtune.config import PRESETS, TuneConfig
from nmtune.errors import DataError
from nmtune.training.trainer import Fit, Trainer

PAPER = TuneConfig.from_preset("paper", epochs=3, batch_size=20)
REFERENCE = TuneConfig.from_preset("reference", epochs=3, batch_size=20, scaling="rms")
MLP = TuneConfig.from_preset("mlp", epochs=3, batch_size=20, scaling="standardise")
CONFIGS = {"paper": PAPER, "reference": REFERENCE, "mlp": MLP}


def trained(trainer: Trainer) -> Fit:
    for _ in trainer:
        pass
    return trainer.result()


def test_rows_of_any_kind_give_the_same_head_and_are_left_alone(rows: Any, tmp_path: Path) -> None:
    x = rows.x.astype(np.float16)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    own = x.astype(np.float64)
    heads = {
        trained(
            Trainer(given_x, given_y, classes=list(rows.classes), config=REFERENCE)
        ).head.to_bytes()
        for given_x, given_y in (
            (mapped, rows.y),
            (x.astype(np.float32), rows.y.astype(np.uint8)),
            (own, rows.y.tolist()),
            (np.asfortranarray(own), rows.y),
        )
    }
    assert len(heads) == 1
    np.testing.assert_array_equal(own, x.astype(np.float64))


@pytest.mark.parametrize("n", [2, 3, 19, 20, 21, 24, 25, 41])
@pytest.mark.parametrize("name", CONFIGS)
def test_any_number_of_rows_from_two_trains(name: str, n: int, rows: Any) -> None:
    at = np.linspace(0, 89, n).astype(int)
    trainer = Trainer(rows.x[at], rows.y[at], classes=rows.classes, config=CONFIGS[name])
    fit = trained(trainer)
    assert np.isfinite(fit.head.predict_proba(rows.x)).all()
    assert len(fit.history) == 3


def test_one_column_and_two_classes_train(rows: Any) -> None:
    x, y = rows.x[:60, :1], rows.y[:60]
    fit = trained(Trainer(x, y, classes=("a", "b"), config=REFERENCE))
    assert fit.head.predict_proba(x).shape == (60, 2)
    assert fit.notes == (
        "k = 5 covers every singular value, so the dominant term is constant and has no effect.",
    )


def test_constant_columns_and_equal_rows_train(rows: Any) -> None:
    x = np.zeros_like(rows.x)
    x[:, 0] = rows.y
    x[:, 1] = 0.1
    for config in (*CONFIGS.values(), PAPER.replace(scaling="standardise")):
        head = trained(Trainer(x, rows.y, classes=rows.classes, config=config)).head
        assert np.isfinite(head.predict_proba(x)).all()
        assert np.isfinite(head.predict_proba(rows.x)).all()


def test_embeddings_that_are_all_zero_train_to_the_class_shares(rows: Any) -> None:
    for config in (PAPER, REFERENCE, MLP):
        head = trained(Trainer(rows.x * 0, rows.y, classes=rows.classes, config=config)).head
        assert np.isfinite(head.predict_proba(rows.x * 0)).all()


def test_scaling_makes_the_head_blind_to_a_common_factor(rows: Any) -> None:
    for scaling in ("rms", "standardise"):
        config = PAPER.replace(scaling=scaling)
        plain = trained(Trainer(rows.x, rows.y, classes=rows.classes, config=config)).head
        large = Trainer(rows.x * 1024, rows.y, classes=rows.classes, config=config)
        np.testing.assert_allclose(
            trained(large).head.predict_proba(rows.x * 1024), plain.predict_proba(rows.x), rtol=1e-4
        )


def test_class_without_rows_is_told(rows: Any) -> None:
    classes = (*rows.classes, "elk", "fox")
    fit = trained(Trainer(rows.x, rows.y, classes=classes, config=MLP))
    assert fit.notes == (
        "No training row has the class 'elk', 'fox', so the head never predicts it.",
    )


@pytest.mark.parametrize("preset", PRESETS)
def test_class_without_rows_is_never_predicted(rows: Any, preset: str) -> None:
    classes = ("ant", *rows.classes, "fox")
    config = TuneConfig.from_preset(preset, epochs=2)
    head = trained(Trainer(rows.x, rows.y + 1, classes=classes, config=config)).head
    probabilities = head.predict_proba(np.concatenate([rows.x, rows.x * -5]))
    assert probabilities.shape == (180, 5)
    assert probabilities[:, [0, 4]].max() == 0


def test_batch_smaller_than_asked_for_is_told(rows: Any) -> None:
    fit = trained(
        Trainer(rows.x, rows.y, classes=rows.classes, config=PAPER.replace(batch_size=200))
    )
    assert "The 90 training rows make one batch" in fit.notes[0]


NAN = np.where(np.arange(540).reshape(90, 6) == 6 * 7 + 2, np.nan, 1.0)


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"x": np.zeros(6)}, "embeddings", "two-dimensional"),
        ({"x": np.zeros((0, 6))}, "embeddings", "empty"),
        ({"x": NAN}, "embeddings", "got nan in row 7, column 2"),
        ({"y": np.zeros(90, int)}, "labels", "at least two classes to tell apart, got only 'cat'"),
        ({"y": np.arange(90) % 4}, "labels", "must be 0 to 2, got 3 in row 3"),
        ({"y": np.arange(90) % 3 - 1}, "labels", "got -1 in row 0"),
        ({"y": np.zeros(90)}, "labels", "class indices, got float64"),
        ({"y": np.zeros(90, bool)}, "labels", "class indices, got bool"),
        ({"y": ["cat"] * 90}, "labels", "class indices"),
        ({"y": np.zeros(89, int)}, "labels", "one per row, of shape (90,), got (89,)"),
        ({"y": np.zeros((90, 1), int)}, "labels", "got (90, 1)"),
        ({"y": np.full(90, 2**64 - 1, np.uint64)}, "labels", "got 18446744073709551615"),
        ({"classes": ("cat",)}, "classes", "at least two"),
        ({"classes": ("cat", "cat", "dog")}, "classes", "different"),
        ({"classes": ("cat", 3, "dog")}, "classes", "non-empty strings"),
        ({"validation": (np.zeros((3, 5)), [0, 1, 2])}, "validation.embeddings", "6 columns"),
        ({"validation": (NAN, [0] * 90)}, "validation.embeddings", "row 7, column 2"),
        ({"validation": (np.zeros((1, 6)), [3])}, "validation.labels", "must be 0 to 2"),
    ],
)
def test_data_that_cannot_be_trained_on_is_refused(
    changes: dict[str, Any], field: str, words: str, rows: Any
) -> None:
    arguments = {"x": rows.x, "y": rows.y, "classes": rows.classes, "config": PAPER}
    with pytest.raises(DataError) as caught:
        Trainer(**arguments | changes)
    assert caught.value.field == field
    assert words in caught.value.message


def test_place_of_a_wrong_value_counts_from_the_first_row_of_a_long_file() -> None:
    x = np.zeros((3000, 1024), np.float16)
    x[2900, 17] = np.inf
    with pytest.raises(DataError) as caught:
        Trainer(x, np.arange(3000) % 2, classes=("a", "b"), config=PAPER)
    assert (caught.value.row, caught.value.column) == (2900, 17)
