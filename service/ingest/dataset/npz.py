"""Read an uploaded .npz: arrays by split, streamed member by member.

    train_x, train_y              rows x columns of floats; labels (required)
    validation_x, validation_y    optional; also val, valid, dev
    test_x, test_y                optional: the in-domain test
    ood_<domain>_x, ..._y         optional, any number: labelled rows from elsewhere
    <split>_ids                   optional: strings or integers, your ids of the rows
    <split>_rows                  optional: integers, where the rows are in your data
    class_names                   strings, index = label; optional if labels are strings

An unknown array is an error and not a warning: with a misspelt `validaton_x` the head would train
on other rows than its owner believes.

Of the zip's directory only the places where members begin are trusted: sizes come from each array's
own header and the bytes that arrive. No whole embedding matrix is ever in memory.
"""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from service.ingest.dataset.decoded import NamedColumn
from service.ingest.dataset.npz_arrays import (
    CLASS_NAMES,
    Array,
    check_sizes,
    pair_up,
    read_headers,
)
from service.ingest.dataset.prepared import Piece, PreparedDataset, SplitSource, build
from service.ingest.dataset.similar_names import classes_of, one_of_each, settle
from service.ingest.errors import BadInput, DatasetWarning
from service.ingest.formats import npy
from service.ingest.formats.zip import damage_first, open_member, open_zip
from service.ingest.limits import MAX_ARRAY_BYTES, MAX_CLASSES
from service.ingest.names.labels import (
    LabelCoder,
    check_classes,
    class_indices,
    too_few_classes,
    too_many_classes,
)
from service.ingest.names.value_columns import NameCoder, Names, names_of_array
from store.files.row_names import RowNames
from store.files.rows import Ids

_MOST_ROW: Final = 1 << 53


def read(
    file: IO[bytes],
    *,
    workdir: Path,
    max_bytes: int = MAX_ARRAY_BYTES,
    merge_similar: bool = False,
    is_addition: bool = False,
) -> PreparedDataset:
    """The dataset in the seekable `file`, written to `workdir`.

    `max_bytes` bounds all arrays together, uncompressed; `merge_similar`: merge classes, and
    domains, that look the same; `is_addition`: see `prepared.build`. Raises BadInput for whatever
    is wrong.
    """
    file_size = file.seek(0, 2)
    with open_zip(file) as archive, damage_first(archive):
        arrays = read_headers(archive)
        check_sizes(arrays.values(), file_size=file_size, max_bytes=max_bytes)
        splits = pair_up(arrays, needs_train=not is_addition)
        called, similar = one_of_each(
            {name: x.header.shape[0] for name, (x, _) in splits.items()},
            what="domains",
            merge=merge_similar,
        )
        classes, labels, warnings = _read_labels(
            archive,
            arrays.get(CLASS_NAMES),
            splits,
            merge_similar=merge_similar,
            n_least=1 if is_addition else 2,
        )
        sources = [
            SplitSource(
                name=name,
                x_field=splits[name][0].name,
                y_field=splits[name][1].name,
                y=np.concatenate([labels[part] for part in splits if called[part] == name]),
                names=RowNames.joined(
                    [
                        _read_names(archive, arrays, part, splits[part][0])
                        for part in splits
                        if called[part] == name
                    ]
                ),
            )
            for name in splits
            if called[name] == name
        ]
        halves = all(x.header.dtype.itemsize == 2 for x, _ in splits.values())
        pieces = (
            piece
            for name, (x, _) in splits.items()
            for piece in _pieces(archive, x, split=called[name], workdir=workdir)
        )
        return build(
            sources,
            pieces,
            classes=classes,
            n_columns=next(iter(splits.values()))[0].header.shape[1],
            dtype=np.dtype(np.float16 if halves else np.float32),
            workdir=workdir,
            warnings=[*warnings, *similar],
            is_addition=is_addition,
        )


