"""Corrections make the dataset that an upload of the corrected rows would be, or nothing at all."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from store.store import Store
from tests.service.datasets.dataset_calls import created, stored
from tests.service.datasets.tables_of_rows import FORMATS, Row, as_csv, as_npz, as_texts, made
from tests.service.in_process import InProcess, assert_problem, claim, job_and_dataset_counts

CSV = {"content-type": "text/csv"}
_OWN = ("id", "name", "created_at", "parent_id", "lineage")
"""What a dataset has of its own; all else must be equal."""
_PLACES = ("sha256", "size_bytes")
"""What differs if rows have other places in another file."""


def uploaded(client: InProcess, content: bytes, kind: str, **query: Any) -> dict[str, Any]:
    headers = {"content-type": kind}
    return created(client.post("/datasets", content=content, headers=headers, params=query))


def corrected(client: InProcess, dataset: dict[str, Any], **body: Any) -> dict[str, Any]:
    return created(client.post(f"/datasets/{dataset['id']}/corrections", json=body))


def without(body: dict[str, Any], *names: str) -> dict[str, Any]:
    """The rest of the body; numbers to 12 digits, since sums depend on how rows lie in blocks."""
    return {name: _rounded(value) for name, value in body.items() if name not in names}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return float(f"{value:.12g}") if isinstance(value, float) else value


def relabelled(rows: Sequence[Row], labels: dict[int, str], dropped: set[int]) -> list[Row]:
    """The sender's rows as they are once corrected, by place in the file."""
    kept = [row for row in rows if row.file_row not in dropped]
    return [replace(row, label=labels.get(row.file_row, row.label)) for row in kept]


CHANGES: dict[str, tuple[dict[int, str], set[int]]] = {
    "one label": ({0: "dog"}, set()),
    "a class without rows goes": ({row: "cat" for row in range(60) if row % 3 == 2}, set()),
    "a new class": ({4: "yak", 21: "yak"}, set()),
    "a class that looks like another": ({4: "Cat "}, set()),
    "a class of another script": ({4: "猫"}, set()),
    "a row less": ({}, {7}),
    "labels and rows": ({0: "eel", 59: "dog", 22: "cat"}, {1, 20, 41}),
    "a split less": ({2: "cat"}, set(range(20, 40))),
}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("change", CHANGES)
def test_it_is_what_an_upload_of_the_corrected_rows_would_be(
    client: InProcess, change: str, kind: str
) -> None:
    (media_type, write), (labels, dropped) = FORMATS[kind], CHANGES[change]
    rows = made()
    parent = uploaded(client, write(rows), media_type)
    child = corrected(
        client,
        parent,
        labels=[{"file_row": row, "label": label} for row, label in labels.items()],
        drop=[{"id": rows[row].id} for row in sorted(dropped)],
    )
    again = uploaded(client, write(relabelled(rows, labels, dropped)), media_type)
    # Only an .npz says which places its rows have, so elsewhere they move up when rows are left out
    differs = (*_OWN, *(_PLACES if dropped and kind != "npz" else ()))
    assert without(child, *differs) == without(again, *differs)
    assert child["parent_id"] == parent["id"]
    assert child["lineage"] == {
        "parent_sha256": parent["sha256"],
        "n_relabelled": len(labels),
        "n_dropped": len(dropped),
        "n_added": 0,
        "note": None,
    }
    assert client.get(f"/datasets/{parent['id']}").json() == parent


def test_an_order_of_classes_that_the_sender_chose_stays(client: InProcess) -> None:
    rows = made()
    parent = uploaded(
        client, as_npz(rows, class_names=("eel", "cat", "dog", "never")), "application/x-npz"
    )
    child = corrected(client, parent, labels=[{"split": "train", "row": 0, "label": "ant"}])
    again = as_npz(
        [replace(rows[0], label="ant"), *rows[1:]],
        class_names=("eel", "cat", "dog", "never", "ant"),
    )
    assert child["classes"] == ["eel", "cat", "dog", "never", "ant"]
    assert without(child, *_OWN) == without(uploaded(client, again, "application/x-npz"), *_OWN)


def test_numbers_are_classes_in_numeric_order(client: InProcess) -> None:
    rows = [replace(row, label=str(row.file_row % 2)) for row in made()]
    parent = uploaded(client, as_csv(rows), "text/csv")
    child = corrected(
        client,
        parent,
        labels=[
            {"split": "train", "row": 3, "label": 10},
            {"split": "train", "row": 4, "label": 2.0},
        ],
    )
    assert child["classes"] == ["0", "1", "2", "10"]


def test_the_rows_keep_their_ids_and_places(client: InProcess) -> None:
    parent = uploaded(client, as_csv(made()), "text/csv")
    child = corrected(client, parent, drop=[{"split": "train", "row": 0}])
    page = client.get(f"/datasets/{child['id']}/rows", params={"split": "train"}).json()
    first = {
        "split": "train",
        "row": 0,
        "file_row": 1,
        "id": "ticket-ä1",
        "text": None,
        "label": "dog",
    }
    assert page["items"][0] == first


