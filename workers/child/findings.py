"""Look for trouble in the data: wrong labels, near duplicates, thin classes, too few labels."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmtune import (
    DataError,
    Head,
    LabelErrors,
    Trainer,
    TuneConfig,
    class_spectra,
    find_near_duplicates,
    learning_curve,
    would_more_labels_help,
)
from nmtune.training.choose import FEWEST_ROWS_TO_CALL_NOISY, NOISY, labels_look_noisy
from nmtune.vocabulary import ID_SPLIT, TRAIN, VALIDATION
from store.files.dataset import DatasetFile
from workers.child.row_names import UNKNOWN, RowNames

MAX_PRODUCTS = 20_000_000_000  # per split, in the search for near duplicates: a second on two cores
MAX_SUSPECTS = 1000
MAX_PAIRS = 20


def of_labels(errors: LabelErrors | None, dataset: DatasetFile, names: RowNames) -> dict[str, Any]:
    """Training rows whose label seems wrong; empty without out-of-fold predictions."""
    if errors is None:
        return {}
    section = errors.to_dict(dataset.classes, limit=MAX_SUSPECTS)
    section["labels_look_noisy"] = labels_look_noisy(errors)
    section["noisy_from"] = NOISY
    section["suspected"] = [
        names.name(TRAIN, one.pop("row"))
        | one
        | {"score": one["suggested_probability"] - one["given_probability"]}
        for one in section["suspected"]
    ]
    section["rows_note"] = None if names.knows_places(TRAIN) else UNKNOWN
    section["sentence"] = label_sentence(errors)
    return {"label_errors": section}


def label_sentence(errors: LabelErrors) -> str:
    """First whether the labels look noisy, then how many may be wrong, then what to look at."""
    found, n_rows, n_suspected = errors.expected_wrong, errors.n_rows, len(errors.rows)
    least, most = errors.disagreement_interval
    disagreeing = (
        f"{errors.confident_disagreement:.1%} of the {errors.n_confident_rows:,} most confident "
        f"out-of-fold predictions disagree with the label (95 % interval {least:.1%} to {most:.1%})"
    )
    low, high = math.floor(found.low), math.ceil(found.high)
    expected = (
        f"Expected number of wrong labels: {round(found.n_rows):,} of {n_rows:,} (95 % interval "
        f"{low:,} to {high:,})"
    )
    if labels_look_noisy(errors):
        return (
            f"The labels look noisy: {disagreeing}, surely over {NOISY:.0%}. {expected}. "
            f"{n_suspected:,} rows have a doubtful label; the list of suspects starts with the "
            "most doubtful."
        )
    if errors.n_rows < FEWEST_ROWS_TO_CALL_NOISY:
        test = (
            f"{n_rows:,} rows are too few to tell whether the labels look noisy (it takes "
            f"{FEWEST_ROWS_TO_CALL_NOISY}): {disagreeing}."
        )
    elif most > NOISY:
        test = (
            f"Whether the labels are noisy is unclear: {disagreeing}, which may be more or less "
            f"than {NOISY:.0%}."
        )
    else:
        test = f"The labels do not look noisy: {disagreeing}, surely less than {NOISY:.0%}."
    if not n_suspected:
        return f"{test} {expected}; no row stands out."
    hard = "1 row is" if n_suspected == 1 else f"{n_suspected:,} rows are"
    return (
        f"{test} {expected}. {hard} hard: another class looks more probable than the label, "
        "usually because the classes are alike."
    )


def of_rows(dataset: DatasetFile, names: RowNames) -> dict[str, Any]:
    """Rows of the other splits that nearly repeat a training row."""
    train = dataset.splits[TRAIN]
    found = {}
    for split, arrays in dataset.splits.items():
        if split == TRAIN:
            continue
        section = find_near_duplicates(
            arrays.x,
            arrays.y,
            train_x=train.x,
            train_y=train.y,
            n_classes=len(dataset.classes),
            max_products=MAX_PRODUCTS,
        ).to_dict(dataset.classes, limit=MAX_PAIRS)
        section["pairs"] = [
            one
            | names.name(split, one["row"])
            | {f"train_{key}": value for key, value in names.name(TRAIN, one["train_row"]).items()}
            for one in section["pairs"]
        ]
        section["rows_note"] = None if names.knows_places(split) else UNKNOWN
        found[split] = section
    if not found:
        return {}
    shares = [
        f"{one['share']:.1%} of {split}" for split, one in found.items() if one["n_near_duplicates"]
    ]
    sentence = (
        f"Rows that nearly repeat a training row: {', '.join(shares)}. Accuracy on those splits is "
        "too optimistic."
        if shares
        else "No row of another split nearly repeats a training row."
    )
    return {"near_duplicates": {"splits": found, "sentence": sentence}}


def of_classes(
    head: Head, dataset: DatasetFile, *, split: str, tuned: NDArray[np.float32]
) -> dict[str, Any]:
    """The spectrum of each class on one split, before and after tuning."""
    arrays = dataset.splits[split]
    return {
        "class_spectra": {
            "split": split,
            "raw": class_spectra(arrays.x, arrays.y, n_classes=len(head.classes)).to_dict(
                dataset.classes
            ),
            "tuned": class_spectra(tuned, arrays.y, n_classes=len(head.classes)).to_dict(
                dataset.classes
            ),
        }
    }


def of_more_labels(
    dataset: DatasetFile, config: TuneConfig, *, candidate: str, device: str
) -> Iterator[dict[str, Any]]:
    """The learning curve of one candidate so far, once after each size."""
    train = dataset.splits[TRAIN]
    splits = {
        name: (arrays.x, arrays.y)
        for name, arrays in dataset.splits.items()
        if name not in (TRAIN, VALIDATION)
    }
    if not splits:
        return

    def fit(x: NDArray[Any], y: NDArray[np.int64], seed: int) -> Head:
        trainer = Trainer(
            x, y, classes=dataset.classes, config=config.replace(seed=seed), device=device
        )
        for _ in trainer:
            pass
        return trainer.result().head

    try:
        points = []
        curve = learning_curve(
            train.x, train.y, n_classes=len(dataset.classes), fit=fit, splits=splits
        )
        for point in curve:
            points.append(point)
            outlook = {
                split: would_more_labels_help(points, split=split).to_dict() for split in splits
            }
            yield {
                "learning_curve": {
                    "candidate": candidate,
                    "points": [one.to_dict() for one in points],
                    "outlook": outlook,
                    "sentence": " ".join(one["sentence"] for one in outlook.values()),
                }
            }
    except DataError as error:
        yield {
            "learning_curve": {
                "candidate": candidate,
                "sentence": f"No learning curve could be drawn: {error.message}.",
            }
        }


def spectra_split(names: Mapping[str, Any]) -> str:
    """The split whose class spectra are shown: the test split if there is one, else train."""
    return ID_SPLIT if ID_SPLIT in names else TRAIN
