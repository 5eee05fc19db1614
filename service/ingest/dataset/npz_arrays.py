"""The arrays of an uploaded .npz: which there may be, of what kind, how large; x and y by split."""

import difflib
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from service.ingest.errors import BadInput
from service.ingest.formats import npy
from service.ingest.formats.npy import NpyHeader
from service.ingest.formats.zip import FIELD, checked_members, open_member
from service.ingest.limits import LARGE_BYTES, MAX_LABEL_BYTES, MAX_RATIO, MAX_ROWS
from service.ingest.names.split_names import PLAIN, check_split, in_order, split_of_array

CLASS_NAMES: Final = "class_names"


@dataclass(frozen=True, kw_only=True)
class Array:
    """One member of the file; `split` is None for the class names."""

    name: str
    info: zipfile.ZipInfo
    header: NpyHeader
    split: str | None = None
    part: str = ""


def read_headers(archive: zipfile.ZipFile) -> dict[str, Array]:
    """All arrays by name, their names and headers checked, none of their data read.

    Raises BadInput.
    """
    arrays: dict[str, Array] = {}
    for name, info in checked_members(archive).items():
        split, part = _place(name)
        with open_member(archive, info, name) as source:
            header = npy.read_header(source, field=name)
        array = Array(name=name, info=info, header=header, split=split, part=part)
        _check_kind(array)
        arrays[name] = array
    return arrays


def _place(name: str) -> tuple[str | None, str]:
    """Split and part ("x" or "y") that an array's name stands for; (None, "") for class_names."""
    if name == CLASS_NAMES:
        return None, ""
    found = split_of_array(name)
    if found is None:
        expected = [CLASS_NAMES, *(f"{split}_{part}" for split in PLAIN for part in "xy")]
        close = difflib.get_close_matches(name, expected, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}? " if close else ""
        raise BadInput(
            "unknown_array",
            f"The file has an unknown array {name[:80]!r}: {hint}Rename it or leave it out. Known "
            f"are "
            "train_x, train_y, the same for validation, test and ood_<domain>, and class_names.",
            field=name[:80],
        )
    split, part = found
    check_split(split, field=name[:80])
    return split, part


def _check_kind(array: Array) -> None:
    header, name = array.header, array.name
    if array.part == "x":
        npy.check_embeddings(header, field=name)
        return
    kinds = {"": "U", "rows": "iu", "ids": "iuU"}.get(array.part, "iufbUM")
    if header.dtype.kind not in kinds:
        wanted = {
            "": "strings: use .astype(str)",
            "rows": "integers: use .astype('int64')",
        }.get(array.part, "integers or strings: use .astype('int64')")
        raise BadInput(
            "npy_dtype", f"{name} holds {header.dtype.name}, but must hold {wanted}.", field=name
        )
    if len(header.shape) != 1:
        raise BadInput(
            "npy_shape",
            f"{name} has two dimensions, but must have one: use .ravel(), or .argmax(axis=1) if it "
            "is one-hot.",
            field=name,
        )


def check_sizes(arrays: Collection[Array], *, file_size: int, max_bytes: int) -> None:
    """Refuse by what the headers claim, before anything is uncompressed or written."""
    x_bytes = sum(array.header.data_bytes for array in arrays if array.part == "x")
    y_bytes = sum(array.header.data_bytes for array in arrays if array.part != "x")
    n_rows = sum(array.header.shape[0] for array in arrays if array.part == "x")
    if n_rows > MAX_ROWS:
        raise BadInput("too_large", f"The file has more than {MAX_ROWS:,} rows.", field=FIELD)
    if y_bytes > MAX_LABEL_BYTES:
        raise BadInput(
            "too_large",
            f"The labels take more than {MAX_LABEL_BYTES >> 20} MiB uncompressed: send integers, "
            "with class_names.",
            field=FIELD,
        )
    if x_bytes + y_bytes > max_bytes:
        raise BadInput(
            "too_large",
            f"The arrays take {x_bytes + y_bytes:,} bytes uncompressed; the limit is "
            f"{max_bytes:,}. "
            "Save them as float16, which halves them, or send fewer rows.",
            field=FIELD,
        )
    if x_bytes > max(LARGE_BYTES, MAX_RATIO * file_size):
        raise BadInput(
            "suspicious_ratio",
            f"The file claims to be more than {MAX_RATIO} times its size when uncompressed, which "
            "embeddings never are: is it complete? If so, save it with numpy.savez.",
            field=FIELD,
            malformed=True,
        )


def pair_up(arrays: Mapping[str, Array], *, needs_train: bool) -> dict[str, tuple[Array, Array]]:
    """x and y by split, in the order train, validation, test, then domains by name.

    Raises BadInput.
    """
    parts: dict[tuple[str, str], Array] = {}
    for array in arrays.values():
        if array.split is None:
            continue
        other = parts.setdefault((array.split, array.part), array)
        if other is not array:
            raise BadInput(
                "duplicate_array",
                f"{other.name[:80]} and {array.name[:80]} both belong to the split {array.split}: "
                "leave one of them out.",
                field=array.name[:80],
            )
    names = {split for split, _ in parts}
    if "train" not in names and (needs_train or not names):
        raise BadInput(
            "missing_array",
            "The file has no train_x and train_y: add the rows to train on.",
            field="train_x",
        )
    splits = {}
    for name in in_order(names):
        prefix = name.replace("/", "_")
        for part in "xy":
            if (name, part) not in parts:
                raise BadInput(
                    "missing_array",
                    f"The file has no {prefix}_{part}: each split needs both an x and a y array.",
                    field=f"{prefix}_{part}",
                )
        splits[name] = (parts[name, "x"], parts[name, "y"])
    first = next(iter(splits.values()))[0]
    n_columns = first.header.shape[1]
    for x, y in splits.values():
        (n_rows, width), n_labels = x.header.shape, y.header.shape[0]
        if n_rows != n_labels:
            raise BadInput(
                "length_mismatch",
                f"{x.name} has {n_rows:,} rows and {y.name} {n_labels:,} labels: each row needs "
                f"one "
                "label.",
                field=y.name,
            )
        if width != n_columns:
            raise BadInput(
                "width_mismatch",
                f"{x.name} has {width:,} columns, but {first.name} has {n_columns:,}: use the same "
                "encoder for all splits.",
                field=x.name,
            )
    return splits
