"""Profile a dataset: what its rows look like, and what its owner should know.

The profile takes one pass over the rows as they are stored. It keeps 8 bytes of hash and 8 of label
per row, and the range of each column, so a large dataset needs little memory.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nmtune.vocabulary import ID_SPLIT, OOD_PREFIX
from service.ingest.dataset.row_hash import RowHash
from service.ingest.dataset.row_sample import RowSample
from service.ingest.errors import DatasetWarning

MAX_NAMED: Final = 20
"""How many classes or columns a profile or warning lists by name."""

FEW_ROWS: Final = 5
IMBALANCE: Final = 10.0
NORM_FACTOR: Final = 3.0

SAMPLE_ROWS: Final = 1024
"""How many training rows the spectrum is computed from."""


class Profiler:
    """Collects block after block; `finish` gives the profile and the warnings, both JSON-ready."""

    def __init__(self, *, classes: Sequence[str], n_columns: int, splits: Sequence[str]) -> None:
        self._classes = classes
        row_hash = RowHash()
        self._splits = {split: _SplitProfile(len(classes), row_hash) for split in splits}
        self._lowest = np.full(n_columns, np.inf)
        self._highest = np.full(n_columns, -np.inf)
        self._sample = RowSample(SAMPLE_ROWS, n_columns)

    def add(self, split: str, x: NDArray[Any], y: NDArray[np.int64]) -> None:
        """Take the next rows of `split`: x (b, d) finite and in C order, y (b,) class indices."""
        self._splits[split].add(x, y)
        if split == "train":
            np.minimum(self._lowest, x.min(axis=0), out=self._lowest)
            np.maximum(self._highest, x.max(axis=0), out=self._highest)
            self._sample.add(x)

    def class_counts(self, split: str) -> list[int]:
        """Rows of each class in `split`, by class index."""
        counts: list[int] = self._splits[split].class_counts.tolist()
        return counts

    def finish(self) -> tuple[dict[str, Any], list[DatasetWarning]]:
        """The profile and, in plain words, what in it could spoil a result."""
        train = self._splits["train"]
        hashes, y = train.hashes(), train.labels()
        distinct, n_conflicting = _distinct(hashes, y)
        constant = np.flatnonzero(self._lowest == self._highest)
        present = train.class_counts[train.class_counts > 0]
        profile: dict[str, Any] = {
            "splits": {},
            "n_duplicate_train_rows": len(hashes) - len(distinct),
            "n_conflicting_train_rows": n_conflicting,
            "n_constant_columns": len(constant),
            "constant_columns": constant[:MAX_NAMED].tolist(),
            "imbalance_ratio": float(present.max() / present.min()),
            "effective_rank": self._sample.effective_rank(),
        }
        for name, split in self._splits.items():
            missing = np.flatnonzero(split.class_counts == 0)
            profile["splits"][name] = {
                "n_rows": split.n_rows,
                "n_classes_missing": len(missing),
                "classes_missing": [self._classes[index] for index in missing[:MAX_NAMED].tolist()],
                "norms": split.norms(),
                "n_zero_rows": split.n_zero_rows,
                "n_rows_also_in_train": (
                    None if split is train else int(np.isin(split.hashes(), distinct).sum())
                ),
            }
        rare = np.flatnonzero((train.class_counts > 0) & (train.class_counts < FEW_ROWS))
        return profile, _warnings(profile, rare=[self._classes[index] for index in rare.tolist()])


class _SplitProfile:
    def __init__(self, n_classes: int, row_hash: RowHash) -> None:
        self._row_hash = row_hash
        self.n_rows = 0
        self.n_zero_rows = 0
        self.class_counts = np.zeros(n_classes, np.int64)
        self._norm_sum = 0.0
        self._norm_range = (np.inf, 0.0)
        self._hashes: list[NDArray[np.uint64]] = []
        self._labels: list[NDArray[np.int64]] = []

    def add(self, x: NDArray[Any], y: NDArray[np.int64]) -> None:
        norms = _norms(x)
        self.n_rows += len(x)
        self.n_zero_rows += int(np.count_nonzero(norms == 0))
        self.class_counts += np.bincount(y, minlength=len(self.class_counts))
        self._norm_sum += float(norms.sum())
        low, high = self._norm_range
        self._norm_range = (min(low, float(norms.min())), max(high, float(norms.max())))
        self._hashes.append(self._row_hash(x))
        self._labels.append(y)

    def norms(self) -> dict[str, float]:
        low, high = self._norm_range
        return {"min": low, "mean": self._norm_sum / self.n_rows, "max": high}

    def hashes(self) -> NDArray[np.uint64]:
        return np.concatenate(self._hashes)

    def labels(self) -> NDArray[np.int64]:
        return np.concatenate(self._labels)


def _norms(x: NDArray[Any]) -> NDArray[np.float64]:
    """The lengths (b,) of rows: in float32, and again in float64 where squares leave its range."""
    with np.errstate(over="ignore"):
        squares = np.einsum("ij,ij->i", x, x, dtype=np.float32).astype(np.float64)
    odd = np.flatnonzero((squares == 0) | ~np.isfinite(squares))
    squares[odd] = np.einsum("ij,ij->i", x[odd], x[odd], dtype=np.float64)
    norms: NDArray[np.float64] = np.sqrt(squares)
    return norms


def _distinct(hashes: NDArray[np.uint64], y: NDArray[np.int64]) -> tuple[NDArray[np.uint64], int]:
    """The distinct hashes, and how many rows share theirs with a row of another class."""
    order = np.argsort(hashes)
    ordered, labels = hashes[order], y[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    mixed = np.minimum.reduceat(labels, starts) != np.maximum.reduceat(labels, starts)
    sizes = np.diff(np.r_[starts, len(ordered)])
    return ordered[starts], int(sizes[mixed].sum())


def _warnings(profile: Mapping[str, Any], *, rare: Sequence[str]) -> list[DatasetWarning]:
    warnings = _train_warnings(profile, rare=rare)
    splits: Mapping[str, Mapping[str, Any]] = profile["splits"]
    if ID_SPLIT not in splits:
        warnings.append(
            _warning(
                "no_test_split",
                "There is no test split, so the report cannot say how good the head is on data "
                "like the training data. Add rows with the split 'test'.",
            )
        )
    if not any(name.startswith(OOD_PREFIX) for name in splits):
        warnings.append(
            _warning(
                "no_ood_split",
                "There is no out-of-domain split, so the report cannot say what the tuning does "
                "on data from elsewhere. Add labelled rows from another source as "
                "'ood/<source>'.",
            )
        )
    for name, split in splits.items():
        warnings += _split_warnings(name, split, train=splits["train"])
    return warnings


def _train_warnings(profile: Mapping[str, Any], *, rare: Sequence[str]) -> list[DatasetWarning]:
    warnings = []
    if rare:
        warnings.append(
            _warning(
                "few_rows",
                f"{_classes(rare, len(rare))} fewer than {FEW_ROWS} training rows. Add rows, or "
                "merge these classes, if they matter.",
                split="train",
            )
        )
    if (ratio := profile["imbalance_ratio"]) > IMBALANCE:
        warnings.append(
            _warning(
                "imbalanced_classes",
                f"The largest training class has {ratio:.0f} times the rows of the smallest. "
                "Judge the head by its macro-F1 rather than its accuracy.",
                split="train",
            )
        )
    if n_rows := profile["n_conflicting_train_rows"]:
        warnings.append(
            _warning(
                "conflicting_labels",
                f"{_rows(n_rows, 'training ')} {_verb(n_rows, 'equal')} another row that has a "
                "different label. Check these labels: no head can learn both.",
                split="train",
            )
        )
    if n_rows := profile["n_duplicate_train_rows"]:
        warnings.append(
            _warning(
                "duplicate_rows",
                (
                    f"{n_rows:,} training rows repeat an earlier row exactly. Remove the repeats "
                    "unless they should count more."
                    if n_rows > 1
                    else "One training row repeats an earlier row exactly. Remove the repeat "
                    "unless it should count more."
                ),
                split="train",
            )
        )
    if n_columns := profile["n_constant_columns"]:
        warnings.append(
            _warning(
                "constant_columns",
                f"{_constant(profile['constant_columns'], n_columns)} no harm; if you did not "
                f"expect "
                "this, check how the embeddings were made.",
                split="train",
            )
        )
    return warnings


def _constant(columns: Sequence[int], n_columns: int) -> str:
    """Names the columns, or their number and the first five; ends in `They do`."""
    if n_columns == 1:
        return f"Column {columns[0]} has one value in all training rows. It does"
    *others, last = map(str, columns[:5])
    if n_columns <= len(others) + 1:
        named = f"Columns {', '.join(others)} and {last} have"
    else:
        named = f"{n_columns:,} columns (the first: {', '.join([*others, last])}) have"
    return f"{named} one value in all training rows. They do"


def _split_warnings(
    name: str, split: Mapping[str, Any], *, train: Mapping[str, Any]
) -> list[DatasetWarning]:
    warnings = []
    if n_missing := split["n_classes_missing"]:
        advice = (
            "The head will never predict them. Add rows, or leave these classes out."
            if name == "train"
            else "Macro-F1 there is averaged over the classes that occur."
        )
        warnings.append(
            _warning(
                "classes_missing",
                f"{_classes(split['classes_missing'], n_missing)} no row in {name}. {advice}",
                split=name,
            )
        )
    if n_rows := split["n_zero_rows"]:
        warnings.append(
            _warning(
                "zero_rows",
                f"{_rows(n_rows)} of {name} {_verb(n_rows, 'hold')} only zeros. An encoder seldom "
                "returns that: check for empty inputs or failed calls.",
                split=name,
            )
        )
    if n_rows := split["n_rows_also_in_train"]:
        warnings.append(
            _warning(
                "rows_also_in_train",
                f"{_rows(n_rows)} of {name} {'is' if n_rows == 1 else 'are'} also in train, so "
                "its scores are too good: no row should be in both.",
                split=name,
            )
        )
    means = sorted((train["norms"]["mean"], split["norms"]["mean"]))
    if means[1] > NORM_FACTOR * means[0]:
        warnings.append(
            _warning(
                "norms_differ",
                f"Rows of {name} have a mean length of {split['norms']['mean']:.3g}, those of "
                f"train {train['norms']['mean']:.3g}. Check that both come from the same encoder "
                "and that both or neither were normalised.",
                split=name,
            )
        )
    return warnings


def _rows(n_rows: int, kind: str = "") -> str:
    return f"1 {kind}row" if n_rows == 1 else f"{n_rows:,} {kind}rows"


def _verb(n_rows: int, plural: str) -> str:
    return f"{plural}s" if n_rows == 1 else plural


def _classes(names: Sequence[str], n_names: int) -> str:
    listed = ", ".join(repr(name) for name in names[:5])
    more = f" and {n_names - 5:,} more" if n_names > 5 else ""
    return f"Class {listed} has" if n_names == 1 else f"Classes {listed}{more} have"


def _warning(code: str, message: str, *, split: str | None = None) -> DatasetWarning:
    warning: DatasetWarning = {"code": code, "message": message}
    if split:
        warning["split"] = split
    return warning
