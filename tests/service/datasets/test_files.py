"""POST /datasets with files of each format: by Content-Type or name, columns, splits, labels."""

from typing import Any

import numpy as np
import pytest

from store.files.dataset import DatasetFile
from store.names import DEFAULT_TENANT
from store.store import Store
from tests.service.in_process import InProcess, assert_problem
from tests.support.files.arrays import npy
from tests.support.files.tables import SAME, X, Y, csv_of, jsonl_of, parquet
from tests.support.files.wrong_tables import BAD


def created(response: Any) -> dict[str, Any]:
    assert response.status_code == 201, response.text
    body: dict[str, Any] = response.json()
    return body


def splits_of(body: dict[str, Any]) -> dict[str, int]:
    return {split["name"]: split["n_rows"] for split in body["splits"]}


def codes_of(body: dict[str, Any]) -> list[str]:
    return [warning["code"] for warning in body["warnings"]]


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("csv, columns", "text/csv"),
        ("csv, gzip", "text/csv; charset=utf-8"),
        ("jsonl, zstd", "application/x-ndjson"),
        ("parquet, lists", "application/vnd.apache.parquet"),
        ("safetensors", "application/octet-stream"),
    ],
)
def test_a_file_is_known_by_its_content_type(
    client: InProcess, store: Store, name: str, content_type: str
) -> None:
    headers = {"content-type": content_type}
    body = created(client.post("/datasets?name=a", content=SAME[name][1], headers=headers))
    assert (body["n_rows"], body["n_columns"]) == (60, 5)
    assert body["classes"] == ["cat", "dog", "eel"]
    assert splits_of(body) == {"train": 48, "test": 12}
    assert codes_of(body)[0] == "split_made"
    assert body["profile"]["effective_rank"] > 1
    path = store.artifacts.open_path(DEFAULT_TENANT, body["sha256"])
    stored = DatasetFile.open(path).splits
    rows = {tuple(row) for split in stored.values() for row in split.x.tolist()}
    assert rows == {tuple(row) for row in X.tolist()}


def test_a_form_with_a_file_name_and_columns(client: InProcess) -> None:
    content = csv_of(names=[f"pc_{n}" for n in range(5)]).replace(b"label", b"species", 1)
    response = client.post(
        "/datasets?label=species&embedding=pc_*&test_fraction=0.5&split_seed=3",
        files={"file": ("my cats.csv", content)},
    )
    body = created(response)
    assert (body["name"], splits_of(body)) == ("my-cats", {"train": 30, "test": 30})


def test_an_npy_with_labels_and_splits(client: InProcess) -> None:
    splits = ["train"] * 40 + ["test"] * 10 + ["ood/sketch"] * 10
    response = client.post(
        "/datasets",
        files={
            "labels": ("y.txt", "\n".join(Y).encode()),
            "file": ("x.npy", npy(X)),
            "splits": ("s.npy", npy(np.array(splits))),
        },
    )
    assert splits_of(created(response)) == {"train": 40, "test": 10, "ood/sketch": 10}


def test_parts_beside_a_table_are_refused(client: InProcess) -> None:
    response = client.post("/datasets", files={"file": ("a.csv", csv_of()), "labels": b"a"})
    assert_problem(response, 422, "unexpected_part", "labels")


DOMAINS = ["photo"] * 30 + ["sketch"] * 20 + ["cartoon!"] * 10


