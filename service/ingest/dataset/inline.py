"""Read embeddings and labels from a JSON body: lists of lists, or base64.

The values come as orjson parsed them and are checked here, not by a schema: numpy converts a
million numbers in the time that a validator takes for a few thousand.
"""

import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nmtune.rows.split import stratified_split
from service.ingest.dataset import row_splits
from service.ingest.dataset.decoded import NamedColumn
from service.ingest.dataset.prepared import Piece, PreparedDataset, SplitSource, build
from service.ingest.dataset.row_splits import SPLIT_SEED, TEST_FRACTION
from service.ingest.dataset.similar_names import classes_of
from service.ingest.errors import BadInput, DatasetWarning
from service.ingest.formats.exact import check_lists
from service.ingest.names.value_columns import NameCoder
from service.ingest.numbers import as_float32, check_n_rows, check_size, not_finite, refuse
from store.files.row_names import RowNames

_DTYPES: Final[dict[str, np.dtype[Any]]] = {"float32": np.dtype("<f4"), "float16": np.dtype("<f2")}
_KEYS: Final = {"base64", "shape", "dtype"}
_NUMBERS: Final = {int, float}

SPLIT_MADE: Final[DatasetWarning] = {
    "code": "split_made",
    "message": "No splits were given, so a fifth of the rows of each class, chosen at random with "
    "a fixed seed, became test. Send splits to decide yourself, especially if rows belong "
    "together (the same person, document or day).",
}


def prepare(
    embeddings: object,
    labels: object,
    splits: object = None,
    *,
    workdir: Path,
    merge_similar: bool = False,
    is_addition: bool = False,
) -> PreparedDataset:
    """The dataset that a body's values are, written to `workdir`. Blocking.

    `embeddings` is a list of n lists of d numbers, or {"base64", "shape": [n, d], "dtype":
    "float32" | "float16"} in little-endian C order; `labels` n names; `splits` n of `train`,
    `validation`, `test`, `ood/<domain>`, or None; `merge_similar`: merge classes, and domains, that
    look the same; `is_addition`: see `prepared.build`. Raises BadInput.
    """
    x = _read(embeddings, field="embeddings", max_rows=None)
    if isinstance(embeddings, list):
        check_lists(embeddings, x, field="embeddings", first_row=0)
    beside = read_beside(
        labels, splits, n_rows=len(x), merge_similar=merge_similar, is_addition=is_addition
    )
    rows_by_split = beside.rows_by_split
    sources = [
        SplitSource(
            name=name,
            x_field="embeddings",
            y_field="labels",
            y=beside.y[rows],
            names=RowNames(rows=rows),
        )
        for name, rows in rows_by_split.items()
    ]
    return build(
        sources,
        (Piece(split=name, x=x[rows], rows=rows) for name, rows in rows_by_split.items()),
        classes=beside.classes,
        n_columns=x.shape[1],
        dtype=np.dtype(np.float16 if x.dtype.itemsize == 2 else np.float32),
        workdir=workdir,
        warnings=beside.warnings,
        is_addition=is_addition,
    )


def read_embeddings(
    value: object, *, field: str = "embeddings", max_rows: int | None = None
) -> NDArray[np.float32]:
    """Lists of lists or base64 as finite float32 (n, d) in C order; raises BadInput."""
    return as_float32(_read(value, field=field, max_rows=max_rows), field=field)


def _read(value: object, *, field: str, max_rows: int | None) -> NDArray[Any]:
    """Finite float16 or float32 (n, d); the row in errors is the row of the request."""
    if not isinstance(value, dict):
        return _from_lists(value, field, max_rows)
    x = _from_base64(value, field, max_rows)
    refuse(not_finite(x, x, field=field, first_row=0))
    return x


def _from_lists(value: object, field: str, max_rows: int | None) -> NDArray[np.float32]:
    if not isinstance(value, list) or not value:
        raise BadInput(
            "invalid_embeddings",
            f"{field} must be a list of rows, each a list of numbers, or an object with base64, "
            "shape and dtype.",
            field=field,
        )
    if max_rows is not None:
        check_n_rows(len(value), max_rows, field=field)
    first = value[0]
    n_columns = len(first) if isinstance(first, list) else 0
    check_size(len(value), n_columns, field=field)
    for row, values in enumerate(value):
        # Check types before numpy converts: it would take True, "1.5" and null as numbers.
        if type(values) is not list or len(values) != n_columns or not values:
            raise _wrong_row(values, row, n_columns, field)
        if not _NUMBERS.issuperset(map(type, values)):
            raise _not_a_number(values, row, field)
    try:
        with np.errstate(over="ignore"):
            x = np.array(value, np.float32)
    except OverflowError as error:  # an integer beyond float64, which orjson never makes
        raise BadInput(
            "not_finite", f"{field} has a number that is too large.", field=field
        ) from error
    if not np.isfinite(x).all():  # rare, so the given numbers are read only now
        refuse(not_finite(np.array(value, np.float64), x, field=field, first_row=0))
    return x


