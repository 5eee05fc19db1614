"""All matching rows as one Parquet file, written and sent a row group at a time."""

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from nmtune.vocabulary import TRAIN
from service.job_rows.files import Found, check_rows
from service.job_rows.names import Names
from service.job_rows.selection import Selection

if TYPE_CHECKING:
    import pyarrow as pa

    from store.files.job_rows import JobRows

GROUP_ROWS: Final = 50_000
"""Rows of a row group at most: what is in memory at a time."""


def stream(rows: "JobRows", names: Names, selection: Selection, found: Found) -> Iterator[bytes]:
    """The file's bytes, rows in the order of the splits.

    Raises ArtifactCorrupt before its end if a file changed meanwhile: a Parquet file without its
    end cannot be read, so that nobody takes wrong rows for right.
    """
    from pyarrow import parquet

    sink = _Sink()
    writer: Any = None
    for table in _tables(rows, names, selection):
        if writer is None:
            writer = parquet.ParquetWriter(sink, table.schema, compression="zstd")
        writer.write_table(table)
        yield sink.taken()
    check_rows(rows, found)
    names.check()
    writer.close()
    yield sink.taken()


class _Sink(io.RawIOBase):
    """Holds what is written until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        return len(part)

    def taken(self) -> bytes:
        """What was written since the last call."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _tables(rows: "JobRows", names: Names, selection: Selection) -> Iterator["pa.Table"]:
    for split, places in selection.rows.items():
        for start in range(0, len(places), GROUP_ROWS):
            yield _table(rows, names, selection, split, places[start : start + GROUP_ROWS])
    if not selection.n_rows:
        yield _table(rows, names, selection, next(iter(rows.splits)), np.zeros(0, np.int64))


def _table(
    rows: "JobRows", names: Names, selection: Selection, split: str, run: NDArray[np.int64]
) -> "pa.Table":
    import pyarrow as pa

    values = rows.splits[split]
    said = values.predictions.get(selection.candidate)
    is_published = selection.candidate == rows.published
    called = [names.name(split, row) for row in run.tolist()]
    is_suspected = np.isin(run, rows.suspects.rows) if split == TRAIN else np.zeros(len(run), bool)

    def column(array: NDArray[Any] | None, kind: Any) -> Any:
        return pa.nulls(len(run), kind) if array is None else pa.array(array[run], kind)

    def share(array: NDArray[np.uint16] | None) -> Any:
        from store.files.job_rows import STEPS

        if array is None:
            return pa.nulls(len(run), pa.float32())
        return pa.array((array[run] / np.float64(STEPS)).astype(np.float32))

    return pa.table(
        {
            "split": _named(np.zeros(len(run), np.int32), [split]),
            "row": pa.array(run),
            "file_row": pa.array([one["file_row"] for one in called], pa.int64()),
            "id": pa.array([one["id"] for one in called], pa.string()),
            "text": pa.array([one["text"] for one in called], pa.string()),
            "label": _named(values.label[run], rows.classes),
            "predicted": (
                pa.nulls(len(run), _name_type())
                if said is None
                else _named(said.predicted[run], rows.classes)
            ),
            "label_probability": share(None if said is None else said.label_probability),
            "predicted_probability": share(values.predicted_probability if is_published else None),
            "ood_score": column(values.ood_score, pa.float32()),
            "set_size": column(values.set_size if is_published else None, pa.int32()),
            "suspected": pa.array(is_suspected),
        }
    )


def _name_type() -> Any:
    import pyarrow as pa

    return pa.dictionary(pa.int32(), pa.string())


def _named(indices: NDArray[Any], names: Sequence[str]) -> Any:
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(
        pa.array(indices.astype(np.int32)), pa.array(list(names), pa.string())
    )