def test_a_correction_can_be_corrected(client: InProcess) -> None:
    parent = uploaded(client, as_csv(made()), "text/csv")
    change = {"labels": [{"split": "train", "row": 0, "label": "dog"}], "note": "first"}
    child = corrected(client, parent, **change)
    back = {"labels": [{"split": "train", "row": 0, "label": "cat"}], "name": "back"}
    grandchild = corrected(client, child, **back)
    assert grandchild["sha256"] == parent["sha256"]
    assert (child["name"], grandchild["name"]) == (parent["name"], "back")
    assert grandchild["parent_id"] == child["id"]
    assert child["lineage"]["note"] == "first"
    listed = client.get("/datasets", params={"parent_id": parent["id"]}).json()["items"]
    assert [one["id"] for one in listed] == [child["id"]]


def test_a_dataset_outlives_the_one_it_was_made_from(client: InProcess) -> None:
    parent = uploaded(client, as_csv(made()), "text/csv")
    change = [{"split": "train", "row": 0, "label": "dog"}]
    child = corrected(client, parent, labels=change, keep_seconds=3600)
    assert client.delete(f"/datasets/{parent['id']}").status_code == 204
    assert client.get(f"/datasets/{child['id']}").json() == child
    assert child["expires_at"] is not None
    assert corrected(client, child, drop=[{"split": "train", "row": 0}])["n_rows"] == 59


TWO = "labels 1, "
WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "nothing": ({}, "nothing_to_change", "No row would change"),
    "the labels it has": (
        {"labels": [{"split": "train", "row": 0, "label": "cat"}]},
        "nothing_to_change",
        "No row would change",
    ),
    "a row beyond the split": (
        {"labels": [{"split": "train", "row": 20, "label": "cat"}]},
        "unknown_row",
        "labels 0, train row 20: the split train has 20 rows, so its rows are 0 to 19.",
    ),
    "a place that no row has": (
        {"drop": [{"file_row": 5}, {"file_row": 60}]},
        "unknown_row",
        "drop 1, file_row 60: the dataset has no such row.",
    ),
    "a place in another split": (
        {"drop": [{"file_row": 5, "split": "test"}]},
        "unknown_row",
        "drop 0, file_row 5: the split test has no such row.",
    ),
    "an id that no row has": (
        {"drop": [{"id": "ticket-60"}]},
        "unknown_row",
        "drop 0, id 'ticket-60': the dataset has no such row.",
    ),
    "an empty id": ({"drop": [{"id": ""}]}, "unknown_row", "drop 0, id '':"),
    "an unknown split": (
        {"labels": [{"split": "trian", "row": 0, "label": "cat"}]},
        "unknown_split",
        "labels 0, trian row 0: there is no split 'trian'; there are 'train', 'test', 'ood/sketch'",
    ),
    "a row twice": (
        {"labels": [{"split": "test", "row": 0, "label": "eel"}, {"file_row": 20, "label": "dog"}]},
        "duplicate_row",
        f"{TWO}test row 0: labels 0 names the same row.",
    ),
    "a row with a label and left out": (
        {
            "labels": [{"split": "train", "row": 3, "label": "eel"}],
            "drop": [{"id": "ticket-ä3"}],
        },
        "duplicate_row",
        "drop 0, train row 3: labels 0 names the same row.",
    ),
    "an empty label": (
        {"labels": [{"split": "train", "row": 3, "label": " "}]},
        "invalid_label",
        "labels 0, train row 3: the label is empty",
    ),
    "no label": (
        {"labels": [{"split": "train", "row": 3, "label": None}]},
        "invalid_label",
        "labels 0, train row 3: the label is missing",
    ),
    "a label that is a list": (
        {"labels": [{"split": "train", "row": 3, "label": ["cat"]}]},
        "invalid_label",
        "labels 0, train row 3: the label is a list",
    ),
    "a label that is too long": (
        {
            "labels": [
                {"split": "train", "row": 3, "label": "dog"},
                {"split": "train", "row": 4, "label": "x" * 201},
            ]
        },
        "invalid_label",
        f"{TWO}train row 4: the label has 201 characters; the limit is 200.",
    ),
    "all of train left out": (
        {"drop": [{"split": "train", "row": row} for row in range(20)]},
        "no_train_rows",
        "No row of the split train would be left.",
    ),
    "one class left in train": (
        {"drop": [{"split": "train", "row": row} for row in range(20) if row % 3]},
        "too_few_classes",
        "labels has 1 class",
    ),
    "two names of a row": (
        {"drop": [{"split": "train", "row": 3, "id": "ticket-ä3"}]},
        "invalid_request",
        "drop must name its row by one of row, file_row or id; not row and id.",
    ),
    "no name of a row": ({"drop": [{"split": "train"}]}, "invalid_request", "none is given."),
    "a row of no split": ({"drop": [{"row": 3}]}, "invalid_request", "add the split."),
    "a row that is a text": (
        {"drop": [{"split": "train", "row": "3"}]},
        "invalid_request",
        "drop.row must be",
    ),
    "a negative row": (
        {"drop": [{"split": "train", "row": -1}]},
        "invalid_request",
        "drop.row must be greater than or equal to 0",
    ),
    "a label to drop": (
        {"drop": [{"split": "train", "row": 3, "label": "cat"}]},
        "invalid_request",
        "drop.label is not a known field",
    ),
    "no label at all": (
        {"labels": [{"split": "train", "row": 3}]},
        "invalid_request",
        "labels.label is required.",
    ),
}


