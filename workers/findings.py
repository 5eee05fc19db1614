"""The home of the findings: what a job notices about its data beside the candidates' metrics."""

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
from store.dataset_file import DatasetFile

TRAIN = "train"
MAX_PRODUCTS = 20_000_000_000  # of the search for near duplicates, a split: a second on two cores
MAX_SUSPECTS = 100
MAX_PAIRS = 20


def of_labels(errors: LabelErrors | None, dataset: DatasetFile) -> dict[str, Any]:
    """Training rows whose label seems wrong; nothing where no out-of-fold predictions exist."""
    if errors is None:
        return {}
    told = errors.to_dict(dataset.classes, limit=MAX_SUSPECTS)
    n_suspected = told["n_suspected"]
    told["sentence"] = (
        f"{n_suspected:,} of {errors.n_rows:,} training labels look doubtful "
        f"({errors.suspected_share:.1%}): look at the first of the report's list of suspected rows."
        if n_suspected
        else f"None of {errors.n_rows:,} training labels looks doubtful."
    )
    return {"label_errors": told}


def of_rows(dataset: DatasetFile) -> dict[str, Any]:
    """Rows of each other split that nearly repeat a training row."""
    train = dataset.splits[TRAIN]
    found = {
        split: find_near_duplicates(
            arrays.x,
            arrays.y,
            train_x=train.x,
            train_y=train.y,
            n_classes=len(dataset.classes),
            max_products=MAX_PRODUCTS,
        ).to_dict(dataset.classes, limit=MAX_PAIRS)
        for split, arrays in dataset.splits.items()
        if split != TRAIN
    }
    if not found:
        return {}
    shares = [
        f"{one['share']:.1%} of {split}" for split, one in found.items() if one["n_near_duplicates"]
    ]
    sentence = (
        f"Rows that nearly repeat a training row: {', '.join(shares)}. Accuracy there flatters."
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
    """The learning curve of one candidate, told again as a whole after each size."""
    train = dataset.splits[TRAIN]
    splits = {
        name: (arrays.x, arrays.y)
        for name, arrays in dataset.splits.items()
        if name not in (TRAIN, "validation")
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
    """The split whose class spectra are shown: the in-domain test, else the training rows."""
    return "test" if "test" in names else TRAIN
