"""A dataset as a line of a table."""

from nmtune_client._datasets.values import Dataset
from nmtune_client._show import plain

DATASET_HEADER = ("dataset", "name", "rows", "columns", "classes", "size", "created")


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
