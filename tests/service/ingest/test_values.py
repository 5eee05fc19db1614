"""One rule for labels, splits, domains and groups, whatever file or body they come in."""

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import save

from service.ingest.errors import BadInput
from service.ingest.formats import value_file
from service.ingest.names.labels import check_classes
from tests.service.datasets.dataset_calls import NPZ
from tests.service.in_process import InProcess, assert_problem
from tests.service.uploads.upload_calls import append, begin, finish
from tests.support.files.arrays import npy, npz
from tests.support.files.tables import decoded, parquet

N_ROWS = 12
X = np.random.default_rng(0).standard_normal((N_ROWS, 2)).astype(np.float32)
SPLITS = ["train"] * N_ROWS


def _file(client: InProcess, name: str, content: bytes, **parts: bytes) -> Any:
    return client.post("/datasets", files={"file": (name, content), **parts})


def _parquet(client: InProcess, labels: Any) -> Any:
    columns = {"embedding": list(X), "label": pa.array(labels), "split": SPLITS}
    return _file(client, "a.parquet", parquet(columns))


def _records(labels: Any) -> list[dict[str, Any]]:
    rows = zip(X.tolist(), labels, strict=True)
    return [{"embedding": x, "label": label, "split": "train"} for x, label in rows]


def _jsonl(client: InProcess, labels: Any) -> Any:
    lines = "\n".join(json.dumps(row) for row in _records(labels))
    return _file(client, "a.jsonl", lines.encode())


def _json_list(client: InProcess, labels: Any) -> Any:
    return _file(client, "a.json", json.dumps(_records(labels), indent=1).encode())


def _in_parts(client: InProcess, labels: Any) -> Any:
    content = json.dumps(_records(labels)).encode()
    path = begin(client, len(content), filename="a.json")
    for at in range(0, len(content), 1000):
        assert append(client, path, content[at : at + 1000], at=at).status_code == 204
    return finish(client, path)


def _npz(client: InProcess, labels: Any) -> Any:
    return client.post(
        "/datasets", content=npz({"train_x": X, "train_y": np.array(labels)}), headers=NPZ
    )


def _npy_with_npy(client: InProcess, labels: Any) -> Any:
    parts = {"labels": npy(np.array(labels)), "splits": npy(np.array(SPLITS))}
    return _file(client, "x.npy", npy(X), **parts)


def _npy_with_json(client: InProcess, labels: Any) -> Any:
    parts = {"labels": json.dumps(labels).encode(), "splits": json.dumps(SPLITS).encode()}
    return _file(client, "x.npy", npy(X), **parts)


def _safetensors(client: InProcess, labels: Any) -> Any:
    content = save({"train_x": X, "train_y": np.array(labels)})
    return _file(client, "a.safetensors", content)


def _inline(client: InProcess, labels: Any) -> Any:
    body = {"embeddings": X.tolist(), "labels": labels, "splits": SPLITS}
    return client.post("/datasets", json=body)


def _texts(client: InProcess, labels: Any) -> Any:
    body = {"texts": [f"text {n}" for n in range(N_ROWS)], "labels": labels, "splits": SPLITS}
    return client.post("/datasets", json=body)


def _job(client: InProcess, labels: Any) -> Any:
    body = {"name": "a", "embeddings": X.tolist(), "labels": labels, "splits": SPLITS}
    return client.post("/jobs", content=json.dumps(body), headers=JSON)


JSON = {"content-type": "application/json"}
Door = Callable[[InProcess, Any], Any]
OF_JSON: list[Door] = [_jsonl, _json_list, _in_parts, _npy_with_json, _inline, _texts]
OF_ARRAYS: list[Door] = [_npz, _npy_with_npy, _safetensors]
EVERY_DOOR: list[Door] = [_parquet, *OF_JSON, *OF_ARRAYS]
HALF = N_ROWS // 2


@pytest.mark.parametrize("send", EVERY_DOOR)
@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([1, 0] * HALF, ["0", "1"]),
        ([1.0, 0.0] * HALF, ["0", "1"]),
        ([True, False] * HALF, ["False", "True"]),
        ([10, 9] * HALF, ["9", "10"]),
        ([-1.0, 2.0] * HALF, ["-1", "2"]),
    ],
    ids=["integers", "whole floats", "Booleans", "in numeric order", "negative"],
)
def test_labels_are_the_same_classes_at_each_door(
    client: InProcess, send: Door, labels: list[Any], classes: list[str]
) -> None:
    response = send(client, labels)
    assert response.status_code == 201, response.text
    assert response.json()["classes"] == classes


