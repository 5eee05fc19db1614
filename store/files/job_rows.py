"""What a job's candidates say of each row: the file `rows` of a job, columns by split.

For the training rows the values are those of models that had not seen the row; a candidate that has
no such predictions says nothing of them. Probabilities are kept in steps of 1/65,535.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from store.errors import InvalidDatasetFile
from store.files.columns import ColumnsFile, to_bytes

FORMAT: Final = "nmtune-job-rows"
VERSION: Final = "1"
STEPS: Final = 65_535
"""A probability p is kept as the nearest integer to p times this."""

N_NEIGHBOURS: Final = 5


def quantised(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.uint16]:
    """Probabilities as they are kept."""
    return np.rint(probabilities.astype(np.float64) * STEPS).clip(0, STEPS).astype(np.uint16)


def probability(kept: int) -> float:
    """A kept probability, rounded to what its steps can tell apart."""
    return round(int(kept) / STEPS, 5)


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a candidate says of the n rows of a split.

    predicted: (n,) class indices. label_probability: (n,) of the given label, quantised.
    """

    predicted: NDArray[Any]
    label_probability: NDArray[np.uint16]


@dataclass(frozen=True, kw_only=True)
class SplitRows:
    """The rows of one split: label (n,), and what the candidates say, by name.

    The last three are of the published head, each (n,), or None if it has no such knowledge.
    """

    label: NDArray[Any]
    predictions: Mapping[str, Predictions]
    predicted_probability: NDArray[np.uint16] | None = None
    ood_score: NDArray[np.float32] | None = None
    set_size: NDArray[np.uint16] | None = None


@dataclass(frozen=True, kw_only=True)
class Suspects:
    """The k suspected training rows, the worst first, and the neighbours of the first m of them.

    rows, suggested: (k,) rows of `train` and class indices. neighbours: (m, 5) rows of `train`, the
    nearest first. similarities: (m, 5) cosines, float32.
    """

    rows: NDArray[np.uint32]
    suggested: NDArray[Any]
    neighbours: NDArray[np.uint32]
    similarities: NDArray[np.float32]

    @classmethod
    def none(cls) -> Self:
        """Without suspects."""
        empty = np.zeros(0, np.uint32)
        return cls(
            rows=empty,
            suggested=empty,
            neighbours=np.zeros((0, N_NEIGHBOURS), np.uint32),
            similarities=np.zeros((0, N_NEIGHBOURS), np.float32),
        )


@dataclass(frozen=True, kw_only=True)
class JobRows:
    """The values of all rows of a job's data set, by split."""

    classes: Sequence[str]
    published: str
    """The candidate whose head the job published."""
    candidates: Sequence[str]
    dataset_sha256: str
    splits: Mapping[str, SplitRows]
    suspects: Suspects = field(default_factory=Suspects.none)
    level: float | None = None
    """The conformal level of `set_size`; None if there are none."""
    ood_threshold: float | None = None
    file: ColumnsFile | None = None
    """The file that it was read from; check it before giving out results."""

    def to_bytes(self) -> bytes:
        """The file; the same values give the same bytes."""
        described = {
            "classes": list(self.classes),
            "published": self.published,
            "candidates": list(self.candidates),
            "dataset_sha256": self.dataset_sha256,
            "splits": list(self.splits),
            "level": self.level,
            "ood_threshold": self.ood_threshold,
        }
        index = np.uint16 if len(self.classes) <= STEPS else np.uint32
        columns: dict[str, NDArray[Any]] = {
            "suspects/rows": self.suspects.rows,
            "suspects/suggested": self.suspects.suggested.astype(index),
            "suspects/neighbours": self.suspects.neighbours,
            "suspects/similarities": self.suspects.similarities,
        }
        for split, one in self.splits.items():
            columns[f"label/{split}"] = one.label.astype(index)
            for name in _OF_PUBLISHED:
                if (values := getattr(one, name)) is not None:
                    columns[f"{name}/{split}"] = values
            for candidate, said in one.predictions.items():
                columns[f"predicted/{candidate}/{split}"] = said.predicted.astype(index)
                columns[f"label_probability/{candidate}/{split}"] = said.label_probability
        metadata = {name: json.dumps(one, ensure_ascii=False) for name, one in described.items()}
        return to_bytes({"format": FORMAT, "version": VERSION, **metadata}, columns)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Map the file at `path`. Raises InvalidDatasetFile."""
        return cls.of(ColumnsFile.open(path, kind=FORMAT, version=VERSION))

    @classmethod
    def of(cls, file: ColumnsFile) -> Self:
        """The values in a file. Raises InvalidDatasetFile."""
        try:
            described = {
                name: json.loads(value)
                for name, value in file.metadata.items()
                if name not in ("format", "version")
            }
            splits = {
                split: _split(file.columns, split, described["candidates"])
                for split in described.pop("splits")
            }
            suspects = Suspects(
                **{
                    name: file.columns[f"suspects/{name}"]
                    for name in ("rows", "suggested", "neighbours", "similarities")
                }
            )
            return cls(file=file, splits=splits, suspects=suspects, **described)
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidDatasetFile(f"A stored file of rows cannot be read: {error}") from error


_OF_PUBLISHED: Final = ("predicted_probability", "ood_score", "set_size")


def _split(columns: Mapping[str, NDArray[Any]], split: str, candidates: Sequence[str]) -> SplitRows:
    label = columns[f"label/{split}"]
    found = SplitRows(
        label=label,
        predictions={
            name: Predictions(
                predicted=columns[f"predicted/{name}/{split}"],
                label_probability=columns[f"label_probability/{name}/{split}"],
            )
            for name in candidates
            if f"predicted/{name}/{split}" in columns
        },
        **{name: columns.get(f"{name}/{split}") for name in _OF_PUBLISHED},
    )
    arrays = [getattr(found, name) for name in _OF_PUBLISHED]
    for said in found.predictions.values():
        arrays += [said.predicted, said.label_probability]
    if any(one is not None and one.shape != label.shape for one in arrays):
        raise ValueError(f"the columns of split {split!r} differ in their rows")
    return found
