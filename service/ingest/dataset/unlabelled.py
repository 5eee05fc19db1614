"""Prepare rows without labels, to be predicted: one file in their order, or texts."""

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from service.ingest.dataset.decoded import Decoded
from service.ingest.dataset.prepared import PreparedDataset
from service.ingest.dataset.texts import PreparedTexts
from service.ingest.disk import room_needed
from service.ingest.errors import BadInput, DatasetWarning
from service.ingest.formats import npy
from service.ingest.formats.npy import NpyHeader
from service.ingest.formats.zip import FIELD, checked_members, damage_first, open_member, open_zip
from service.ingest.limits import LARGE_BYTES, MAX_RATIO
from service.ingest.numbers import not_finite, refuse
from store.files import rows as rows_file
from store.files.rows import Ids
from store.files.texts import TextsFile, TextSplit

SPLIT: Final = "rows"
"""The name of the only split of an unlabelled dataset."""

_NAMES: Final = ("embeddings", "embedding", "x")


def assemble(decoded: Decoded, *, workdir: Path) -> PreparedDataset | PreparedTexts:
    """The dataset of the decoded rows, in their order, written to `workdir`; raises BadInput."""
    if decoded.texts is not None:
        return _texts(decoded.texts, decoded.ids, decoded.warnings)
    return _rows(
        decoded.blocks(np.arange(decoded.n_rows)),
        n_rows=decoded.n_rows,
        n_columns=decoded.n_columns,
        dtype=decoded.dtype,
        ids=decoded.ids,
        warnings=decoded.warnings,
        workdir=workdir,
    )


def read_npz(file: IO[bytes], *, workdir: Path, max_bytes: int) -> PreparedDataset:
    """The one matrix of the seekable .npz `file`, written to `workdir`. Raises BadInput."""
    file_size = file.seek(0, 2)
    with open_zip(file) as archive, damage_first(archive):
        members = checked_members(archive)
        name: str | None = next((one for one in _NAMES if one in members), None)
        if name is None and len(members) == 1:
            (name,) = members
        if name is None:
            shown = ", ".join(repr(name[:40]) for name in list(members)[:10])
            raise BadInput(
                "missing_array",
                f"Rows to be predicted must be one array named embeddings; the file has {shown}.",
                field="embeddings",
            )
        info = members[name]
        with open_member(archive, info, name) as source:
            header = npy.read_header(source, field=name)
        npy.check_embeddings(header, field=name)
        _check_size(header, file_size=file_size, max_bytes=max_bytes)
        return _rows(
            _checked(_blocks(archive, info, name, workdir), header, name),
            n_rows=header.shape[0],
            n_columns=header.shape[1],
            dtype=_stored(header),
            ids=None,
            warnings=_left_out([one for one in members if one != name]),
            workdir=workdir,
        )


def _rows(
    blocks: Iterable[NDArray[Any]],
    *,
    n_rows: int,
    n_columns: int,
    dtype: np.dtype[Any],
    ids: Ids | None,
    warnings: list[DatasetWarning],
    workdir: Path,
) -> PreparedDataset:
    path = workdir / "dataset.safetensors"
    with room_needed():
        rows_file.write(path, blocks, n_rows=n_rows, n_columns=n_columns, dtype=dtype, ids=ids)
    return PreparedDataset(
        path=path,
        classes=(),
        n_columns=n_columns,
        n_rows=n_rows,
        splits=_split(n_rows),
        profile={},
        warnings=warnings,
    )


def _texts(values: list[str], ids: Ids | None, warnings: list[DatasetWarning]) -> PreparedTexts:
    n_rows = len(values)
    split = TextSplit(
        name=SPLIT,
        texts=values,
        y=np.full(n_rows, -1, np.int64),
        rows=list(range(n_rows)),
        ids=None if ids is None else ids.to_list(),
    )
    return PreparedTexts(
        file=TextsFile(classes=[], splits=[split]),
        splits=_split(n_rows),
        profile={},
        warnings=warnings,
    )


def _split(n_rows: int) -> list[dict[str, Any]]:
    return [{"name": SPLIT, "n_rows": n_rows, "class_counts": []}]


def _stored(header: NpyHeader) -> np.dtype[Any]:
    return np.dtype("<f2" if header.dtype.itemsize == 2 else "<f4")


def _blocks(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, workdir: Path
) -> Iterable[NDArray[Any]]:
    with open_member(archive, info, name) as source:
        header = npy.read_header(source, field=name)
        yield from npy.blocks(source, header, field=name, workdir=workdir)


def _checked(
    blocks: Iterable[NDArray[Any]], header: NpyHeader, name: str
) -> Iterable[NDArray[Any]]:
    """The blocks as they are stored; raises BadInput where a value is not finite."""
    start = 0
    for block in blocks:
        with np.errstate(over="ignore"):  # overflow is refused just below
            stored = np.ascontiguousarray(block, dtype=_stored(header))
        refuse(not_finite(block, stored, field=name, first_row=start))
        yield stored
        start += len(block)


def _check_size(header: NpyHeader, *, file_size: int, max_bytes: int) -> None:
    """Refuse by what the header claims, before anything is uncompressed."""
    if header.data_bytes > max_bytes:
        raise BadInput(
            "too_large",
            f"The array takes {header.data_bytes:,} bytes uncompressed; the limit is "
            f"{max_bytes:,}. "
            "Save it as float16, which halves it, or send fewer rows.",
            field=FIELD,
        )
    if header.data_bytes > max(LARGE_BYTES, MAX_RATIO * file_size):
        raise BadInput(
            "suspicious_ratio",
            f"The file claims to be more than {MAX_RATIO} times its size when uncompressed, which "
            "embeddings never are: is it complete? If so, save it with numpy.savez.",
            field=FIELD,
            malformed=True,
        )


def _left_out(names: list[str]) -> list[DatasetWarning]:
    if not names:
        return []
    shown = ", ".join(repr(name[:40]) for name in names[:10])
    return [{"code": "columns_ignored", "message": f"Left out: {shown}."}]
