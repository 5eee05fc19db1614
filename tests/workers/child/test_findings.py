"""What findings say of labels and rows, on constructed predictions and files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nmtune import Head, HeldOut, Trainer, TuneConfig
from nmtune.study.label_errors import LabelErrors, find_label_errors
from nmtune.training.choose import NOISY, labels_look_noisy
from store.files.dataset import DatasetFile, DatasetWriter
from store.files.row_names import RowNames as Kept
from store.files.rows import Ids
from store.files.texts import MOST_SHOWN_CHARACTERS, TextsFile, TextSplit
from workers.child import abstention, findings
from workers.child.row_names import RowNames

CLASSES = ("cat", "dog")


def errors_of(n_rows: int, *, flipped: int, hard: int = 0) -> LabelErrors:
    """Sure predictions, all right but for `flipped` labels, and `hard` rows that are unsure."""
    y = np.arange(n_rows) % 2
    sureness = np.linspace(0.95, 0.999, n_rows)
    predicted = y.copy()
    sureness[:hard] = 0.94
    predicted[:hard] = 1 - y[:hard]
    given = y.copy()
    wrong = np.random.default_rng(0).choice(np.arange(hard, n_rows), flipped, replace=False)
    given[wrong] = 1 - given[wrong]
    probabilities = np.where(np.arange(2) == predicted[:, None], sureness[:, None], 0)
    probabilities += np.where(np.arange(2) == predicted[:, None], 0, 1 - sureness[:, None])
    return find_label_errors(probabilities, given)


def test_clean_labels_lead_with_the_test_and_call_rows_hard() -> None:
    errors = errors_of(600, flipped=0, hard=60)
    sentence = findings.label_sentence(errors)
    assert sentence.startswith(
        "The labels do not look noisy: 0.0% of the 120 most confident out-of-fold predictions"
    )
    assert "60 rows are hard" in sentence
    assert "doubtful" not in sentence
    assert "95 % interval 0 to" in sentence


def test_noisy_labels_are_called_so_and_counted() -> None:
    errors = errors_of(600, flipped=180)
    sentence = findings.label_sentence(errors)
    assert sentence.startswith("The labels look noisy:")
    assert "180 rows have a doubtful label" in sentence
    assert errors.expected_wrong.low <= 180 <= errors.expected_wrong.high


def test_an_interval_around_the_threshold_is_called_unclear_and_not_noisy() -> None:
    errors = errors_of(600, flipped=78)
    least, most = errors.disagreement_interval
    assert least < NOISY < errors.confident_disagreement < most
    sentence = findings.label_sentence(errors)
    assert sentence.startswith("Whether the labels are noisy is unclear: ")
    assert f"(95 % interval {least:.1%} to {most:.1%}), which may be more or less" in sentence
    assert not labels_look_noisy(errors)


def test_few_rows_cannot_tell() -> None:
    sentence = findings.label_sentence(errors_of(80, flipped=0))
    assert sentence.startswith("80 rows are too few to tell whether the labels look noisy")
    assert sentence.endswith("no row stands out.")


def dataset(path: Path, *, names: bool = True) -> DatasetFile:
    """Two splits of 4 rows; row 2 of test repeats row 1 of train."""
    kept = {
        "train": Kept(rows=np.array([7, 3, 0, 5]), ids=Ids.of(["g", "", "a", "e"])),
        "test": Kept(rows=np.array([1, 2, 4, 6])),
    }
    with DatasetWriter(
        path,
        classes=CLASSES,
        n_columns=3,
        dtype=np.float32,
        splits=[("train", 4), ("test", 4)],
        row_names=kept if names else None,
    ) as writer:
        for split, seed in (("train", 0), ("test", 1)):
            writer.y(split)[:] = [0, 1, 0, 1]
            writer.x(split)[:] = np.random.default_rng(seed).normal(size=(4, 3))
        writer.x("test")[2] = writer.x("train")[1]
    return DatasetFile.open(path)


def found_of(errors: LabelErrors, opened: DatasetFile, names: RowNames) -> dict[str, Any]:
    told: dict[str, Any] = findings.of_labels(errors, opened, names)["label_errors"]
    return told


def wrong_label(row: int) -> LabelErrors:
    """Four rows, of which the one given is predicted as the other class."""
    y = np.array([0, 1, 0, 1])
    predicted = np.where(np.arange(4) == row, 1 - y, y)
    return find_label_errors(np.where(np.arange(2) == predicted[:, None], 0.9, 0.1), y)


def test_suspects_name_the_row_of_the_file_its_id_and_its_text(tmp_path: Path) -> None:
    opened = dataset(tmp_path / "d.safetensors")
    long = "x" * (MOST_SHOWN_CHARACTERS + 1)
    texts = TextsFile(
        classes=CLASSES,
        splits=[
            TextSplit(name="train", texts=["t0", "t1", "t2", long], y=np.arange(4), rows=[0] * 4)
        ],
    )
    (tmp_path / "texts").write_bytes(texts.to_bytes())
    names = RowNames.of(opened, tmp_path / "texts")
    found = found_of(wrong_label(2), opened, names)
    (suspect,) = found["suspected"]
    assert {key: suspect[key] for key in ("row", "file_row", "id", "text")} == {
        "row": 2, "file_row": 0, "id": "a", "text": "t2"
    }  # fmt: skip
    assert (suspect["given"], suspect["suggested"]) == ("cat", "dog")
    assert suspect["score"] == pytest.approx(0.8)
    assert found["rows_note"] is None
    (of_one,) = found_of(wrong_label(1), opened, names)["suspected"]
    assert (of_one["file_row"], of_one["id"]) == (3, None)  # an empty id is none
    (of_long,) = found_of(wrong_label(3), opened, names)["suspected"]
    assert of_long["text"] == f"{long[:-1]}…"


def test_data_sets_of_before_have_no_file_rows_and_say_so(tmp_path: Path) -> None:
    opened = dataset(tmp_path / "d.safetensors", names=False)
    found = found_of(wrong_label(2), opened, RowNames.of(opened, None))
    (suspect,) = found["suspected"]
    assert (suspect["row"], suspect["file_row"], suspect["id"], suspect["text"]) == (
        2, None, None, None
    )  # fmt: skip
    assert "earlier version" in found["rows_note"]


def test_near_duplicates_name_the_rows_of_the_file(tmp_path: Path) -> None:
    opened = dataset(tmp_path / "d.safetensors")
    found = findings.of_rows(opened, RowNames.of(opened, None))["near_duplicates"]["splits"]["test"]
    (pair,) = [one for one in found["pairs"] if one["similarity"] > 0.9999]
    assert (pair["row"], pair["file_row"], pair["id"]) == (2, 4, None)
    assert (pair["train_row"], pair["train_file_row"], pair["train_id"]) == (1, 3, None)


@pytest.fixture(scope="module")
def head() -> Head:
    x = np.array([[2.0, 0.1], [1.5, -0.2], [-1.8, 0.3], [-2.2, 0.0]] * 5, np.float32)
    config = TuneConfig.from_preset("linear_probe", l2=0.01)
    trainer = Trainer(x, np.array([0, 0, 1, 1] * 5), classes=CLASSES, config=config)
    for _ in trainer:
        pass
    return trainer.result().head


def judged(n_rows: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Rows as sure as they are right."""
    random = np.random.default_rng(seed)
    confidence = 1 - 0.5 * random.random(n_rows) ** 3
    return confidence, random.random(n_rows) < confidence


