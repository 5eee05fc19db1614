"""Make a dataset of rows that are stored already: those of one with other labels, or of two.

The new dataset is what an upload of these rows would be: the same splits, classes, profile and
warnings. Embeddings are copied block by block from one map to the other.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nmtune.vocabulary import TRAIN
from service.ingest.dataset import texts
from service.ingest.dataset.prepared import Piece, PreparedDataset, SplitSource, build
from service.ingest.dataset.similar_names import one_of_each
from service.ingest.dataset.texts import PreparedTexts
from service.ingest.errors import BadInput, DatasetWarning
from service.ingest.limits import BLOCK_BYTES, MAX_CLASSES
from service.ingest.names.labels import in_class_order, too_many_classes
from service.ingest.names.split_names import in_order
from store.files.dataset import DatasetFile, Embeddings
from store.files.row_names import RowNames
from store.files.texts import TextsFile, TextSplit

FIELD: Final = "labels"
"""The field of errors about all labels together."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """The rows of a stored split that become rows of the new dataset, in their order.

    `kept` (n,) says which of its n rows; `labels` (k,) are those of the k kept ones, as indices
    into the names that come along, and `names` are what the sender calls them. `map` is the file
    that embeddings lie in.
    """

    split: str
    rows: Embeddings | list[str]
    kept: NDArray[np.bool_]
    labels: NDArray[np.int64]
    names: RowNames
    map: DatasetFile | None


def revise(
    taken: Sequence[Taken],
    *,
    label_names: Sequence[str],
    declared: Mapping[str, int],
    workdir: Path,
) -> PreparedDataset | PreparedTexts:
    """The dataset of the rows; those of one split follow one another. Raises BadInput.

    `declared` are the classes of the dataset that this one is made from, in their order, with
    their rows there: a class that loses its last row goes, one that never had a row stays.
    """
    present = [one for one in taken if len(one.labels)]
    splits = in_order({one.split for one in present})
    if TRAIN not in splits:
        raise BadInput(
            "no_train_rows",
            "No row of the split train would be left. Keep some: the head is trained on them.",
            field=FIELD,
        )
    by_split = {name: [one for one in present if one.split == name] for name in splits}
    counts = _first_seen(by_split, label_names)
    classes = _classes(declared, counts)
    place = {name: index for index, name in enumerate(classes)}
    codes = np.array([place.get(name, -1) for name in label_names], np.int64)
    y = {
        split: np.concatenate([codes[one.labels] for one in parts])
        for split, parts in by_split.items()
    }
    sizes = {split: len(labels) for split, labels in y.items()}
    warnings = [
        *one_of_each(counts, what="labels", merge=False)[1],
        *one_of_each(sizes, what="domains", merge=False)[1],
    ]
    if present[0].map is None:
        return _texts(by_split, y, classes, warnings)
    return _embeddings(by_split, y, classes, warnings, workdir)


def _first_seen(
    by_split: Mapping[str, Sequence[Taken]], label_names: Sequence[str]
) -> dict[str, int]:
    """Rows by label, in the order of first sight, as a file of the rows would give them."""
    counts: dict[str, int] = {}
    for one in (one for parts in by_split.values() for one in parts):
        codes, firsts, sizes = np.unique(one.labels, return_index=True, return_counts=True)
        for at in np.argsort(firsts).tolist():
            name = label_names[int(codes[at])]
            counts[name] = counts.get(name, 0) + int(sizes[at])
    return counts


def _classes(declared: Mapping[str, int], used: Mapping[str, int]) -> tuple[str, ...]:
    """The classes in order: an order that the sender chose stays, and new classes follow."""
    stay = [name for name, n_rows in declared.items() if name in used or not n_rows]
    new = in_class_order(set(used) - set(declared))
    if len(stay) + len(new) > MAX_CLASSES:
        raise too_many_classes(field=FIELD)
    if tuple(declared) == in_class_order(declared):
        return in_class_order([*stay, *new])
    return (*stay, *new)


def _embeddings(
    by_split: Mapping[str, Sequence[Taken]],
    y: Mapping[str, NDArray[np.int64]],
    classes: Sequence[str],
    warnings: Sequence[DatasetWarning],
    workdir: Path,
) -> PreparedDataset:
    matrices = [one.rows for parts in by_split.values() for one in parts]
    types = {matrix.dtype for matrix in matrices if isinstance(matrix, np.ndarray)}
    sources = [
        SplitSource(
            name=split,
            x_field="embeddings",
            y_field=FIELD,
            y=y[split],
            names=RowNames.concatenated([one.names for one in parts]),
        )
        for split, parts in by_split.items()
    ]
    return build(
        sources,
        (piece for parts in by_split.values() for one in parts for piece in _pieces(one)),
        classes=classes,
        n_columns=np.shape(matrices[0])[1],
        dtype=np.dtype(np.float16 if types == {np.dtype("<f2")} else np.float32),
        workdir=workdir,
        warnings=warnings,
    )


def _pieces(taken: Taken) -> Iterator[Piece]:
    """The embeddings block by block; the pages of each go back to the kernel."""
    x, source = taken.rows, taken.map
    if isinstance(x, list) or source is None:
        raise TypeError("texts have no embeddings")
    step = max(1, BLOCK_BYTES // (x.shape[1] * x.itemsize))
    for start in range(0, len(x), step):
        kept = taken.kept[start : start + step]
        if kept.any():
            block = x[start : start + step]
            yield Piece(split=taken.split, x=block if kept.all() else block[kept])
        source.release()


def _texts(
    by_split: Mapping[str, Sequence[Taken]],
    y: Mapping[str, NDArray[np.int64]],
    classes: Sequence[str],
    warnings: Sequence[DatasetWarning],
) -> PreparedTexts:
    splits = []
    for split, parts in by_split.items():
        names = RowNames.concatenated([one.names for one in parts])
        splits.append(
            TextSplit(
                name=split,
                texts=[
                    str(one.rows[row]) for one in parts for row in np.flatnonzero(one.kept).tolist()
                ],
                y=y[split],
                rows=names.rows.tolist(),
                ids=None if names.ids is None else names.ids.to_list(),
            )
        )
    file = TextsFile(classes=classes, splits=splits)
    return texts.finished(file, y_field=FIELD, warnings=warnings)
