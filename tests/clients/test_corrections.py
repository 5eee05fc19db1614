"""Rows of a dataset, corrections and additions: what the client sends, and refuses itself."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from nmtune_client import Client, Dataset
from nmtune_client._datasets.corrections import correction, read_csv
from nmtune_client._report.suspects import Suspect

from tests.clients.examples import DATASET

CHILD = DATASET | {
    "id": "ds_2",
    "parent_id": "ds_1",
    "lineage": {
        "parent_sha256": "a",
        "n_relabelled": 1,
        "n_dropped": 0,
        "n_added": 0,
        "note": None,
    },
}
SUSPECT = Suspect(
    row=7,
    file_row=70,
    id="T-7",
    text=None,
    given="cat",
    suggested="dog",
    given_probability=0.1,
    suggested_probability=0.9,
    score=0.8,
)
RECORDS = [
    {"split": "train", "row": 3, "file_row": None, "id": None, "label": "cat"},
    {"split": None, "row": None, "file_row": 9, "id": float("nan"), "label": "7"},
]
ITEMS = [
    {"split": "train", "row": 3, "label": "cat"},
    {"file_row": 9, "label": "7"},
]


def body(labels: object = None, drop: object = None) -> dict[str, Any]:
    return correction(labels, drop, note=None, name=None, keep_seconds=None)


FORMS: dict[str, Any] = {
    "dicts": RECORDS,
    "pandas": pd.DataFrame(RECORDS),
    "polars": pl.DataFrame(RECORDS, strict=False),
    "pyarrow": pl.DataFrame(RECORDS, strict=False).to_arrow(),
    "a generator": (one for one in RECORDS),
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_come_in_many_forms(form: str) -> None:
    assert body(FORMS[form]) == {"labels": ITEMS}


def test_rows_to_leave_out_need_no_label() -> None:
    drop = pd.DataFrame({"split": ["train", "test"], "row": [3, np.nan], "file_row": [np.nan, 4]})
    assert body(None, drop) == {
        "drop": [{"split": "train", "row": 3}, {"split": "test", "file_row": 4}]
    }


def test_suspects_get_the_label_that_was_suggested() -> None:
    named = {"split": "train", "row": 7}
    assert body([SUSPECT], [SUSPECT]) == {"labels": [{**named, "label": "dog"}], "drop": [named]}


def test_ids_and_labels_become_texts() -> None:
    given = [{"id": np.int64(7), "label": True}, {"id": 8.0, "label": np.float64(2)}]
    assert body(given) == {"labels": [{"id": "7", "label": "True"}, {"id": "8", "label": "2"}]}


WRONG: dict[str, tuple[Any, str]] = {
    "one dict": ({"split": "train", "row": 1, "label": "a"}, "a list of dicts"),
    "a text": ("rows.csv", "a list of dicts"),
    "tuples": ([("train", 1, "a")], "labels, item 0: expected a dict or a suspect, got tuple"),
    "no label": ([{"row": 1, "split": "train"}], "labels, item 0: it has no label"),
    "an empty label": ([{"id": "a", "label": None}], "labels, item 0: label"),
    "half a row": ([{"row": 1.5, "label": "a"}], "labels, item 0: row is 1.5, not a whole number"),
    "a row in words": ([{"row": "one", "label": "a"}], "row is 'one', not a whole number"),
    "a row that is true": ([{"row": True, "label": "a"}], "row is True, not a whole number"),
    "an endless row": ([{"row": float("inf"), "label": "a"}], "row is inf, not a whole number"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_before_anything_is_sent(name: str) -> None:
    given, words = WRONG[name]
    with pytest.raises(ValueError, match=words):
        body(given)


def test_a_file_says_labels_and_rows_to_leave_out(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text(
        "\ufefffile_row,id,given,label,drop,split\n"
        '3,T-3,cat,"a, b",,\n'
        ",T-4,cat,dog,0,test\n"
        "5,,cat,dog, YES ,\n",
        encoding="utf-8",
    )
    assert read_csv(path) == (
        [{"file_row": 3, "label": "a, b"}, {"id": "T-4", "split": "test", "label": "dog"}],
        [{"file_row": 5}],
    )


WRONG_FILES = {
    "no rows named": ("label\ncat\n", "names no rows: it needs a column row, file_row or id"),
    "nothing corrected": ("id,text\na,b\n", "it needs a column label, or drop$"),
    "suspects": ("id,suggested\na,b\n", "rename suggested"),
    "a line without a row": ("id,label\na,b\n,b\n", "line 3: it names no row"),
    "a line without a label": ("id,label\na,b\nb,\n", "line 3: fill in label"),
    "a short line": ("id,label\na\n", "line 2: fill in label"),
    "no number": ("file_row,label\none,b\n", "line 2: file_row is 'one', not a whole number"),
    "maybe": ("id,drop\na,maybe\n", "line 2: drop is 'maybe'"),
    "half a quote": ('id,label\na,"b\n', "cannot be read as CSV in UTF-8"),
}


@pytest.mark.parametrize("name", WRONG_FILES)
def test_what_is_wrong_in_a_file_is_named_by_line(name: str, tmp_path: Path) -> None:
    content, words = WRONG_FILES[name]
    path = tmp_path / "c.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=words):
        read_csv(path)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_bytes("id,label\nä,b\n".encode("latin-1"))
    with pytest.raises(ValueError, match="UTF-8"):
        read_csv(path)


def test_a_correction_is_sent_once_and_gives_the_new_dataset(server: Any) -> None:
    server.on("GET", "/datasets/ds_1", server.ok(DATASET))
    server.on("POST", "/datasets/ds_1/corrections", server.DROP, server.ok(CHILD, status=201))
    with Client(server.url) as client:
        child = client.datasets.get("ds_1").correct(ITEMS, note="x", name="y", keep_seconds=60)
    sent = server.seen("POST", "/datasets/ds_1/corrections")
    assert sent[0].json == {"labels": ITEMS, "note": "x", "name": "y", "keep_seconds": 60}
    assert sent[0].headers["idempotency-key"] == sent[1].headers["idempotency-key"]
    assert (child.parent_id, child.lineage.n_relabelled if child.lineage else None) == ("ds_1", 1)


def test_a_dataset_is_copied_without_its_client(server: Any) -> None:
    server.on("GET", "/datasets/ds_1", server.ok(DATASET))
    with Client(server.url) as client:
        found = client.datasets.get("ds_1")
    again = copy.deepcopy(found)  # by the same means as pickle
    assert (type(again), again) == (Dataset, found)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "pass a file or a table, or one of embeddings= and texts="),
        ({"embeddings": [[1.0]]}, "need labels="),
        ({"embeddings": [[1.0]], "texts": ["a"], "labels": ["a"]}, "one of embeddings="),
        ({"embeddings": [[1.0]], "labels": ["a", "b"]}, "2 labels for 1 rows"),
        ({"source": {"test_x": [[1.0]], "test_y": ["a"]}, "labels": ["a"]}, "pass either a file"),
        ({"source": {"class_names": ["a"]}}, "the arrays lack train_x"),
        ({"source": "nowhere.csv"}, "there is no file"),
    ],
    ids=["nothing", "no labels", "both", "too many labels", "source too", "no rows", "no file"],
)
def test_rows_that_cannot_be_added_are_not_sent(server: Any, given: Any, words: str) -> None:
    server.on("GET", "/datasets/ds_1", server.ok(DATASET))
    with Client(server.url) as client:
        dataset = client.datasets.get("ds_1")
        with pytest.raises((ValueError, FileNotFoundError), match=words):
            dataset.append(**given)
    assert server.seen("POST", "/datasets/ds_1/rows") == []


def test_rows_are_added_out_of_a_table(server: Any) -> None:
    server.on("GET", "/datasets/ds_1", server.ok(DATASET))
    server.on("POST", "/datasets/ds_1/rows", server.ok(CHILD, status=201))
    frame = pd.DataFrame({"vector": [[1.0, 2.0]], "label": ["cat"]})
    with Client(server.url) as client:
        client.datasets.get("ds_1").append(frame, embedding="vector", note="x", keep_seconds=60)
    (sent,) = server.seen("POST", "/datasets/ds_1/rows")
    assert sent.query == {"embedding": "vector", "note": "x", "keep_seconds": "60"}
    assert sent.headers["content-type"] == "application/vnd.apache.parquet"


def test_many_rows_are_asked_for_a_few_at_a_time(server: Any) -> None:
    row = {"split": "train", "row": 0, "file_row": 0, "id": "a", "text": None, "label": "cat"}
    server.on("GET", "/datasets/ds_1", server.ok(DATASET))
    server.on("GET", "/datasets/ds_1/rows", server.ok({"items": [row], "next_cursor": None}))
    with Client(server.url) as client:
        listing = client.datasets.get("ds_1").rows("train", rows=range(450))
        assert "file row" in repr(listing)
        assert len(list(listing)) == 3
    asked = [request.query["rows"] for request in server.seen("GET", "/datasets/ds_1/rows")]
    assert [rows.count(",") + 1 for rows in asked] == [200, 200, 50]


def test_the_command_says_what_was_made_and_of_what(
    server: Any, nmtune: Any, tmp_path: Path
) -> None:
    path = tmp_path / "c.csv"
    path.write_text("id,label\na,b\n")
    server.on("GET", "/datasets/ds_1", server.ok(DATASET))
    server.on("POST", "/datasets/ds_1/corrections", server.ok(CHILD, status=201))
    code, out, err = nmtune("datasets", "correct", "ds_1", path, "--keep", "7d")
    assert (code, "made from  ds_1: 1 relabelled" in out) == (0, True)
    assert "Made ds_2 of ds_1, which stays as it is." in err
    (sent,) = server.seen("POST", "/datasets/ds_1/corrections")
    assert sent.json == {"labels": [{"id": "a", "label": "b"}], "keep_seconds": 604_800}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("correct", "ds_1", "nowhere.csv"), "there is no file nowhere.csv"),
        (("correct", "ds_1"), "required: FILE.csv"),
        (("append", "ds_1", "nowhere.csv"), "there is no file nowhere.csv"),
        (("append", "ds_1", "x.csv", "--group", "a"), "unrecognized arguments: --group"),
        (("rows", "ds_1", "--rows", "a"), "must be row numbers such as 422,17"),
    ],
    ids=["no file", "no argument", "nothing to append", "a group", "no number"],
)
def test_wrong_usage_of_the_command_is_told(nmtune: Any, words: Any, told: str) -> None:
    code, _, err = nmtune("datasets", *words)
    assert (code, told in err) == (2, True), err