@pytest.mark.parametrize(
    ("query", "splits", "code"),
    [
        ("", {"train": 40, "test": 10, "ood/cartoon!": 10}, "domain_held_out"),
        ("?ood_domains=none", {"train": 48, "test": 12}, "split_made"),
        (
            "?ood_domains=sketch,cartoon!",
            {"train": 24, "test": 6, "ood/cartoon!": 10, "ood/sketch": 20},
            "split_made",
        ),
    ],
)
def test_domains_are_held_out(
    client: InProcess, query: str, splits: dict[str, int], code: str
) -> None:
    content = parquet({"embedding": list(X), "label": Y, "domain": DOMAINS})
    body = created(client.post(f"/datasets{query}", files={"file": ("a.parquet", content)}))
    assert splits_of(body) == splits
    assert codes_of(body)[0] == code


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("?ood_domains=paint", "unknown_domain", "ood_domains"),
        ("?ood_domains=photo,sketch,cartoon!", "no_train_rows", "ood_domains"),
        ("?label=x", "missing_column", "label"),
        ("?test_fraction=1", "invalid_request", "test_fraction"),
        ("?split_seed=-1", "invalid_request", "split_seed"),
    ],
)
def test_a_wrong_wish_is_a_problem(client: InProcess, query: str, code: str, field: str) -> None:
    content = parquet({"embedding": list(X), "label": Y, "domain": DOMAINS})
    response = client.post(f"/datasets{query}", files={"file": ("a.parquet", content)})
    assert_problem(response, 422, code, field)


def test_splits_of_the_file_count_and_have_other_names(client: InProcess) -> None:
    splits = ["train"] * 30 + ["dev"] * 10 + ["test"] * 10 + ["ood"] * 10
    content = parquet({"embedding": list(X), "label": Y, "split": splits, "domain": DOMAINS})
    body = created(client.post("/datasets", files={"file": ("a.parquet", content)}))
    assert splits_of(body) == {"train": 30, "validation": 10, "test": 10, "ood/cartoon!": 10}
    again = client.post("/datasets?ood_domains=sketch", files={"file": ("a.parquet", content)})
    assert_problem(again, 422, "split_given", "ood_domains")


def test_groups_are_never_parted(client: InProcess, store: Store) -> None:
    x = np.repeat(X[:12], 5, axis=0)  # a group is five equal rows
    groups = [f"person {row // 5}" for row in range(60)]
    content = parquet({"embedding": list(x), "label": Y, "group": groups})
    body = created(client.post("/datasets", files={"file": ("a.parquet", content)}))
    assert body["profile"]["splits"]["test"]["n_rows_also_in_train"] == 0
    assert splits_of(body) == {"train": 50, "test": 10}


def test_leakage_is_found(client: InProcess) -> None:
    splits = ["train"] * 50 + ["test"] * 10
    x = X.copy()
    x[50:53] = x[:3]
    content = parquet({"embedding": list(x), "label": Y, "split": splits})
    body = created(client.post("/datasets", files={"file": ("a.parquet", content)}))
    assert body["profile"]["splits"]["test"]["n_rows_also_in_train"] == 3
    assert "rows_also_in_train" in codes_of(body)


@pytest.mark.parametrize("name", ["csv, NaN", "jsonl, deep", "parquet, null value", "pickle"])
def test_a_wrong_file_is_a_problem(client: InProcess, name: str) -> None:
    file_name, content, code, field, row, column = BAD[name]
    response = client.post("/datasets", files={"file": (file_name, content)})
    body = assert_problem(response, response.status_code, code, field)
    assert response.status_code in (400, 422)
    assert (body["errors"][0]["row"], body["errors"][0]["column"]) == (row, column)
    assert client.get("/datasets").json()["items"] == []


def test_columns_cannot_be_chosen_where_there_are_none(client: InProcess) -> None:
    body = {"embeddings": X.tolist(), "labels": Y}
    assert_problem(client.post("/datasets?label=y", json=body), 422, "invalid_request", "query")


def test_columns_cannot_be_chosen_of_a_file_of_arrays(client: InProcess) -> None:
    _, content = SAME["safetensors"]
    response = client.post("/datasets?label=y", files={"file": ("a.safetensors", content)})
    assert_problem(response, 422, "invalid_request", "query")


def test_another_reading_is_another_request(client: InProcess) -> None:
    headers = {"idempotency-key": "k", "content-type": "application/x-ndjson"}
    created(client.post("/datasets?name=a", content=jsonl_of(), headers=headers))
    again = client.post("/datasets?name=a&split_seed=1", content=jsonl_of(), headers=headers)
    assert_problem(again, 422, "idempotency_key_reused", "Idempotency-Key")