@pytest.mark.parametrize("write", [as_csv, as_texts], ids=["embeddings", "texts"])
@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_and_nothing_is_stored(
    client: InProcess,
    store: Store,
    leftovers: Callable[[], list[str]],
    name: str,
    write: Callable[[Sequence[Row]], bytes],
) -> None:
    body, code, words = WRONG[name]
    kind = "text/csv" if write is as_csv else "application/x-ndjson"
    parent = uploaded(client, write(made()), kind)
    kept = stored(store)
    response = client.post(f"/datasets/{parent['id']}/corrections", json=body)
    assert words in assert_problem(response, 422, code)["detail"]
    assert (stored(store), leftovers(), job_and_dataset_counts(store)) == (kept, [], (0, 1))


def test_all_rows_that_are_not_there_are_counted_and_the_first_named(client: InProcess) -> None:
    parent = uploaded(client, as_csv(made()), "text/csv")
    drop = [{"split": "train", "row": row} for row in range(15, 40)]
    response = client.post(f"/datasets/{parent['id']}/corrections", json={"drop": drop})
    body = assert_problem(response, 422, "unknown_row", "drop")
    assert (body["count"], [entry["row"] for entry in body["errors"]]) == (20, [5, 6, 7, 8, 9])


def test_a_place_or_id_that_several_rows_have_is_not_guessed(client: InProcess) -> None:
    rows = [replace(row, file_row=row.file_row % 20, id="same") for row in made()]
    parent = uploaded(client, as_npz(rows), "application/x-npz")
    for reference, named in (({"file_row": 3}, "file_row 3"), ({"id": "same"}, "id 'same'")):
        path = f"/datasets/{parent['id']}/corrections"
        body = assert_problem(client.post(path, json={"drop": [reference]}), 422, "ambiguous_row")
        assert f"drop 0, {named}: " in body["detail"]
        assert "Name the row by split and row." in body["detail"]
    child = corrected(client, parent, drop=[{"file_row": 3, "split": "test"}])
    assert [split["n_rows"] for split in child["splits"]] == [20, 19, 20]


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (b"", "application/json", 400, "invalid_json"),
        (b"[]", "application/json", 422, "invalid_request"),
        (b"{", "application/json", 400, "invalid_json"),
        (b"split,row,label\n", "text/csv", 415, "unsupported_media_type"),
    ],
    ids=["empty", "a list", "half", "a table"],
)
def test_a_body_that_is_no_correction_is_refused(
    client: InProcess, content: bytes, kind: str, status: int, code: str
) -> None:
    parent = uploaded(client, as_csv(made()), "text/csv")
    path = f"/datasets/{parent['id']}/corrections"
    response = client.post(path, content=content, headers={"content-type": kind})
    assert_problem(response, status, code)


def test_an_unknown_dataset_is_not_found(refusing: InProcess) -> None:
    body = {"drop": [{"split": "train", "row": 0}]}
    assert_problem(refusing.post("/datasets/ds_none/corrections", json=body), 404, "not_found")


def test_rows_without_labels_cannot_be_corrected(client: InProcess) -> None:
    dataset = uploaded(client, as_csv(made()), "text/csv", unlabelled=True)
    body = {"labels": [{"split": "rows", "row": 0, "label": "cat"}]}
    response = client.post(f"/datasets/{dataset['id']}/corrections", json=body)
    assert_problem(response, 422, "unlabelled_dataset", "dataset_id")


def test_a_job_keeps_the_dataset_that_it_began_with(client: InProcess, store: Store) -> None:
    parent = uploaded(client, as_csv(made()), "text/csv")
    job = client.post("/jobs", json={"name": "pets", "dataset_id": parent["id"]}).json()
    running = claim(store, job["id"])
    child = corrected(client, parent, drop=[{"split": "train", "row": 0}])
    assert (running.dataset_id, child["id"] == parent["id"]) == (parent["id"], False)
    assert client.get(f"/jobs/{job['id']}").json()["dataset_id"] == parent["id"]
    assert_problem(client.delete(f"/datasets/{parent['id']}"), 409, "dataset_in_use")
    assert client.delete(f"/datasets/{child['id']}").status_code == 204
    assert client.get(f"/datasets/{parent['id']}").json() == parent
