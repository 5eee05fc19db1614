"""Check arrays before they are sent, where an error can still name row and column."""

import base64
import math
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from nmtune_client._datasets.labels import label_list, split_of
from nmtune_client._datasets.vectors import as_array
from nmtune_client._names import ID_SPLIT, OOD_PREFIX

Embeddings = NDArray[np.float32]

# What `isfinite` may hold in memory at once, as a Boolean a value.
_VALUES_AT_ONCE = 1 << 22
# The integers up to here are float32 numbers, each of them.
_EXACT_TO = 1 << 24
_TEST_SHARE = 0.2
_SPLIT_SEED = 0
_OOD = re.compile(r"ood_", re.IGNORECASE)
# What no member of a zip file may hold, and what shows that it is encoded.
_ENCODED = {ord(character): f"%{ord(character):02X}" for character in "/\\:%"}


def embeddings_array(values: object, *, name: str = "embeddings") -> Embeddings:
    """`values` as a contiguous float32 array (n, d), n and d at least 1, all finite.

    Accepts whatever `as_array` does: arrays, tables, tensors, and columns or lists of vectors.
    Raises ValueError saying what is wrong, with the row and column where there is one.
    """
    array = as_array(values, name=name)
    if array.ndim == 1 and array.size:
        raise ValueError(
            f"{name} must have two dimensions (rows, columns), got one of {array.size} values; "
            f"for a single row pass {name}.reshape(1, -1)"
        )
    if array.ndim != 2:
        hint = "; pass it .squeeze(1)" if array.ndim == 3 and array.shape[1] == 1 else ""
        raise ValueError(
            f"{name} must have two dimensions (rows, columns), got shape {array.shape}{hint}"
        )
    if 0 in array.shape:
        raise ValueError(f"{name} are empty: their shape is {array.shape}")
    with np.errstate(over="ignore"):
        result = np.ascontiguousarray(array, dtype=np.float32)
    check_finite(result, name=name, source=array)
    _check_whole_numbers(array, result, name)
    return result


def _check_whole_numbers(array: NDArray[Any], as_float32: Embeddings, name: str) -> None:
    """Raise ValueError naming the first integer that float32 does not hold exactly."""
    if array.dtype.kind not in "iu" or array.dtype.itemsize <= 2:
        return
    large = np.argwhere((array > _EXACT_TO) | (array < -_EXACT_TO))
    for row, column in large.tolist():
        if int(as_float32[row, column]) != int(array[row, column]):
            raise ValueError(
                f"{name}, row {row}, column {column}: float32 cannot hold the integer "
                f"{array[row, column]} exactly; pass floats if the rounded value will do"
            )


def check_finite(
    array: NDArray[Any], *, name: str, source: NDArray[Any] | None = None, n_dimensions: int = 2
) -> None:
    """Raise ValueError naming the first value of `array` (n, d) that is NaN or infinite.

    `source` is the array it was converted from: a value finite there was too large for float32.
    """
    if array.ndim != n_dimensions:
        raise ValueError(f"{name} must have {n_dimensions} dimensions, got shape {array.shape}")
    step = max(1, _VALUES_AT_ONCE // max(1, array.shape[1]))
    for start in range(0, len(array), step):
        finite = np.isfinite(array[start : start + step])
        if not finite.all():
            row, column = (int(index) for index in np.argwhere(~finite)[0])
            row += start
            value = (array if source is None else source)[row, column]
            problem = (
                f"{value} does not fit into float32" if math.isfinite(value) else f"it is {value}"
            )
            raise ValueError(f"{name}, row {row}, column {column}: {problem}")


def text_list(texts: object) -> list[str]:
    """n strings, each with something in it. ValueError names the row of what is wrong."""
    if isinstance(texts, str) or not isinstance(texts, Iterable):
        raise ValueError("texts must be a sequence of strings")
    # pyarrow's items are scalars of its own
    values = texts.to_pylist() if hasattr(texts, "to_pylist") else list(texts)
    if not values:
        raise ValueError("texts is empty")
    for row, text in enumerate(values):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"texts, row {row}: it must be a string with something in it")
    return [str(text) for text in values]


def inline(array: Embeddings) -> dict[str, Any]:
    """The embeddings (n, d) as the JSON object the API takes: little-endian float32, base64."""
    data = base64.b64encode(array.astype("<f4", copy=False).tobytes())
    return {"base64": data.decode("ascii"), "shape": list(array.shape), "dtype": "float32"}