@pytest.mark.parametrize("send", [*OF_JSON, _parquet])
@pytest.mark.parametrize("labels", [["a", "b"], [0, 1], [0.0, 1.0]], ids=str)
def test_a_missing_label_is_named_at_each_door(
    client: InProcess, send: Door, labels: list[Any]
) -> None:
    given = labels * HALF
    given[5] = None
    body = assert_problem(send(client, given), 422, "invalid_label")
    assert body["errors"][0]["row"] == 5
    assert body["detail"].startswith("The label at row 5 is missing")


@pytest.mark.parametrize("send", [_parquet, *OF_ARRAYS])
@pytest.mark.parametrize("wrong", [np.nan, 0.5, np.inf])
def test_a_number_that_names_nothing_is_named_with_its_row(
    client: InProcess, send: Door, wrong: float
) -> None:
    labels = [0.0, 1.0] * HALF
    labels[7] = wrong
    body = assert_problem(send(client, labels), 422, "invalid_label")
    assert body["errors"][0]["row"] == 7
    assert ("missing" in body["detail"]) == bool(np.isnan(wrong))


def test_a_jobs_labels_are_those_of_a_dataset(client: InProcess) -> None:
    assert _job(client, [1.0, True] * HALF).status_code == 202
    labels = [1.0, True] * HALF
    labels[3] = None
    assert assert_problem(_job(client, labels), 422, "invalid_label")["errors"][0]["row"] == 3