def _wrong_row(values: object, row: int, n_columns: int, field: str) -> BadInput:
    if not isinstance(values, list):
        what = f"is {_kind(values)}, not a list of numbers"
    elif not values:
        what = "is empty"
    else:
        what = f"has {len(values):,} numbers, but row 0 has {n_columns:,}: all need the same number"
    return BadInput("invalid_embeddings", f"{field} row {row} {what}.", field=field, row=row)


def _not_a_number(values: Sequence[object], row: int, field: str) -> BadInput:
    column = next(j for j, value in enumerate(values) if type(value) not in _NUMBERS)
    return BadInput(
        "invalid_embeddings",
        f"{field} row {row}, column {column} is {_kind(values[column])}, not a number.",
        field=field,
        row=row,
        column=column,
    )


def _from_base64(value: dict[Any, Any], field: str, max_rows: int | None) -> NDArray[Any]:
    if set(value) != _KEYS:
        raise _bad_base64("must have exactly the keys base64, shape and dtype", field)
    text, shape, name = value["base64"], value["shape"], value["dtype"]
    dtype = _DTYPES.get(name) if isinstance(name, str) else None
    if dtype is None:
        raise _bad_base64('must have the dtype "float32" or "float16" (little-endian)', field)
    if (
        not isinstance(shape, list)
        or len(shape) != 2
        or not all(type(size) is int and size >= 1 for size in shape)
    ):
        raise _bad_base64("must have a shape [rows, columns], both at least 1", field)
    n_rows, n_columns = shape
    if max_rows is not None:
        check_n_rows(n_rows, max_rows, field=field)
    check_size(n_rows, n_columns, field=field)
    n_bytes = n_rows * n_columns * dtype.itemsize
    if not isinstance(text, str) or len(text) != 4 * ceil(n_bytes / 3):
        raise _bad_base64(
            f"must hold {n_bytes:,} bytes in base64 ({4 * ceil(n_bytes / 3):,} characters, with "
            "padding) for its shape and dtype",
            field,
        )
    try:
        content = binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:  # binascii.Error is one; so is text beyond ASCII
        raise _bad_base64("is not valid base64 (standard alphabet, padded)", field) from error
    if len(content) != n_bytes:
        raise _bad_base64(
            f"holds {len(content):,} bytes, but its shape and dtype need {n_bytes:,}", field
        )
    return np.frombuffer(content, dtype).reshape(n_rows, n_columns)


def _bad_base64(what: str, field: str) -> BadInput:
    return BadInput("invalid_embeddings", f"{field} {what}.", field=field)


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What came with n rows: the classes, y (n,) class indices, and row numbers by split."""

    classes: tuple[str, ...]
    y: NDArray[np.int64]
    rows_by_split: dict[str, NDArray[np.intp]]
    warnings: list[DatasetWarning]


def read_beside(
    labels: object, splits: object, *, n_rows: int, merge_similar: bool, is_addition: bool = False
) -> Beside:
    """The labels and splits of n rows; without splits, a test split is made. Raises BadInput."""
    classes, y, warnings = classes_of(
        _named(labels, "label", n_rows),
        merge_similar=merge_similar,
        n_least=1 if is_addition else 2,
    )
    named = None if splits is None else _named(splits, "split", n_rows)
    more: list[DatasetWarning] = []
    if is_addition:
        rows_by_split = row_splits.of_addition(n_rows, named)
    elif named is not None:
        rows_by_split, more = row_splits.given(named, merge_similar=merge_similar)
    else:
        kept, held_out = stratified_split(y, fraction=TEST_FRACTION, seed=SPLIT_SEED)
        rows_by_split = {"train": kept, "test": held_out} if len(held_out) else {"train": kept}
        more = [SPLIT_MADE] if len(held_out) else []
    return Beside(classes=classes, y=y, rows_by_split=rows_by_split, warnings=[*warnings, *more])


def read_labels(labels: object, *, n_rows: int) -> NamedColumn:
    """The labels of n rows as codes and their names; raises BadInput."""
    return _named(labels, "label", n_rows)


def _named(value: object, part: str, n_rows: int) -> NamedColumn:
    field = f"{part}s"
    values = _column(value, field, n_rows)
    coder = NameCoder(part, field)
    codes = coder.codes(values)
    return NamedColumn(field=field, codes=codes, names=tuple(coder.names))


def _column(value: object, field: str, n_rows: int) -> list[object]:
    if not isinstance(value, list):
        raise BadInput(
            f"invalid_{field}", f"{field} must be a list with one entry per row.", field=field
        )
    if len(value) != n_rows:
        raise BadInput(
            "length_mismatch",
            f"{field} has {len(value):,} entries for {n_rows:,} rows: each row needs one.",
            field=field,
        )
    return value


def _kind(value: object) -> str:
    """What JSON calls the type of the value; never the value, which may be long or secret."""
    names = {bool: "a boolean", str: "a string", int: "a number", float: "a number", list: "a list"}
    return "null" if value is None else names.get(type(value), "an object")