def npz_arrays(
    embeddings: Embeddings,
    labels: Sequence[str],
    splits: Sequence[str] | None,
    *,
    with_rows: bool = False,
) -> dict[str, NDArray[Any]]:
    """The same rows in the npz layout: `<split>_x`, `<split>_y` and `class_names`.

    with_rows: also `<split>_rows`, where they are in `embeddings`, so that a report can name them.

    As the server does with rows sent inline, classes that are all integers come in their numeric
    order, and without `splits` a seeded fifth of each class becomes `test`.
    """
    classes = _in_class_order(set(labels))
    index = {label: position for position, label in enumerate(classes)}
    y = np.array([index[label] for label in labels], dtype=np.int64)
    of_row = np.array(splits) if splits is not None else _train_and_test(y)
    arrays: dict[str, NDArray[Any]] = {"class_names": np.array(classes, dtype=np.str_)}
    for split in dict.fromkeys(of_row.tolist()):
        rows = of_row == split
        member = _member(split)
        # one split with every row is no copy of a large array
        arrays[f"{member}_x"] = embeddings if rows.all() else embeddings[rows]
        arrays[f"{member}_y"] = y[rows]
        if with_rows:
            arrays[f"{member}_rows"] = np.flatnonzero(rows)
    return arrays


def _member(split: str) -> str:
    """What the arrays of a split are called, without `_x` and `_y`."""
    domain = split.removeprefix(OOD_PREFIX)
    return split if domain == split else f"ood_{domain.translate(_ENCODED)}"


def _split_of_x(key: str) -> str | None:
    """The split whose embeddings an array called `key` holds; None for another array."""
    prefix = key.removesuffix("_x")
    return None if prefix == key else split_of(_OOD.sub(OOD_PREFIX, prefix, count=1))


def _in_class_order(labels: Iterable[str]) -> list[str]:
    distinct = set(labels)
    all_integers = all(re.fullmatch(r"0|-?[1-9][0-9]{0,18}", label) for label in distinct)
    return sorted(distinct, key=int if all_integers else None)


def _train_and_test(y: NDArray[np.int64]) -> NDArray[np.str_]:
    """A split name a row (n,): `test` for a fifth of each class, which keeps one row at least."""
    generator = np.random.default_rng(_SPLIT_SEED)
    of_row = np.full(len(y), "train", dtype="<U5")
    for label in np.unique(y):
        rows = generator.permutation(np.flatnonzero(y == label))
        of_row[rows[: min(round(_TEST_SHARE * len(rows)), len(rows) - 1)]] = ID_SPLIT
    return of_row


def check_npz_arrays(
    arrays: Mapping[str, object], *, needs_train: bool = True
) -> dict[str, NDArray[Any]]:
    """Arrays in the npz layout, checked: each `<split>_x` (n, d) finite, with its `<split>_y` (n,).

    needs_train: whether there must be a `train_x`. float16 and float32 stay as they are; other
    numbers become float32.
    """
    checked: dict[str, NDArray[Any]] = {}
    for key, value in arrays.items():
        if _split_of_x(key) is not None:
            array = as_array(value, name=key)
            if array.dtype == np.float16 and array.ndim == 2:
                check_finite(array, name=key)
                checked[key] = array
            else:
                checked[key] = embeddings_array(array, name=key)
        else:
            checked[key] = _plain(value, key, are_indices="class_names" in arrays)
    by_split = {split: key for key in checked if (split := _split_of_x(key)) is not None}
    if "train" not in by_split and (needs_train or not by_split):
        raise ValueError(f"the arrays lack train_x; they are {', '.join(sorted(arrays)) or 'none'}")
    names = [key.removesuffix("_x") for key in by_split.values()]
    first = by_split.get("train", next(iter(by_split.values())))
    n_columns = checked[first].shape[1]
    for split in names:
        x, y = checked[f"{split}_x"], checked.get(f"{split}_y")
        if y is None:
            raise ValueError(f"the arrays have {split}_x but lack {split}_y")
        if y.shape != (len(x),):
            raise ValueError(f"{split}_y has shape {y.shape} for {len(x)} rows of {split}_x")
        if x.shape[1] != n_columns:
            raise ValueError(f"{split}_x has {x.shape[1]} columns where {first} has {n_columns}")
    return checked


def _plain(value: Any, key: str, *, are_indices: bool) -> NDArray[Any]:
    """An array that npz can hold without pickle: object arrays become strings, or indices."""
    array = np.asarray(value)
    if array.dtype.kind != "O":
        return array
    if array.ndim != 1:
        raise ValueError(f"{key} must hold one value a row, got shape {array.shape}")
    names = label_list(value, n_rows=len(array), name=key)
    if are_indices and key.endswith("_y") and all(name.isdecimal() for name in names):
        return np.array([int(name) for name in names], np.int64)
    return np.array(names, dtype=np.str_)


def write_npz(file: IO[bytes], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write `arrays` as an uncompressed npz; the same arrays always make the same bytes.

    `numpy.savez` writes the time into it, so that a repeated upload would be another request.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
