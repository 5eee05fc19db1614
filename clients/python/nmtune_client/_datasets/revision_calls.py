"""The requests about a dataset's rows: show them, correct them, add to them; no I/O."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nmtune_client._datasets import arrays
from nmtune_client._datasets.files import Reading, media_type
from nmtune_client._datasets.labels import label_list, split_list
from nmtune_client._datasets.values import Dataset, DatasetRow
from nmtune_client._http.calls import body, page_of, params_of, parser, post_headers
from nmtune_client._http.values import Page
from nmtune_client._http.wire import Call, Route

_LIST_ROWS = Route("GET", "/datasets/{dataset_id}/rows")
_CORRECT = Route("POST", "/datasets/{dataset_id}/corrections")
APPEND = Route("POST", "/datasets/{dataset_id}/rows")

READ_SECONDS = 600.0
"""The server answers once it has copied the rows, and read and checked the new ones."""


def list_rows(
    dataset_id: str,
    *,
    split: str | None = None,
    rows: str | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Call[Page[DatasetRow]]:
    """One page of rows, or the rows asked for."""
    return Call(
        route=_LIST_ROWS,
        ids={"dataset_id": dataset_id},
        parse=page_of(DatasetRow.from_json),
        params=params_of(split=split, rows=rows, cursor=cursor, limit=limit),
    )


def correct_dataset(
    dataset_id: str, data: Mapping[str, Any], *, idempotency_key: str | None = None
) -> Call[Dataset]:
    """Make a dataset with corrections."""
    return Call(
        route=_CORRECT,
        ids={"dataset_id": dataset_id},
        parse=parser(Dataset.from_json),
        headers=post_headers("application/json", idempotency_key),
        content=body(data),
        extra_read_seconds=READ_SECONDS,
    )


def append_file(
    dataset_id: str,
    path: Path,
    *,
    reading: Reading,
    params: Mapping[str, str],
    idempotency_key: str | None = None,
) -> Call[Dataset]:
    """Make a dataset with the rows of a file added."""
    return Call(
        route=APPEND,
        ids={"dataset_id": dataset_id},
        parse=parser(Dataset.from_json),
        params={**params, **reading.params()},
        headers=post_headers(media_type(path), idempotency_key),
        file=path,
        extra_read_seconds=READ_SECONDS,
    )


def append_values(
    dataset_id: str,
    data: Mapping[str, Any],
    *,
    params: Mapping[str, str],
    idempotency_key: str | None = None,
) -> Call[Dataset]:
    """Make a dataset with rows added that are sent inline."""
    return Call(
        route=APPEND,
        ids={"dataset_id": dataset_id},
        parse=parser(Dataset.from_json),
        params=params,
        headers=post_headers("application/json", idempotency_key),
        content=body(data),
        extra_read_seconds=READ_SECONDS,
    )


def inline_rows(embeddings: object, texts: object, labels: object, splits: object) -> Any:
    """Rows as the body of an addition; ValueError names the row of what cannot be right."""
    if (embeddings is None) is (texts is None):
        raise ValueError("pass a file or a table, or one of embeddings= and texts=, with labels=")
    if labels is None:
        raise ValueError("rows to add need labels=, one a row")
    data: dict[str, Any]
    if texts is not None:
        data = {"texts": (rows := arrays.text_list(texts))}
        n_rows = len(rows)
    else:
        x = arrays.embeddings_array(embeddings)
        data, n_rows = {"embeddings": arrays.inline(x)}, len(x)
    data["labels"] = label_list(labels, n_rows=n_rows)
    if splits is not None:
        data["splits"] = split_list(splits, n_rows=n_rows)
    return data
