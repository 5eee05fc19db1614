"""Prepare datasets of texts, which a job embeds, and read texts from a JSON body."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmtune.vocabulary import TRAIN
from service.ingest.dataset import inline
from service.ingest.errors import BadInput, DatasetWarning
from service.ingest.names.labels import too_few_classes
from service.ingest.names.value_name import check_text
from service.ingest.numbers import check_n_rows
from store import datasets
from store.bytes.port import ArtifactRef, Artifacts
from store.database.connection import Transaction
from store.errors import Conflict
from store.files.row_names import RowNames
from store.files.texts import TextsFile, TextSplit


@dataclass(frozen=True, kw_only=True)
class PreparedTexts:
    """A dataset of texts, and everything for its row; nothing is stored yet."""

    file: TextsFile
    splits: list[dict[str, Any]]
    profile: dict[str, Any]
    warnings: list[DatasetWarning]

    def put(self, artifacts: Artifacts, tenant_id: str) -> ArtifactRef:
        """Store the bytes, outside of any transaction (bytes first, then the row)."""
        return artifacts.put_bytes(tenant_id, self.file.to_bytes())

    def add(
        self,
        tx: Transaction,
        tenant_id: str,
        *,
        name: str,
        artifact: ArtifactRef,
        artifacts: Artifacts,
        lineage: datasets.Lineage | None = None,
    ) -> datasets.Dataset:
        """Add the row to the caller's transaction. Raises Conflict, see `PreparedDataset.add`."""
        dataset = datasets.add(
            tx,
            tenant_id,
            name=name,
            sha256=artifact.sha256,
            size_bytes=artifact.size_bytes,
            n_rows=sum(split["n_rows"] for split in self.splits),
            n_columns=0,
            content=datasets.TEXTS,
            classes=list(self.file.classes),
            splits=self.splits,
            profile=self.profile,
            warnings=self.warnings,
            lineage=lineage,
        )
        if not artifacts.exists(tenant_id, artifact.sha256):
            raise Conflict(
                "A dataset with the same content was deleted at this moment: send this one again."
            )
        return dataset


def prepare(
    texts: object,
    labels: object,
    splits: object = None,
    *,
    merge_similar: bool = False,
    is_addition: bool = False,
) -> PreparedTexts:
    """The dataset that a body's values are. Raises BadInput.

    `texts` is a list of n strings; labels and splits are as with embeddings.
    """
    values = read_texts(texts, field="texts")
    beside = inline.read_beside(
        labels, splits, n_rows=len(values), merge_similar=merge_similar, is_addition=is_addition
    )
    return build(
        values,
        beside.y,
        beside.rows_by_split,
        classes=beside.classes,
        y_field="labels",
        warnings=beside.warnings,
        is_addition=is_addition,
    )


def build(
    values: Sequence[str],
    y: NDArray[np.int64],
    rows_by_split: Mapping[str, NDArray[np.intp]],
    *,
    classes: Sequence[str],
    y_field: str,
    warnings: Sequence[DatasetWarning],
    names: Mapping[str, RowNames] | None = None,
    is_addition: bool = False,
) -> PreparedTexts:
    """The dataset of n checked texts with y (n,) class indices, in splits.

    `y_field` is the sender's name of the labels, `names` by split those of the rows, by default
    their places; `is_addition`: see `prepared.build`. Raises BadInput.
    """
    names = names or {name: RowNames(rows=rows) for name, rows in rows_by_split.items()}
    file = TextsFile(
        classes=classes,
        splits=[
            TextSplit(
                name=name,
                texts=[values[row] for row in rows],
                y=y[rows],
                rows=names[name].rows.tolist(),
                ids=None if (ids := names[name].ids) is None else ids.to_list(),
            )
            for name, rows in rows_by_split.items()
        ],
    )
    return finished(file, y_field=y_field, warnings=warnings, is_addition=is_addition)


def finished(
    file: TextsFile,
    *,
    y_field: str,
    warnings: Sequence[DatasetWarning],
    is_addition: bool = False,
) -> PreparedTexts:
    """The dataset that a file is, with its profile. Raises BadInput."""
    profile: dict[str, Any] = {}
    found: list[DatasetWarning] = []
    if not is_addition:
        train = next(split for split in file.splits if split.name == TRAIN)
        if (n_present := len(np.unique(train.y))) < 2:
            raise too_few_classes(n_present, field=y_field)
        profile, found = _profile(file)
    return PreparedTexts(
        file=file,
        splits=[
            {
                "name": one.name,
                "n_rows": len(one.texts),
                "class_counts": _counts(one.y, file.classes),
            }
            for one in file.splits
        ],
        profile=profile,
        warnings=[*warnings, *found],
    )


def read_texts(value: object, *, field: str, max_rows: int | None = None) -> list[str]:
    """A list of strings, each with something in it. Raises BadInput, which never repeats one."""
    if not isinstance(value, list) or not value:
        raise BadInput(
            "invalid_texts", f"{field} must be a list of at least one string.", field=field
        )
    if max_rows is not None:
        check_n_rows(len(value), max_rows, field=field, what="texts")
    return [check_text(text, field=field, row=row) for row, text in enumerate(value)]


def _counts(y: NDArray[np.int64], classes: Sequence[str]) -> list[int]:
    counts: list[int] = np.bincount(y, minlength=len(classes)).tolist()
    return counts


def _profile(file: TextsFile) -> tuple[dict[str, Any], list[DatasetWarning]]:
    """Lengths, repeated texts, and texts that are also in train."""
    train = next(split for split in file.splits if split.name == "train")
    known = set(train.texts)
    shown: dict[str, Any] = {}
    warnings: list[DatasetWarning] = []
    for split in file.splits:
        lengths = [len(text) for text in split.texts]
        n_in_train = None
        if split is not train:
            n_in_train = sum(text in known for text in split.texts)
        shown[split.name] = {
            "n_rows": len(split.texts),
            "n_rows_also_in_train": n_in_train,
            "characters": {
                "min": min(lengths),
                "mean": round(sum(lengths) / len(lengths), 1),
                "max": max(lengths),
            },
        }
        if n_in_train:
            warnings.append(
                {
                    "code": "rows_also_in_train",
                    "message": f"{n_in_train:,} of {len(split.texts):,} texts are also in train, "
                    f"so "
                    "the metrics of this split are too good. Remove them from one of the two.",
                    "split": split.name,
                }
            )
    n_duplicate = len(train.texts) - len(known)
    return {"splits": shown, "n_duplicate_train_rows": n_duplicate}, warnings
