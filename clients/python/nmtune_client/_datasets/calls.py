"""The requests about datasets, and how their answers are read."""

from pathlib import Path

from nmtune_client._datasets.files import Reading, media_type
from nmtune_client._datasets.values import Dataset
from nmtune_client._http.calls import body, nothing, page_of, params_of, parser, post_headers
from nmtune_client._http.values import Page
from nmtune_client._http.wire import Call, Route

_UPLOAD_DATASET = Route("POST", "/datasets")
_LIST_DATASETS = Route("GET", "/datasets")
_GET_DATASET = Route("GET", "/datasets/{dataset_id}")
_KEEP_DATASET = Route("PATCH", "/datasets/{dataset_id}")
_DELETE_DATASET = Route("DELETE", "/datasets/{dataset_id}")


# The server answers an upload once it has read and checked each row.
_UPLOAD_READ_SECONDS = 600.0


def upload_dataset(
    path: Path,
    *,
    name: str | None = None,
    reading: Reading | None = None,
    keep_seconds: int | None = None,
    idempotency_key: str | None = None,
) -> Call[Dataset]:
    """Send the bytes of a dataset file; `reading` says what its columns mean."""
    read = reading or Reading()
    kind = media_type(path, unlabelled=bool(read.unlabelled))
    return Call(
        route=_UPLOAD_DATASET,
        parse=parser(Dataset.from_json),
        params=params_of(name=name, keep_seconds=keep_seconds) | read.params(),
        headers=post_headers(kind, idempotency_key),
        file=path,
        extra_read_seconds=_UPLOAD_READ_SECONDS,
    )


def list_datasets(
    *, parent_id: str | None = None, cursor: str | None = None, limit: int | None = None
) -> Call[Page[Dataset]]:
    """One page of datasets, newest first; `parent_id`: only those made from that one."""
    return Call(
        route=_LIST_DATASETS,
        parse=page_of(Dataset.from_json),
        params=params_of(parent_id=parent_id, cursor=cursor, limit=limit),
    )


def get_dataset(dataset_id: str) -> Call[Dataset]:
    """One dataset."""
    ids = {"dataset_id": dataset_id}
    return Call(route=_GET_DATASET, ids=ids, parse=parser(Dataset.from_json))


def keep_dataset(dataset_id: str, keep_seconds: int | None) -> Call[Dataset]:
    """Let a dataset expire that long from now, or never."""
    return Call(
        route=_KEEP_DATASET,
        ids={"dataset_id": dataset_id},
        parse=parser(Dataset.from_json),
        headers={"Content-Type": "application/json"},
        content=body({"keep_seconds": keep_seconds}),
    )


def delete_dataset(dataset_id: str) -> Call[None]:
    """Delete a dataset, rows and bytes."""
    return Call(route=_DELETE_DATASET, ids={"dataset_id": dataset_id}, parse=nothing)