def held_out(n_rows: int) -> HeldOut:
    confidence, is_correct = judged(n_rows, 0)
    logits = np.stack([np.log(confidence), np.log(1 - confidence)], axis=1).astype(np.float32)
    return HeldOut(logits=logits, y=np.where(is_correct, 0, 1), n_train_rows=n_rows)


def test_threshold_is_told_for_test_and_domains_and_not_for_what_chose_it(head: Head) -> None:
    head = head.calibrated(1.0)
    splits = {name: judged(1000, seed) for seed, name in enumerate(("train", "test", "ood/art"), 1)}
    told = abstention.of_splits(head, held_out(2000), splits)
    assert told["threshold"] is not None
    assert told["n_held_out_rows"] == 2000
    assert set(told["splits"]) == {"test", "ood/art"}
    of_test = told["splits"]["test"]
    low, high = of_test["accuracy_interval"]
    assert low <= of_test["accuracy"] <= high
    assert of_test["accuracy"] > of_test["accuracy_of_all"]
    assert told["sentence"].startswith(
        f"With abstain_below={told['threshold']:g}, the head answers"
    )
    assert "rows of art" in told["sentence"]


def test_nothing_held_out_is_a_reason_to_advise_nothing(head: Head) -> None:
    told = abstention.of_splits(head, None, {"test": judged(100, 0)})
    assert (told["threshold"], told["splits"], told["n_held_out_rows"]) == (None, {}, 0)
    assert told["reason"] == told["sentence"]
    assert "no rows were held out" in told["reason"]
