"""Read rows that come as one matrix, .npy or safetensors, with their values beside it.

.npy          the embeddings; labels (and splits, domains, groups) in separate parts
.safetensors  `embeddings` and `labels`; or `train_x`, `train_y`, the same for validation, test
              and ood_<domain>; class names in the metadata as `class_names`, a JSON list
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from service.ingest.errors import FIELD, BadInput
from service.ingest.formats import npy, value_file
from service.ingest.formats.safetensors import Tensor, TensorFile
from service.ingest.formats.spool import Spool
from service.ingest.formats.value_file import Values
from service.ingest.names.labels import class_indices
from service.ingest.names.split_names import check_split, split_of_array
from service.ingest.names.value_columns import Names

_X: Final = ("embeddings", "embedding", "x")
_Y: Final = ("labels", "label", "y")
_ROWS_AT_ONCE: Final = 65_536


def read_npy(
    path: Path,
    *,
    parts: Mapping[str, Path],
    folder: Path,
    max_bytes: int,
    is_labelled: bool = True,
) -> None:
    """Spool the .npy at `path` with its `parts` (label, split, domain, group); raises BadInput."""
    if is_labelled and "label" not in parts:
        raise BadInput(
            "missing_labels",
            "An .npy holds only embeddings: send it in a form (multipart/form-data) as file, with "
            "the labels in the part labels, as an .npy, a JSON list, or a text with one per line; "
            "or, if the rows are to be predicted, say ?unlabelled=true.",
            field="labels",
        )
    with path.open("rb") as file:
        header = npy.read_header(file, field="embeddings")
        npy.check_embeddings(header, field="embeddings")
        values = _values(parts, header.shape[0])
        _check_bytes(header.data_bytes, path.stat().st_size)
        size = path.stat().st_size
        spool = _spool(folder, values, max_bytes=max_bytes, size=size)
        n_rows, n_columns = header.shape
        begin = file.tell()
        is_plain = not header.fortran_order and begin + header.data_bytes == size
        if is_plain and spool.take(
            path, offset=begin, shape=(n_rows, n_columns), given=header.dtype
        ):
            _add_columns(spool, values, n_rows)
        else:
            for block in npy.blocks(file, header, field="embeddings", workdir=folder):
                _add(spool, block, values, spool.n_rows)
        spool.finish()


def read_safetensors(
    path: Path,
    *,
    parts: Mapping[str, Path],
    folder: Path,
    max_bytes: int,
    is_labelled: bool = True,
) -> None:
    """Spool the safetensors file at `path`; raises BadInput."""
    with path.open("rb") as file:
        tensors = TensorFile.open(file, size=path.stat().st_size)
        size = path.stat().st_size
        if any(name in tensors.tensors for name in _X):
            x = tensors.embeddings(next(name for name in _X if name in tensors.tensors))
            values = _values(parts, x.shape[0]) if parts else {}
            if is_labelled and "label" not in values:
                name = next((name for name in _Y if name in tensors.tensors), None)
                if name is None:
                    raise _no_labels(tensors.tensors)
                values["label"] = _labels(file, tensors, name, x.shape[0])
            spool = _spool(folder, values, max_bytes=max_bytes, size=size)
            n_rows, n_columns = x.shape
            given = x.numpy_dtype
            if given is not None and spool.take(
                path, offset=x.begin, shape=(n_rows, n_columns), given=given
            ):
                _add_columns(spool, values, n_rows)
            else:
                for block in tensors.blocks(file, x):
                    _add(spool, block, values, spool.n_rows)
        elif not is_labelled:
            raise _no_rows(tensors.tensors)
        else:
            spool = _read_splits(file, tensors, folder=folder, max_bytes=max_bytes, size=size)
        spool.finish()


def _read_splits(
    file: IO[bytes], tensors: TensorFile, *, folder: Path, max_bytes: int, size: int
) -> Spool:
    by_split: dict[str, dict[str, str]] = {}
    for name in tensors.tensors:
        if (found := split_of_array(name)) is None:
            continue
        split, part = found
        if part not in ("x", "y"):
            continue
        other = by_split.setdefault(check_split(split, field=name[:80]), {}).setdefault(part, name)
        if other != name:
            raise BadInput(
                "duplicate_array",
                f"{other[:80]} and {name[:80]} both belong to the split {split}: leave one of "
                "them out.",
                field=name[:80],
            )
    if "train" not in by_split:
        raise _no_labels(tensors.tensors)
    spool: Spool | None = None
    for split, arrays in by_split.items():
        for part, other in (("x", "y"), ("y", "x")):
            if part not in arrays:
                wanted = arrays[other][:-1] + part
                raise BadInput(
                    "missing_array",
                    f"The file has no {wanted[:80]}: each split needs both an x and a y array.",
                    field=wanted[:80],
                )
        x = tensors.embeddings(arrays["x"])
        labels = _labels(file, tensors, arrays["y"], x.shape[0])
        if spool is None:
            fields = {"label": labels, "split": ()}
            spool = _spool(folder, fields, max_bytes=max_bytes, size=size, is_by_split=True)
        first = spool.n_rows
        for block in tensors.blocks(file, x):
            start = spool.n_rows - first
            names_of: Names = value_file.slice_names(labels, start, start + len(block))
            spool.add(
                block, {"label": names_of, "split": ([split], np.zeros(len(block), np.int64))}
            )
    if spool is None:
        raise _no_labels(tensors.tensors)
    return spool


def _spool(
    folder: Path,
    values: Mapping[str, Values],
    *,
    max_bytes: int,
    size: int,
    is_by_split: bool = False,
) -> Spool:
    return Spool(
        folder,
        x_field="embeddings",
        fields={part: f"{part}s" for part in values},
        max_bytes=max_bytes,
        file_size=size,
        is_by_split=is_by_split,
    )


def _add(spool: Spool, block: NDArray[Any], values: Mapping[str, Values], start: int) -> None:
    stop = start + len(block)
    spool.add(
        block,
        {part: value_file.slice_names(given, start, stop) for part, given in values.items()},
    )


def _add_columns(spool: Spool, values: Mapping[str, Values], n_rows: int) -> None:
    for start in range(0, n_rows, _ROWS_AT_ONCE):
        stop = min(start + _ROWS_AT_ONCE, n_rows)
        given = {
            part: value_file.slice_names(part_of, start, stop) for part, part_of in values.items()
        }
        spool.add_columns(given, stop - start)


def _values(parts: Mapping[str, Path], n_rows: int) -> dict[str, Values]:
    values = {
        part: value_file.read(path, field=f"{part}s", n_rows=n_rows) for part, path in parts.items()
    }
    for part, given in values.items():
        if len(given) != n_rows:
            raise value_file.wrong_length(len(given), n_rows, field=f"{part}s")
    return values


def _labels(file: IO[bytes], tensors: TensorFile, name: str, n_rows: int) -> Values:
    """Labels of a tensor: class names if the metadata has them, else the integers."""
    y = tensors.values(file, name)
    if len(y) != n_rows:
        raise BadInput(
            "length_mismatch",
            f"{name} has {len(y):,} values for {n_rows:,} rows: each row needs one label.",
            field=name,
        )
    if tensors.class_names is None:
        return y
    names = tensors.class_names
    return _Named(class_indices(y, n_classes=len(names), field=name), names)


class _Named(Sequence[object]):
    """Class indices that are read as the names of their classes."""

    def __init__(self, y: NDArray[Any], names: Sequence[str]) -> None:
        self._y, self._names = y, names

    def __len__(self) -> int:
        return len(self._y)

    def __getitem__(self, rows: Any) -> Any:
        picked = self._y[rows]
        if isinstance(rows, slice):
            return [self._names[index] for index in picked.tolist()]
        return self._names[int(picked)]


def _check_bytes(claimed: int, size: int) -> None:
    if claimed > size:
        raise BadInput(
            "truncated",
            "embeddings ends before its last byte: was the upload cut off?",
            field="embeddings",
            malformed=True,
        )


def _no_labels(tensors: Mapping[str, Tensor]) -> BadInput:
    shown = ", ".join(repr(name[:40]) for name in list(tensors)[:10]) or "none"
    return BadInput(
        "missing_array",
        f"The file needs the tensors embeddings and labels, or train_x and train_y; it has {shown}"
        ".",
        field=FIELD,
    )


def _no_rows(tensors: Mapping[str, Tensor]) -> BadInput:
    shown = ", ".join(repr(name[:40]) for name in list(tensors)[:10]) or "none"
    return BadInput(
        "missing_array",
        f"Rows to be predicted must be one tensor named embeddings; the file has {shown}.",
        field=FIELD,
    )
