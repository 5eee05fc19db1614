"""A dataset, and a row of one, as a line of a table."""

from nmtune_client._datasets.values import Dataset, DatasetRow
from nmtune_client._show import plain

DATASET_HEADER = ("dataset", "name", "rows", "columns", "classes", "size", "created")

ROW_HEADER = ("split", "row", "file row", "id", "label", "text")


def row_row(row: DatasetRow) -> tuple[str, ...]:
    """A row as a line under `ROW_HEADER`."""
    return (
        row.split,
        str(row.row),
        "" if row.file_row is None else str(row.file_row),
        plain.shorten(row.id or "", 30),
        plain.shorten(row.label or "", 30),
        plain.shorten(" ".join((row.text or "").split()), 60),
    )


def dataset_row(dataset: Dataset) -> tuple[str, ...]:
    """A dataset as a line under `DATASET_HEADER`."""
    return (
        dataset.id,
        plain.shorten(dataset.name, 30),
        str(dataset.n_rows),
        str(dataset.n_columns),
        str(len(dataset.classes)),
        plain.size(dataset.size_bytes),
        plain.moment(dataset.created_at),
    )
