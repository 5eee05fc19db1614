"""A table as JSON: a list of records is taken, streamed; other forms are told and refused."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from service.ingest.errors import BadInput
from service.ingest.formats import json_records
from service.ingest.formats.json_records import MAX_LINE_BYTES, Records
from service.ingest.formats.unpacked import Unpacked
from tests.service.datasets.dataset_calls import created
from tests.service.in_process import InProcess, assert_problem
from tests.service.uploads.upload_calls import append, begin, finish
from tests.support.files.tables import X, Y, decoded

LISTS = pd.DataFrame({"embedding": [row.tolist() for row in X], "label": Y})
WIDE = pd.DataFrame(X, columns=[f"dim_{n}" for n in range(5)]).assign(label=Y)
TEXTS = pd.DataFrame(
    {"text": ['a "b" ]}{[ \\', "\u6771\u4eac, {", "c", "d"], "label": ["x", "y"] * 2}
)
BOM = b"\xef\xbb\xbf"


def records(frame: pd.DataFrame, **options: Any) -> bytes:
    return frame.to_json(orient="records", double_precision=15, **options).encode()


FILES: dict[str, tuple[str | None, bytes]] = {
    "one line": ("a.json", records(LISTS)),
    "indented": ("a.json", records(LISTS, indent=4)),
    "with a mark": ("a.json", BOM + records(LISTS)),
    "with spaces": ("a.json", b" \r\n\t" + records(LISTS, indent=1) + b"\n\n"),
    "one column a dimension": ("a.json", records(WIDE)),
    "lines": ("a.json", records(LISTS, lines=True)),
    "called jsonl": ("a.jsonl", records(LISTS)),
    "without a name": (None, records(LISTS)),
    "gzip": ("a.json.gz", gzip.compress(records(LISTS))),
    "gzip, indented": ("a.json.gzip", gzip.compress(records(WIDE, indent=2))),
    "zstd": ("a.json.zst", pa.compress(records(LISTS), codec="zstd", asbytes=True)),
}


@pytest.mark.parametrize("size", [3, 1000, 1 << 20])
@pytest.mark.parametrize("name", FILES)
def test_a_list_of_records_is_rows(
    tmp_path: Path, name: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_records, "_READ_BYTES", size)
    found = decoded(tmp_path, *FILES[name])
    x = np.concatenate(list(found.blocks(np.arange(found.n_rows))))
    label = found.columns["label"]
    assert np.array_equal(x, X)
    assert [(label.names or ())[code] for code in label.codes] == Y


@pytest.mark.parametrize("indent", [0, 2])
def test_brackets_and_quotes_in_texts_end_nothing(tmp_path: Path, indent: int) -> None:
    found = decoded(tmp_path, "a.json", records(TEXTS, indent=indent))
    assert found.texts == TEXTS["text"].tolist()


class _Counted:
    """A source of bytes that counts them."""

    def __init__(self, content: bytes) -> None:
        self._left, self.n_read = memoryview(content), 0

    def read(self, size: int) -> bytes:
        part, self._left = bytes(self._left[:size]), self._left[size:]
        self.n_read += len(part)
        return part


def test_a_list_is_read_no_further_than_its_next_element(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_records, "_READ_BYTES", 1000)
    content = records(LISTS)
    source = _Counted(content)
    unpacked = Unpacked(source, size=len(content), compression=None, max_bytes=1 << 30)  # type: ignore[arg-type]
    done = 1
    for element in Records(unpacked):
        done += len(element) + 1
        assert source.n_read <= done + 1000
    assert source.n_read == len(content)


OTHERS = {
    "split": (LISTS.to_json(orient="split"), "split"),
    "columns": (LISTS.to_json(orient="columns"), "columns"),
    "index": (LISTS.to_json(orient="index"), "index"),
    "table": (LISTS.to_json(orient="table"), "schema"),
    "wide, split": (WIDE.to_json(orient="split"), "split"),
    "wide, columns": (WIDE.to_json(orient="columns"), "columns"),
    "wide, index": (WIDE.to_json(orient="index"), "index"),
    "wide, columns, indented": (WIDE.to_json(orient="columns", indent=2), "columns"),
    "split, indented": (LISTS.to_json(orient="split", indent=2), "split"),
    "table, indented": (LISTS.to_json(orient="table", indent=2), "schema"),
    "lists": (json.dumps(LISTS.to_dict("list")), "a list for each column"),
    "lists, indented": (json.dumps(LISTS.to_dict("list"), indent=1), "a list for each column"),
    "a body": (json.dumps({"embeddings": X.tolist(), "labels": Y}), "application/json"),
    "over several lines": (
        "\n".join(json.dumps(row, indent=1) for row in LISTS.to_dict("records")),
        "over several lines",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_forms_are_told_with_what_to_write(tmp_path: Path, name: str) -> None:
    content, words = OTHERS[name]
    with pytest.raises(BadInput) as caught:
        decoded(tmp_path, "a.json", content.encode())
    assert caught.value.code == "json_form"
    assert words in caught.value.message
    assert 'orient="records"' in caught.value.message


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ('"embedding": [1.0], "label": null', "The label at row 0 is missing"),
        ('"embedding": [1.0], "lable": "a"', "There is no column label"),
        ('"embedding": [NaN], "label": "a"', "NaN and Infinity are not JSON"),
    ],
)
def test_a_row_that_begins_with_an_object_is_judged_as_a_row(
    tmp_path: Path, rest: str, words: str
) -> None:
    row = f'{{"meta": {{"a": 1}}, {rest}}}'
    with pytest.raises(BadInput, match=words):
        decoded(tmp_path, "a.jsonl", row.encode())


BROKEN = {
    "cut off": (records(LISTS)[:-1], "invalid_json", 60),
    "cut off within": (records(LISTS)[:-9], "invalid_json", 59),
    "something behind": (records(LISTS) + b" x", "invalid_json", None),
    "two lists": (records(LISTS) * 2, "invalid_json", None),
    "no comma": (records(LISTS).replace(b"},{", b"} {", 1), "invalid_json", 1),
    "two commas": (records(LISTS).replace(b"},{", b"},,{", 1), "invalid_json", 1),
    "a comma at the end": (records(LISTS)[:-1] + b",]", "invalid_json", 60),
    "a value": (b"[1]", "invalid_json", 0),
    "values": (LISTS.to_json(orient="values").encode(), "invalid_json", 0),
    "null behind": (records(LISTS)[:-1] + b",null]", "invalid_json", 60),
    "no element": (b"[ ]", "no_rows", None),
    "a bracket": (b"[", "invalid_json", 0),
    "brackets that differ": (b'[{"embedding": [1.0}, "label": "a"]]', "invalid_json", 0),
    "NaN": (b'[{"embedding": [NaN], "label": "a"}]', "invalid_json", 0),
}


@pytest.mark.parametrize("size", [5, 1 << 20])
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_list_is_named_with_its_row(
    tmp_path: Path, name: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_records, "_READ_BYTES", size)
    content, code, row = BROKEN[name]
    with pytest.raises(BadInput) as caught:
        decoded(tmp_path, "a.json", content)
    assert (caught.value.code, caught.value.row) == (code, row)
    assert "?." not in caught.value.message


@pytest.mark.parametrize(("begin_of", "end"), [(b"", b"\n"), (b"[", b"]")])
@pytest.mark.parametrize("more", [0, 1])
def test_an_object_is_as_long_as_the_limit_and_no_longer(
    tmp_path: Path, begin_of: bytes, end: bytes, more: int
) -> None:
    row = b'{"embedding": [1.0], "label": "a", "z": ""}'
    row = row[:-2] + b"x" * (MAX_LINE_BYTES - len(row) + more) + row[-2:]
    content = begin_of + row + end
    if not more:
        assert decoded(tmp_path, "a.json", content).n_rows == 1
        return
    with pytest.raises(BadInput) as caught:
        decoded(tmp_path, "a.json", content)
    assert caught.value.code == "line_too_long"


@pytest.mark.parametrize("door", ["form", "octets", "ndjson", "tus", "gzip"])
def test_a_list_is_taken_at_each_door_of_files(client: InProcess, door: str) -> None:
    content = records(LISTS, indent=1)
    if door == "form":
        response = client.post("/datasets", files={"file": ("a.json", content)})
    elif door == "tus":
        path = begin(client, len(content), filename="a.json", filetype="application/json")
        for at in range(0, len(content), 2048):
            assert append(client, path, content[at : at + 2048], at=at).status_code == 204
        response = finish(client, path)
    else:
        types = {"octets": "application/octet-stream"}
        headers = {"content-type": types.get(door, "application/x-ndjson")}
        packed = gzip.compress(content) if door == "gzip" else content
        response = client.post("/datasets", content=packed, headers=headers)
    assert created(response)["classes"] == ["cat", "dog", "eel"]


def test_rows_to_be_predicted_may_be_a_list(client: InProcess) -> None:
    content = records(LISTS[["embedding"]])
    response = client.post("/datasets?unlabelled=true", files={"file": ("a.json", content)})
    assert created(response)["n_rows"] == len(LISTS)


def test_a_list_as_a_body_of_json_is_told_where_to_go(client: InProcess) -> None:
    headers = {"content-type": "application/json"}
    response = client.post("/datasets", content=records(LISTS), headers=headers)
    body = assert_problem(response, 422, "invalid_request", "body")
    assert "application/x-ndjson" in body["detail"]


def test_json_called_csv_is_told(client: InProcess) -> None:
    response = client.post("/datasets", files={"file": ("a.csv", records(LISTS))})
    assert "name it .json" in assert_problem(response, 400, "not_csv", "file")["detail"]


def _lines(rows: list[dict[str, Any]], *, is_list: bool) -> bytes:
    return json.dumps(rows).encode() if is_list else "\n".join(map(json.dumps, rows)).encode()


@pytest.mark.parametrize("is_list", [False, True])
@pytest.mark.parametrize("name", ["split", "Splits", "domain", "group"])
def test_a_field_that_begins_after_the_first_row_is_not_dropped(
    tmp_path: Path, name: str, is_list: bool
) -> None:
    rows = [{"embedding": [i, i * i], "label": "ab"[i % 2]} for i in range(6)]
    rows[3:] = [{**row, name: "train"} for row in rows[3:]]
    with pytest.raises(BadInput) as caught:
        decoded(tmp_path, "a.json", _lines(rows, is_list=is_list))
    place = caught.value
    assert (place.field, place.row) == (name, 0)
    assert f"row 3 has one in '{name}'" in place.message


def test_a_wider_row_of_numbered_fields_is_not_cut(tmp_path: Path) -> None:
    rows = [{"d0": i, "d1": 1.5, "label": "ab"[i % 2]} for i in range(6)]
    rows[4]["d2"] = 2.5
    with pytest.raises(BadInput) as caught:
        decoded(tmp_path, "a.jsonl", _lines(rows, is_list=False))
    assert caught.value.code == "invalid_embeddings"
    assert caught.value.row == 4


def test_ids_that_begin_late_are_left_out_with_a_warning_and_other_fields_pass(
    tmp_path: Path,
) -> None:
    rows = [{"embedding": [i, i * i], "label": "ab"[i % 2]} for i in range(6)]
    rows[2:] = [{**row, "id": 7, "colour": "red", "x1": 1} for row in rows[2:]]
    found = decoded(tmp_path, "a.jsonl", _lines(rows, is_list=False))
    assert found.n_rows == 6
    assert [warning["code"] for warning in found.warnings] == ["ids_left_out", "columns_ignored"]
    assert all(name in found.warnings[1]["message"] for name in ("'colour'", "'x1'"))


def test_an_id_has_its_article(tmp_path: Path) -> None:
    rows = [{"embedding": [i, 1.0], "label": "ab"[i % 2], "id": 0.5} for i in range(4)]
    with pytest.raises(BadInput, match="an id must be a string or a whole number"):
        decoded(tmp_path, "a.jsonl", _lines(rows, is_list=False), id="id")
