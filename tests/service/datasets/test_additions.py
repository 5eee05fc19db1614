"""Added rows make the dataset that an upload of all rows would be, or nothing at all."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from service.settings import ServiceSettings
from store.store import Store
from tests.service.datasets.dataset_calls import created, stored
from tests.service.datasets.tables_of_rows import (
    FORMATS,
    as_csv,
    as_npz,
    as_parquet,
    as_texts,
    made,
)
from tests.service.datasets.test_corrections import _OWN, uploaded, without
from tests.service.in_process import InProcess, assert_problem, job_and_dataset_counts
from tests.support.files.arrays import npy, npz


def added(
    client: InProcess, dataset: dict[str, Any], content: bytes, kind: str, **query: Any
) -> dict[str, Any]:
    headers = {"content-type": kind}
    path = f"/datasets/{dataset['id']}/rows"
    return created(client.post(path, content=content, headers=headers, params=query))


ADDITIONS = {
    "rows of all splits": made(30, first=60),
    "one class of one split": made(3, first=60, labels=("dog",))[:1],
    "no row of train": made(30, first=60)[10:],
    "a new class": made(9, first=60, labels=("yak", "zebu")),
}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", ADDITIONS)
def test_it_is_what_an_upload_of_all_rows_would_be(client: InProcess, name: str, kind: str) -> None:
    (media_type, write), old = FORMATS[kind], made()
    # Places count on: they are those of the file that has the old rows and then the new ones.
    new = [replace(row, file_row=60 + at) for at, row in enumerate(ADDITIONS[name])]
    sent = [replace(row, file_row=at) for at, row in enumerate(new)]
    parent = uploaded(client, write(old), media_type)
    child = added(client, parent, write(sent), media_type, note="week 48")
    again = uploaded(client, write([*old, *new]), media_type)
    assert without(child, *_OWN) == without(again, *_OWN)
    assert (child["name"], child["parent_id"]) == (parent["name"], parent["id"])
    assert child["lineage"] == {
        "parent_sha256": parent["sha256"],
        "n_relabelled": 0,
        "n_dropped": 0,
        "n_added": len(new),
        "note": "week 48",
    }
    assert client.get(f"/datasets/{parent['id']}").json() == parent


def test_rows_that_name_no_split_are_to_be_trained_on(client: InProcess) -> None:
    parent = uploaded(client, as_csv(made()), "text/csv")
    body = {"embeddings": [[1, 2, 3, 4], [4, 3, 2, 1]], "labels": ["cat", "yak"]}
    child = created(client.post(f"/datasets/{parent['id']}/rows", json=body))
    assert [split["n_rows"] for split in child["splits"]] == [22, 20, 20]
    assert child["classes"] == ["cat", "dog", "eel", "yak"]
    page = client.get(
        f"/datasets/{child['id']}/rows", params={"split": "train", "rows": "21,0"}
    ).json()
    assert [(row["row"], row["file_row"], row["id"], row["label"]) for row in page["items"]] == [
        (21, 61, None, "yak"),
        (0, 0, "ticket-ä0", "cat"),
    ]


def test_texts_are_added_to_texts(client: InProcess) -> None:
    parent = uploaded(client, as_texts(made()), "application/x-ndjson")
    body = {"texts": ["a new one"], "labels": ["dog"], "splits": ["test"]}
    child = created(client.post(f"/datasets/{parent['id']}/rows", json=body))
    assert (child["n_rows"], child["content"]) == (61, "texts")
    page = client.get(f"/datasets/{child['id']}/rows?split=test&rows=20").json()
    assert page["items"][0]["text"] == "a new one"


def test_a_form_with_labels_beside_an_npy_is_added(client: InProcess) -> None:
    parent = uploaded(client, as_csv(made()), "text/csv")
    files = {"file": ("x.npy", npy(np.eye(4, dtype=np.float32))), "labels": b"cat\ndog\ncat\neel"}
    child = created(client.post(f"/datasets/{parent['id']}/rows", files=files))
    assert (child["n_rows"], child["name"]) == (64, parent["name"])


def test_safetensors_are_added(client: InProcess) -> None:
    parent = uploaded(client, as_csv(made()), "text/csv")
    names = {"class_names": '["dog", "cat"]'}
    content = save({"embeddings": np.eye(4, dtype=np.float32), "labels": np.arange(4) % 2}, names)
    child = added(client, parent, content, "application/vnd.safetensors", name="more")
    assert (child["n_rows"], child["name"], child["classes"]) == (64, "more", parent["classes"])


def test_halves_stay_halves_only_beside_halves(client: InProcess, store: Store) -> None:
    kind = "application/vnd.apache.parquet"
    parent = uploaded(client, as_parquet(made()), kind)
    halves = added(client, parent, as_parquet(made(3, first=60)), kind)
    wide = added(client, parent, as_csv(made(3, first=60)), "text/csv")
    assert wide["size_bytes"] - halves["size_bytes"] >= 63 * 4 * 2
    again = added(client, wide, as_parquet(made(3, first=63)), kind)
    assert again["size_bytes"] > wide["size_bytes"]


def test_an_upload_in_parts_is_added(client: InProcess) -> None:
    parent, content = uploaded(client, as_csv(made()), "text/csv"), as_csv(made(3, first=60))
    tus = {"tus-resumable": "1.0.0"}
    begun = client.post("/uploads", headers={**tus, "upload-length": str(len(content))})
    headers = {**tus, "upload-offset": "0", "content-type": "application/offset+octet-stream"}
    path = begun.headers["location"]
    assert client("PATCH", path, content=content, headers=headers).status_code == 204
    upload = path.rpartition("/")[2]
    child = created(client.post(f"/datasets/{parent['id']}/rows", params={"upload": upload}))
    assert (child["n_rows"], child["name"]) == (63, parent["name"])


def _npz_of(n_columns: int) -> bytes:
    return npz({"train_x": np.ones((2, n_columns), np.float32), "train_y": np.array(["a", "b"])})


WRONG: dict[str, tuple[bytes, str, str, str, str]] = {
    "another width": (
        _npz_of(5),
        "application/x-npz",
        "width_mismatch",
        "embeddings",
        "The rows have 5 columns, but the dataset has 4",
    ),
    "texts": (
        as_texts(made(3)),
        "application/x-ndjson",
        "wrong_content",
        "texts",
        "The dataset has embeddings, but the rows are texts: send embeddings.",
    ),
    "an empty label": (
        as_csv([replace(row, label=" ") for row in made(3)]),
        "text/csv",
        "invalid_label",
        "label",
        "The label at row 0 is empty",
    ),
    "an unknown split": (
        as_csv([replace(row, split="trian") for row in made(3)]),
        "text/csv",
        "invalid_split",
        "split",
        "The split at row 0 is 'trian'",
    ),
    "a domain without a split": (
        b"domain,label,dim_0,dim_1,dim_2,dim_3\nsketch,cat,1,2,3,4\n",
        "text/csv",
        "missing_column",
        "split",
        "The rows have a column domain, but no column split",
    ),
    "not a number": (
        b"label,dim_0,dim_1,dim_2,dim_3\ncat,1,2,3,nan\n",
        "text/csv",
        "not_finite",
        "dim_3",
        "dim_3 at row 0 is nan",
    ),
    "no rows": (b"label,dim_0,dim_1,dim_2,dim_3\n", "text/csv", "no_rows", "file", "no rows"),
    "no arrays": (npz({"class_names": np.array(["a", "b"])}), "application/x-npz", *3 * ("",)),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_and_nothing_is_stored(
    client: InProcess, store: Store, leftovers: Callable[[], list[str]], name: str
) -> None:
    content, kind, code, field, words = WRONG[name]
    parent = uploaded(client, as_csv(made()), "text/csv")
    kept = stored(store)
    path = f"/datasets/{parent['id']}/rows"
    response = client.post(path, content=content, headers={"content-type": kind})
    body = assert_problem(response, 422, code or "missing_array", field or None)
    assert words in body["detail"]
    assert (stored(store), leftovers(), job_and_dataset_counts(store)) == (kept, [], (0, 1))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("test_fraction=0.5", "There is no query parameter 'test_fraction'"),
        ("merge_similar=true", "There is no query parameter 'merge_similar'"),
        ("unlabelled=true", "There is no query parameter 'unlabelled'"),
    ],
    ids=["test_fraction", "merge_similar", "unlabelled"],
)
def test_what_makes_splits_or_classes_is_not_taken(
    refusing: InProcess, query: str, words: str
) -> None:
    content, headers = as_csv(made(3)), {"content-type": "text/csv"}
    response = refusing.post(f"/datasets/ds_none/rows?{query}", content=content, headers=headers)
    assert words in assert_problem(response, 422, "invalid_request")["detail"]


@pytest.mark.parametrize("name", ["name", "merge_similar"])
def test_a_json_body_has_only_rows(refusing: InProcess, name: str) -> None:
    body = {"embeddings": [[1, 2]], "labels": ["a"], name: "x"}
    response = refusing.post("/datasets/ds_none/rows", json=body)
    assert_problem(response, 422, "invalid_request", name)


def test_an_unknown_dataset_is_not_found(refusing: InProcess) -> None:
    body = {"embeddings": [[1, 2]], "labels": ["a"]}
    assert_problem(refusing.post("/datasets/ds_none/rows", json=body), 404, "not_found")


def test_rows_cannot_be_added_to_rows_without_labels(client: InProcess) -> None:
    dataset = uploaded(client, as_csv(made()), "text/csv", unlabelled=True)
    body = {"embeddings": [[1, 2, 3, 4]], "labels": ["a"]}
    response = client.post(f"/datasets/{dataset['id']}/rows", json=body)
    assert_problem(response, 422, "unlabelled_dataset", "dataset_id")


def test_both_together_may_not_be_larger_than_one_upload(
    client: InProcess, settings: ServiceSettings
) -> None:
    n_rows = settings.max_upload_bytes // 2 // 64 + 1
    x = np.random.default_rng(0).standard_normal((n_rows, 32)).astype(np.float16)
    content = npz({"train_x": x, "train_y": np.arange(n_rows) % 2}, compressed=False)
    parent = uploaded(client, content, "application/x-npz")
    path, headers = f"/datasets/{parent['id']}/rows", {"content-type": "application/x-npz"}
    body = assert_problem(client.post(path, content=content, headers=headers), 413, "too_large")
    assert "bytes of embeddings; the limit is" in body["detail"]


def test_a_large_body_is_taken_where_a_large_upload_is(
    client: InProcess, settings: ServiceSettings
) -> None:
    parent = uploaded(client, as_csv(made()), "text/csv")
    content = as_csv(made(6000, first=60))
    assert settings.max_json_bytes < len(content) < settings.max_upload_bytes
    assert added(client, parent, content, "text/csv")["n_rows"] == 6060
    path = f"/datasets/{parent['id']}/corrections"
    response = client.post(path, content=content, headers={"content-type": "text/csv"})
    assert_problem(response, 413, "body_too_large")


def test_an_npz_of_two_files_keeps_the_order_of_classes(client: InProcess) -> None:
    names = ("eel", "cat", "dog")
    parent = uploaded(client, as_npz(made(), class_names=names), "application/x-npz")
    child = added(client, parent, as_csv(made(3, first=60, labels=("ant",))), "text/csv")
    assert child["classes"] == ["eel", "cat", "dog", "ant"]
