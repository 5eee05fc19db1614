"""Read Parquet: embeddings as lists in one column, one column per dimension, or texts.

Pages are read as a stream and decoded a few rows at a time. The sizes that the file states are not
trusted: rows and bytes are counted as they come, and the process has a memory limit.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from service.ingest.errors import FIELD, BadInput
from service.ingest.formats.exact import check_integers
from service.ingest.formats.hugging_face import class_names, is_index, named
from service.ingest.formats.spool import Spool, too_many_bytes, wrong_width
from service.ingest.limits import BLOCK_BYTES, MAX_COLUMNS, MAX_ROWS, MAX_TEXTS
from service.ingest.names import columns
from service.ingest.names.columns import Columns, Wanted
from service.ingest.names.value_columns import Names
from service.ingest.names.value_name import a, iso, iso_times

_BUFFER_BYTES: Final = 1 << 20
_FIRST_ROWS: Final = 16
_TEXTS_AT_ONCE: Final = 1024
_MAX_FOOTER_BYTES: Final = 64 << 20
_MAX_LISTED: Final = 4 * MAX_COLUMNS
"""The most columns, their parts, or row groups in a footer. More are refused while it is read,
because interpreting 100,000 columns takes seconds."""
_TOO_MUCH_LISTED: Final = "Exceeded size limit"
_UNREADABLE: Final = (
    pa.ArrowInvalid,
    pa.ArrowNotImplementedError,
    pa.ArrowKeyError,
    OSError,
    UnicodeDecodeError,  # of a column's name
)
_LEAST_BYTES: Final = 2
"""The smallest stored size of a number."""

_FLOATS: Final = (pa.float16(), pa.float32(), pa.float64())


def read(path: Path, *, wanted: Wanted, folder: Path, max_bytes: int) -> None:
    """Spool the rows of the file at `path` to `folder`; raises BadInput."""
    try:
        with pq.ParquetFile(
            path,
            buffer_size=_BUFFER_BYTES,
            pre_buffer=False,
            memory_map=False,
            thrift_string_size_limit=_MAX_FOOTER_BYTES,
            thrift_container_size_limit=_MAX_LISTED,
            arrow_extensions_enabled=False,
            page_checksum_verification=True,
        ) as file:
            _read(file, path, wanted=wanted, folder=folder, max_bytes=max_bytes)
    except _UNREADABLE as error:
        if isinstance(error, MemoryError):
            raise
        if _TOO_MUCH_LISTED in str(error):
            raise BadInput(
                "too_large",
                f"The file's footer lists more than {_MAX_LISTED:,} columns or row groups: write "
                f"fewer "
                "columns, or larger row groups.",
                field=FIELD,
            ) from error
        raise BadInput(
            "damaged_file",
            "The file cannot be read as Parquet: it is damaged, was cut off, or uses an "
            f"unsupported feature ({str(error)[:100]}). Write it again, with default settings.",
            field=FIELD,
            malformed=True,
        ) from error


def _read(
    file: pq.ParquetFile, path: Path, *, wanted: Wanted, folder: Path, max_bytes: int
) -> None:
    schema = file.schema_arrow
    chosen = columns.choose(schema.names, wanted)
    if chosen.id is not None and not chosen.is_id_asked_for:
        kind = schema.field(chosen.id).type
        if not _is_name(kind):
            chosen = chosen.without_id(f"holds {str(kind)[:80]}")
    _check_types(schema, chosen)
    _check_claims(file.metadata.num_rows, chosen, max_bytes=max_bytes)
    classes = class_names(schema)
    spool = Spool.of(chosen, folder, max_bytes=max_bytes, file_size=path.stat().st_size)
    for batch in _batches(file, chosen):
        if not batch.num_rows:
            continue
        singles: dict[str, Names] = {
            part: _distinct(batch.column(name), classes.get(name), name, spool.n_rows)
            for part, name in chosen.single.items()
        }
        if chosen.text is not None:
            spool.add_texts(_strings(batch.column(chosen.text)), singles)
            continue
        spool.add(_embeddings(batch, chosen, first_row=spool.n_rows), singles)
    spool.finish()


def _batches(file: pq.ParquetFile, chosen: Columns) -> Iterator[pa.RecordBatch]:
    """All rows, as many at a time as fill a block."""
    names = [*chosen.embedding, *chosen.single.values()]
    if chosen.text is not None:
        yield from file.iter_batches(
            _TEXTS_AT_ONCE, columns=[chosen.text, *names], use_threads=False
        )
        return
    n_columns = len(chosen.embedding)
    if not chosen.is_family:
        n_columns = MAX_COLUMNS
        for batch in file.iter_batches(1, columns=names, use_threads=False):
            (sizes,) = _sizes(batch.column(chosen.embedding[0]))
            n_columns = min(MAX_COLUMNS, max(1, int(sizes)))
            break
    n_rows = max(_FIRST_ROWS, BLOCK_BYTES // (4 * n_columns))
    yield from file.iter_batches(n_rows, columns=names, use_threads=False)


def _check_claims(n_rows: int, chosen: Columns, *, max_bytes: int) -> None:
    """Refuse a file that itself states that it is too large; other statements are not trusted."""
    most = MAX_ROWS if chosen.text is None else MAX_TEXTS
    if n_rows > most:
        what = "rows" if chosen.text is None else "texts"
        raise BadInput("too_large", f"The file has more than {most:,} {what}.", field=FIELD)
    if n_rows * len(chosen.embedding) * _LEAST_BYTES > max_bytes:
        raise too_many_bytes(max_bytes)


def _check_types(schema: pa.Schema, chosen: Columns) -> None:
    for name in chosen.embedding:
        kind = schema.field(name).type
        value = kind if chosen.is_family else getattr(kind, "value_type", None)
        is_list = chosen.is_family or _is_list(kind)
        if not is_list or not (value in _FLOATS or pa.types.is_integer(value)):
            wanted = "numbers" if chosen.is_family else "lists of float16, float32 or float64"
            raise BadInput(
                "invalid_embeddings",
                f"{name[:80]} holds {str(kind)[:80]}, but embeddings must be {wanted}.",
                field=name[:80],
            )
    if chosen.text is not None and not _is_string(schema.field(chosen.text).type):
        raise BadInput(
            "invalid_texts",
            f"{chosen.text[:80]} holds {str(schema.field(chosen.text).type)[:80]}, but texts must "
            "be strings.",
            field=chosen.text[:80],
        )
    for part, name in chosen.single.items():
        kind = schema.field(name).type
        if not _is_name(kind):
            hint = " Cast it to strings." if pa.types.is_binary(_plain(kind)) else ""
            raise BadInput(
                f"invalid_{part}",
                f"{name[:80]} holds {str(kind)[:80]}, but {a(part)} must be a string, a whole "
                f"number, a date or a time.{hint}",
                field=name[:80],
            )


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_name(kind: pa.DataType) -> bool:
    plain = _plain(kind)
    kinds = (
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_boolean,
        pa.types.is_decimal,
        pa.types.is_date,
        pa.types.is_time,
        pa.types.is_timestamp,
        pa.types.is_null,
    )
    return _is_string(kind) or any(is_kind(plain) for is_kind in kinds)


def _is_string(kind: pa.DataType) -> bool:
    plain = _plain(kind)
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(is_kind(plain) for is_kind in kinds)


def _strings(values: pa.Array) -> list[object]:
    """The texts, null as None; raises ArrowInvalid where one is not UTF-8."""
    values.validate(full=True)
    strings: list[object] = values.to_pylist()
    return strings


def _is_list(kind: pa.DataType) -> bool:
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(is_kind(kind) for is_kind in kinds)


def _embeddings(batch: pa.RecordBatch, chosen: Columns, *, first_row: int) -> NDArray[Any]:
    if chosen.is_family:
        parts = []
        for column, name in enumerate(chosen.embedding):
            values = batch.column(name)
            _check_nulls(values, name, first_row, column)
            numbers = _numbers(values)
            if numbers.dtype.kind != "f":
                check_integers(numbers, field=name[:80], first_row=first_row, column=column)
            parts.append(_floats(numbers))
        kinds = {part.dtype for part in parts}
        turned = np.empty((len(parts), batch.num_rows), parts[0].dtype if len(kinds) == 1 else "f8")
        for column, part in enumerate(parts):
            turned[column] = part
        return turned.T
    name = chosen.embedding[0]
    lists = batch.column(name)
    _check_nulls(lists, name, first_row, None)
    sizes = _sizes(lists)
    if not (sizes == sizes[0]).all():
        row = int(np.argmax(sizes != sizes[0]))
        raise wrong_width(int(sizes[row]), int(sizes[0]), field=name, row=first_row + row)
    if sizes[0] == 0:
        raise BadInput(
            "invalid_embeddings", f"{name} row {first_row} is empty.", field=name, row=first_row
        )
    values = lists.flatten()
    if values.null_count:
        at = int(np.argmax(values.is_null().to_numpy(zero_copy_only=False)))
        row, column = divmod(at, int(sizes[0]))
        raise _missing(name, first_row + row, column)
    numbers = _numbers(values).reshape(batch.num_rows, int(sizes[0]))
    if numbers.dtype.kind != "f":
        check_integers(numbers, field=name[:80], first_row=first_row)
    return _floats(numbers)


def _sizes(lists: pa.Array) -> NDArray[np.int64]:
    """The number of values of each row (b,), 0 for a missing row."""
    if pa.types.is_fixed_size_list(lists.type):
        return np.full(len(lists), lists.type.list_size, np.int64)
    sizes: NDArray[Any] = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    return sizes.astype(np.int64)


def _numbers(values: pa.Array) -> NDArray[Any]:
    numbers: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return numbers


def _floats(numbers: NDArray[Any]) -> NDArray[Any]:
    return numbers if numbers.dtype.kind == "f" else numbers.astype(np.float64)


def _check_nulls(values: pa.Array, name: str, first_row: int, column: int | None) -> None:
    if values.null_count:
        row = first_row + int(np.argmax(values.is_null().to_numpy(zero_copy_only=False)))
        raise _missing(name, row, column)


def _missing(name: str, row: int, column: int | None) -> BadInput:
    at = f"row {row}" if column is None else f"row {row}, column {column}"
    return BadInput(
        "invalid_embeddings",
        f"{name[:80]} at {at} is missing (null): each row needs all its numbers.",
        field=name[:80],
        row=row,
        column=column,
    )


def _distinct(
    values: pa.Array, classes: Sequence[object] | None, field: str, first_row: int
) -> Names:
    """The distinct values, and for each row the index of its own; null is None.

    classes: the names that integers stand for. Raises ArrowInvalid if a string is not UTF-8,
    BadInput if an integer stands for no name.
    """
    plain = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
    plain.validate(full=True)
    if pa.types.is_string_view(plain.type):
        plain = plain.cast(pa.large_string())
    encoded = plain.dictionary_encode(null_encoding="encode")
    places = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    listed = _listed(encoded.dictionary)
    if classes is None:
        return listed, places
    strange = [at for at, value in enumerate(listed) if not is_index(value, classes)]
    if strange:
        row = first_row + int(np.argmax(np.isin(places, strange)))
        raise BadInput(
            "label_out_of_range",
            f"{field[:80]} row {row} is not the index of a class: the file's ClassLabel has "
            f"{len(classes):,} names, for 0 to {len(classes) - 1:,}.",
            field=field[:80],
            row=row,
        )
    return [named(value, classes) for value in listed], places


def _listed(values: pa.Array) -> list[object]:
    """The values as Python's; times as text, because Python's have no nanoseconds."""
    kind = values.type
    if pa.types.is_date64(kind):
        return _listed(values.cast(pa.date32()))
    if pa.types.is_date32(kind) or pa.types.is_timestamp(kind):
        zone = "+00:00" if getattr(kind, "tz", None) else ""
        return [*iso_times(values.to_numpy(zero_copy_only=False), zone=zone)]
    if pa.types.is_time(kind):
        return [None if text is None else iso(text) for text in values.cast("string").to_pylist()]
    listed: list[object] = values.to_pylist()
    return listed