DAY, NOON = dt.date(2024, 5, 6), dt.datetime(2024, 5, 6, 12)  # noqa: DTZ001
COLUMNS: dict[str, tuple[pa.Array, list[str]]] = {
    "date": (pa.array([DAY, DAY + dt.timedelta(1)]), ["2024-05-06", "2024-05-07"]),
    "date64": (pa.array([DAY, DAY], pa.date64()), ["2024-05-06"]),
    "timestamp": (pa.array([NOON, NOON], pa.timestamp("ns")), ["2024-05-06T12:00:00"]),
    "timestamp with zone": (
        pa.array([NOON, NOON], pa.timestamp("ms", "Europe/Berlin")),
        ["2024-05-06T12:00:00+00:00"],
    ),
    "nanoseconds": (
        pa.array([1, 1_500_000_000]).cast(pa.timestamp("ns")),
        ["1970-01-01T00:00:00.000000001", "1970-01-01T00:00:01.5"],
    ),
    "time": (pa.array([dt.time(1, 2), dt.time(1, 3)]), ["01:02:00", "01:03:00"]),
    "decimal": (pa.array([Decimal("7.00"), Decimal(8)]), ["7", "8"]),
    "float": (pa.array([7.0, 8.0]), ["7", "8"]),
    "float16": (pa.array([np.float16(7), np.float16(8)]), ["7", "8"]),
    "category": (pa.array([3, 4]).dictionary_encode(), ["3", "4"]),
    "category of strings": (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
    "string view": (pa.array(["a", "b"]).cast(pa.string_view()), ["a", "b"]),
    "unsigned": (pa.array([2**64 - 1, 0], pa.uint64()), [str(2**64 - 1), "0"]),
}


@pytest.mark.parametrize("part", ["label", "domain"])
@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_of_each_type_are_names(tmp_path: Path, kind: str, part: str) -> None:
    values, names = COLUMNS[kind]
    columns = {"embedding": [[1.0], [2.0]], "label": ["a", "b"]} | {part: values}
    found = decoded(tmp_path, "a.parquet", parquet(columns)).columns[part]
    assert list(found.names or ()) == names


def test_days_are_groups(client: InProcess) -> None:
    days = pa.array([DAY + dt.timedelta(n // 3) for n in range(N_ROWS)])
    columns = {"embedding": list(X), "label": ["a", "b"] * HALF, "group": days}
    texts = columns | {"group": [str(day) for day in days.to_pylist()]}
    bodies = [_file(client, "a.parquet", parquet(one)).json() for one in (columns, texts)]
    assert bodies[0]["sha256"] == bodies[1]["sha256"]  # the same groups are held out
    assert [split["n_rows"] for split in bodies[0]["splits"]] == [9, 3]


def test_the_groups_held_out_do_not_depend_on_the_process(tmp_path: Path) -> None:
    columns = {"embedding": [[1.0], [2.0]], "label": ["a", "b"], "group": ["x", "y"]}
    codes = decoded(tmp_path, "a.parquet", parquet(columns)).columns["group"].codes
    assert codes.tolist() == [5717441744405258058, 6892360672924705551]


@pytest.mark.parametrize("part", ["label", "split", "domain", "group"])
@pytest.mark.parametrize(
    ("values", "what"),
    [
        (pa.array(["a", "b", None]), "is missing"),
        (pa.array([1, 2, None]), "is missing"),
        (pa.array(["a", "b", " "]), "is empty"),
        (pa.array([1.0, 2.0, 2.5]), "is a fraction"),
    ],
    ids=["null", "null integer", "empty", "fraction"],
)
def test_words_of_an_error_fit_the_column(
    tmp_path: Path, part: str, values: pa.Array, what: str
) -> None:
    for column in (part, f"my {part}"):
        folder = tmp_path / column
        folder.mkdir()
        columns = {"embedding": [[1.0], [2.0], [3.0]], "label": ["a", "b", "a"]} | {column: values}
        with pytest.raises(BadInput) as caught:
            decoded(folder, "a.parquet", parquet(columns), **{part: column})
        error = caught.value
        of = "" if column == part else f" of my {part}"
        assert error.message.startswith(f"The {part} at row 2{of} {what}")
        assert (error.code, error.field, error.row) == (f"invalid_{part}", column, 2)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": ["a", "b"], "text": ["x", " "]}, "The text at row 1 is empty"),
        ({"id": [1, None], "text": ["x", "y"]}, "The id at row 1 is missing"),
        ({"id": ["1", "x" * 201], "text": ["x", "y"]}, "The id at row 1 has 201 characters"),
    ],
)
def test_words_of_other_errors(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        decoded(tmp_path, "a.parquet", parquet(columns), is_labelled="label" in columns)  # type: ignore[arg-type]
    words = caught.value.message.lower().split()
    assert all(one != other for one, other in pairwise(words))


def test_words_of_class_names() -> None:
    with pytest.raises(BadInput, match=r"^The class name at row 1 is empty"):
        check_classes(["a", " "], field="class_names")


SPLIT_NAMES = {
    "train": ["train"] * 5 + ["Train ", "TRAINING"],
    "validation": ["val", "Valid"],
    "test": [" Test", "testing"],
    "ood/東京": ["OOD/東京"],
}
WRITTEN = [name for names in SPLIT_NAMES.values() for name in names]


@pytest.mark.parametrize("door", ["parquet", "jsonl", "npy", "inline", "texts", "job"])
def test_splits_are_called_alike_at_each_door(client: InProcess, door: str) -> None:
    labels = ["a", "b"] * HALF
    columns = {"embedding": list(X), "label": labels, "split": WRITTEN}
    body = {"labels": labels, "splits": WRITTEN}
    if door == "parquet":
        response = _file(client, "a.parquet", parquet(columns))
    elif door == "jsonl":
        rows = zip(X.tolist(), labels, WRITTEN, strict=True)
        lines = [json.dumps(dict(zip(columns, row, strict=True))) for row in rows]
        response = _file(client, "a.jsonl", "\n".join(lines).encode())
    elif door == "npy":
        parts = {name: json.dumps(values).encode() for name, values in body.items()}
        response = _file(client, "x.npy", npy(X), **parts)
    elif door == "texts":
        texts = [f"text {n}" for n in range(N_ROWS)]
        response = client.post("/datasets", json=body | {"texts": texts})
    elif door == "inline":
        response = client.post("/datasets", json=body | {"embeddings": X.tolist()})
    else:
        sent = body | {"embeddings": X.tolist(), "name": "a"}
        response = client.post("/jobs", json=sent)
        assert response.status_code == 202, response.text
        response = client.get(f"/datasets/{response.json()['dataset_id']}")
    splits = {split["name"]: split["n_rows"] for split in response.json()["splits"]}
    assert splits == {name: len(names) for name, names in SPLIT_NAMES.items()}


@pytest.mark.parametrize("name", ["val_x", "Valid_x", "dev_x", "validation_x"])
@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_arrays_are_called_by_the_same_names(client: InProcess, name: str, kind: str) -> None:
    y = np.arange(N_ROWS) % 2
    arrays = {"train_x": X, "train_y": y, name: X, f"{name[:-1]}y": y}
    content = npz(arrays) if kind == "npz" else save(arrays)
    response = _file(client, f"a.{kind}", content)
    assert [split["name"] for split in response.json()["splits"]] == ["train", "validation"]


@pytest.mark.parametrize("content", [b'{"a": 1}', b'{\n"a":\n1\n}', b'\xef\xbb\xbf {"a": [1, 2]}'])
def test_labels_in_a_json_object_are_no_lines_of_text(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "labels"
    path.write_bytes(content)
    with pytest.raises(BadInput, match="labels is a JSON object: send a list") as caught:
        value_file.read(path, field="labels", n_rows=4)
    assert caught.value.code == "invalid_json"
    path.write_bytes(b"{\n}\n{a}\n{")  # strange names, but names
    assert value_file.read(path, field="labels", n_rows=4) == ["{", "}", "{a}", "{"]
