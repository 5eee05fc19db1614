"""The rows of a dataset, some or page by page, and how much is read for them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.settings import ServiceSettings
from store.bytes.checked_file import CheckedFile
from store.names import DEFAULT_TENANT
from store.store import Store
from tests.service.datasets.dataset_calls import created
from tests.service.datasets.tables_of_rows import FORMATS, as_csv, as_texts, made
from tests.service.datasets.test_corrections import uploaded
from tests.service.in_process import InProcess, assert_problem
from tests.support.files.arrays import npz


def pages(client: InProcess, dataset: dict[str, Any], **query: Any) -> Iterator[list[Any]]:
    path = f"/datasets/{dataset['id']}/rows"
    while True:
        page = client.get(path, params=query).json()
        yield page["items"]
        if page["next_cursor"] is None:
            return
        query["cursor"] = page["next_cursor"]


@pytest.mark.parametrize("kind", FORMATS)
def test_all_rows_come_page_by_page_as_they_were_sent(client: InProcess, kind: str) -> None:
    (media_type, write), rows = FORMATS[kind], made()
    dataset = uploaded(client, write(rows), media_type)
    found = list(pages(client, dataset, limit=25))
    assert [len(page) for page in found] == [25, 25, 10]
    assert [row for page in found for row in page] == [
        {
            "split": row.split,
            "row": row.file_row % 20,
            "file_row": row.file_row,
            "id": row.id,
            "text": row.text if kind == "texts" else None,
            "label": row.label,
        }
        for row in rows
    ]


def test_only_the_rows_of_a_split(client: InProcess) -> None:
    dataset = uploaded(client, as_csv(made()), "text/csv")
    found = [row for page in pages(client, dataset, split="test", limit=7) for row in page]
    assert [row["file_row"] for row in found] == list(range(20, 40))


def test_only_the_rows_asked_for_in_that_order(client: InProcess) -> None:
    dataset = uploaded(client, as_csv(made()), "text/csv")
    (found,) = pages(client, dataset, split="ood/sketch", rows="19, 0,0")
    assert [(row["row"], row["file_row"]) for row in found] == [(19, 59), (0, 40), (0, 40)]


@pytest.mark.parametrize("write", [as_csv, as_texts], ids=["embeddings", "texts"])
def test_rows_without_labels_have_ids_and_no_label(client: InProcess, write: Any) -> None:
    kind = "text/csv" if write is as_csv else "application/x-ndjson"
    dataset = uploaded(client, write(made()), kind, unlabelled=True)
    (found,) = pages(client, dataset, rows="59", split="rows")
    assert (found[0]["file_row"], found[0]["id"], found[0]["label"]) == (59, "ticket-ä59", None)


def test_rows_without_ids_have_none(client: InProcess) -> None:
    body = {"embeddings": [[1, 2], [2, 1]], "labels": ["a", "b"], "splits": ["train", "train"]}
    for query in ("", "?merge_similar=true"):
        dataset = created(client.post(f"/datasets{query}", json=body))
        (found,) = pages(client, dataset)
        assert [(row["id"], row["label"]) for row in found] == [(None, "a"), (None, "b")]


WRONG = {
    "rows of no split": ("rows=1", "invalid_request", "split"),
    "a split that is not there": ("split=dev", "unknown_split", "split"),
    "a row that is not there": ("split=train&rows=3,20", "unknown_row", "rows"),
    "not a row": ("split=train&rows=-1", "invalid_request", "rows"),
    "no rows": ("split=train&rows=", "invalid_request", "rows"),
    "too many rows": (f"split=train&rows={','.join(201 * '1')}", "invalid_request", "rows"),
    "rows and a cursor": ("split=train&rows=1&cursor=x", "invalid_request", "cursor"),
    "a cursor of another list": ("cursor=abc", "invalid_cursor", "cursor"),
    "too many at once": ("limit=201", "invalid_request", "limit"),
    "a parameter that is not there": ("label=cat", "invalid_request", "label"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(client: InProcess, name: str) -> None:
    query, code, field = WRONG[name]
    dataset = uploaded(client, as_csv(made()), "text/csv")
    response = client.get(f"/datasets/{dataset['id']}/rows?{query}")
    assert_problem(response, 422, code, field)


def test_a_cursor_belongs_to_its_dataset_and_split(client: InProcess) -> None:
    one = uploaded(client, as_csv(made()), "text/csv")
    other = uploaded(client, as_csv(made(30)), "text/csv")
    path = f"/datasets/{one['id']}/rows"
    cursor = client.get(path, params={"limit": 5}).json()["next_cursor"]
    for response in (
        client.get(path, params={"split": "train", "cursor": cursor}),
        client.get(f"/datasets/{other['id']}/rows", params={"cursor": cursor}),
    ):
        assert_problem(response, 422, "invalid_cursor", "cursor")


def test_an_unknown_dataset_is_not_found(asking: InProcess) -> None:
    assert_problem(asking.get("/datasets/ds_none/rows"), 404, "not_found")


def test_a_page_reads_a_few_blocks_however_large_the_dataset(
    client: InProcess, settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.bytes.checked_file.BLOCK_BYTES", 1 << 12)
    monkeypatch.setattr("store.files.listed_rows.BLOCK_BYTES", 1 << 12)
    n_rows = settings.max_upload_bytes // 20
    arrays = {"train_x": np.zeros((n_rows, 1), np.float16), "train_y": np.arange(n_rows) % 2}
    dataset = uploaded(client, npz(arrays), "application/x-npz")
    assert dataset["size_bytes"] > 200 * (1 << 12)
    read: list[int] = []
    plain = CheckedFile._block

    def counted(file: CheckedFile, index: int) -> bytes:
        read.append(index)
        return plain(file, index)

    monkeypatch.setattr(CheckedFile, "_block", counted)
    rows = f"{n_rows - 1},{n_rows - 2},0"
    for _ in range(2):  # the first time the file is read through, to know its hash
        read.clear()
        (found,) = pages(client, dataset, split="train", rows=rows)
        assert [row["file_row"] for row in found] == [n_rows - 1, n_rows - 2, 0]
        assert len(read) <= 8  # the header; of labels and of places the first block and the last


def test_damaged_bytes_are_not_shown(client: InProcess, store: Store) -> None:
    dataset = uploaded(client, as_csv(made()), "text/csv")
    path: Path = store.artifacts.open_path(DEFAULT_TENANT, dataset["sha256"])
    path.chmod(0o600)
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(bytes(damaged))
    assert_problem(client.get(f"/datasets/{dataset['id']}/rows"), 503, "artifact_corrupt")
    body = {"drop": [{"split": "train", "row": 0}]}
    response = client.post(f"/datasets/{dataset['id']}/corrections", json=body)
    assert_problem(response, 503, "artifact_corrupt")