def _read_names(
    archive: zipfile.ZipFile, arrays: Mapping[str, Array], split: str, x: Array
) -> RowNames:
    """The sender's names of the rows of a split: by default their places in the array."""
    n_rows = x.header.shape[0]
    given = {one.part: one for one in arrays.values() if one.split == split}
    for part in ("rows", "ids"):
        if part in given and given[part].header.shape[0] != n_rows:
            raise BadInput(
                "length_mismatch",
                f"{given[part].name} has {given[part].header.shape[0]:,} values for the {n_rows:,} "
                f"rows of {x.name}: each row needs one.",
                field=given[part].name,
            )
    rows = np.arange(n_rows, dtype=np.int64)
    if "rows" in given:
        rows = np.concatenate(list(_blocks(archive, given["rows"])))
        if len(outside := np.flatnonzero((rows < 0) | (rows > _MOST_ROW))):
            row = int(outside[0])
            raise BadInput(
                "invalid_row",
                f"{given['rows'].name} row {row} is {rows[row]}: rows count from 0.",
                field=given["rows"].name,
                row=row,
            )
    ids: list[str] = []
    for block in _blocks(archive, given["ids"]) if "ids" in given else ():
        if block.dtype.kind == "U":
            ids += npy.strings(block, field=given["ids"].name, first_row=len(ids))
        else:
            ids += map(str, block.tolist())
    return RowNames(rows=rows.astype(np.int64), ids=Ids.of(ids) if ids else None)


def _read_labels(
    archive: zipfile.ZipFile,
    names: Array | None,
    splits: Mapping[str, tuple[Array, Array]],
    *,
    merge_similar: bool,
    n_least: int,
) -> tuple[tuple[str, ...], dict[str, NDArray[np.int64]], list[DatasetWarning]]:
    """The classes, by split the class index of each row, and warnings about the names."""
    given = None if names is None else _read_classes(archive, names)
    arrays = {split: y for split, (_, y) in splits.items()}
    are_strings = {y.header.dtype.kind in "UM" for y in arrays.values()}
    if len(are_strings) > 1:
        raise BadInput(
            "mixed_labels",
            "Some splits have integers as labels and others strings: use only one of the two.",
            field=next(iter(arrays.values())).name,
        )
    if given is not None and False in are_strings:
        known: Sequence[str] = given
        codes = {
            split: _read_indices(archive, y, n_classes=len(given)) for split, y in arrays.items()
        }
    else:
        coder = LabelCoder(given)
        codes = {split: _read_codes(archive, y, coder) for split, y in arrays.items()}
        known = coder.names
    column = NamedColumn(
        field=next(iter(arrays.values())).name,
        codes=np.concatenate(list(codes.values())),
        names=tuple(known),
    )
    ends = np.cumsum([len(part) for part in codes.values()])[:-1]
    if given is None:
        classes, y, warnings = classes_of(column, merge_similar=merge_similar, n_least=n_least)
    else:  # their order is that of class_names
        column, warnings = settle(column, what="labels", merge=merge_similar)
        classes, y = column.names or (), column.codes
        if len(classes) < 2:
            raise too_few_classes(len(classes), field=column.field)
    return classes, dict(zip(codes, np.split(y, ends), strict=True)), warnings


def _read_classes(archive: zipfile.ZipFile, array: Array) -> tuple[str, ...]:
    if array.header.shape[0] > MAX_CLASSES:
        raise too_many_classes(field=array.name)
    names: list[str] = []
    for block in _blocks(archive, array):
        names += npy.strings(block, field=array.name, first_row=len(names))
    return check_classes(names, field=array.name)


def _read_indices(archive: zipfile.ZipFile, array: Array, *, n_classes: int) -> NDArray[np.int64]:
    """Labels that are indices into class_names."""
    indices = np.empty(array.header.shape, np.int64)
    start = 0
    for block in _blocks(archive, array):
        indices[start : start + len(block)] = class_indices(
            block, n_classes=n_classes, field=array.name, first_row=start
        )
        start += len(block)
    return indices


def _read_codes(archive: zipfile.ZipFile, array: Array, coder: LabelCoder) -> NDArray[np.int64]:
    """Labels that are class names: strings, or values that are written out."""
    codes: list[NDArray[np.int64]] = []
    names = NameCoder("label", array.name, coder=coder)
    start = 0
    for block in _blocks(archive, array):
        values: Names = (
            npy.strings(block, field=array.name, first_row=start)
            if block.dtype.kind == "U"
            else names_of_array(block)
        )
        codes.append(names.codes(values, first_row=start))
        start += len(block)
    return np.concatenate(codes)


def _pieces(archive: zipfile.ZipFile, x: Array, *, split: str, workdir: Path) -> Iterator[Piece]:
    start = 0
    for block in _blocks(archive, x, workdir=workdir):
        stop = start + len(block)
        yield Piece(split=split, x=block, rows=np.arange(start, stop), x_field=x.name)
        start = stop


def _blocks(
    archive: zipfile.ZipFile, array: Array, *, workdir: Path | None = None
) -> Iterator[NDArray[Any]]:
    with open_member(archive, array.info, array.name) as source:
        header = npy.read_header(source, field=array.name)
        yield from npy.blocks(source, header, field=array.name, workdir=workdir)
