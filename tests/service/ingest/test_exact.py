"""Integers that float32 does not hold, limits to the byte, and refusals as early as they can be."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from service.ingest.dataset import inline
from service.ingest.errors import BadInput
from service.ingest.formats import csv, parquet
from service.ingest.formats.spool import Spool
from tests.service.in_process import InProcess, assert_problem
from tests.support.files.arrays import npy
from tests.support.files.tables import decoded
from tests.support.files.tables import parquet as parquet_of

HELD = [0, 2**24, -(2**24), 2**24 + 2, 2**53, -(2**63), 2**63, 3 * 2**40]
NOT_HELD = [2**24 + 1, -(2**24) - 1, 2**53 + 1, 2**63 - 1, 2**64 - 1, 10**17]


def _lists(value: int) -> tuple[str, bytes]:
    kind = pa.int64() if value < 2**63 else pa.uint64()
    lists = pa.array([[1, 2], [3, value]], pa.list_(kind))
    return "a.parquet", parquet_of({"embedding": lists, "label": ["a", "b"]})


def _columns(value: int) -> tuple[str, bytes]:
    kind = pa.int64() if value < 2**63 else pa.uint64()
    columns = {"x0": [0.5, 1.5], "x1": pa.array([2, value], kind), "label": ["a", "b"]}
    return "a.parquet", parquet_of(columns)


def _csv(value: int) -> tuple[str, bytes]:
    return "a.csv", f"label,x0,x1\na,1,2\nb,0.5,{value}\n".encode()


def _csv_lists(value: int) -> tuple[str, bytes]:
    return "a.csv", f'label,embedding\na,"[1, 2]"\nb,"[0.5, {value}]"\n'.encode()


def _jsonl(value: int) -> tuple[str, bytes]:
    rows = [{"embedding": x, "label": "a"} for x in ([1, 2], [0.5, value])]
    return "a.jsonl", "\n".join(map(json.dumps, rows)).encode()


def _json_of_integers(value: int) -> tuple[str, bytes]:
    return "a.json", json.dumps(
        [{"embedding": x, "label": "a"} for x in ([1, 2], [3, value])]
    ).encode()


FORMATS = [_lists, _columns, _csv, _csv_lists, _jsonl, _json_of_integers]


@pytest.mark.parametrize("write", FORMATS)
@pytest.mark.parametrize("value", HELD)
def test_integers_that_float32_holds_are_taken(tmp_path: Path, write: Any, value: int) -> None:
    found = decoded(tmp_path, *write(value))
    x = np.concatenate(list(found.blocks(np.arange(2))))
    assert int(x[1, 1]) == value


@pytest.mark.parametrize("write", FORMATS)
@pytest.mark.parametrize("value", NOT_HELD)
def test_an_integer_that_would_become_another_is_refused(
    tmp_path: Path, write: Any, value: int
) -> None:
    with pytest.raises(BadInput) as caught:
        decoded(tmp_path, *write(value))
    error = caught.value
    assert (error.code, error.row, error.column) == ("not_exact", 1, 1)
    assert str(value) in error.message


@pytest.mark.parametrize("value", [float(2**24) + 0.5, 16777217.0, 0.1, 1e-50])
def test_floats_are_rounded_as_ever(value: float) -> None:
    (row,) = inline.read_embeddings([[value, 1.0]])
    assert row[0] == np.float32(value)


@pytest.mark.parametrize("value", NOT_HELD)
@pytest.mark.parametrize("path", ["/datasets", "/jobs"])
def test_a_body_of_json_is_no_exception(client: InProcess, path: str, value: int) -> None:
    body: dict[str, Any] = {"embeddings": [[1, 2], [0.5, value]], "labels": ["a", "b"]}
    if path == "/jobs":
        body["name"] = "a"
    response = client.post(path, json=body)
    entry = assert_problem(response, 422, "not_exact", "embeddings")["errors"][0]
    assert (entry["row"], entry["column"]) == (1, 1)


def test_the_first_integer_of_a_later_block_is_named_by_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv, "BLOCK_BYTES", 64)
    lines = ["label,x0,x1", *(f"a,{n},{n}" for n in range(100)), "b,16777217,1", "b,1,16777219"]
    with pytest.raises(BadInput) as caught:
        decoded(tmp_path, "a.csv", "\n".join(lines).encode())
    assert (caught.value.row, caught.value.column, caught.value.field) == (100, 0, "x0")


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("before", [b"", b"a,b,c\n"])
@pytest.mark.parametrize("more", [0, 1])
def test_a_row_of_csv_is_as_long_as_the_limit_and_no_longer(
    tmp_path: Path, quote: str, before: bytes, more: int
) -> None:
    begin, end = f"a,b,{quote}".encode(), quote.encode()
    cell = b"x" * (csv.BLOCK_BYTES - len(begin) - len(end) + more)
    content = b"label,text,z\n" + before + begin + cell + end + b"\na,b,c\n"
    if not more:
        assert decoded(tmp_path, "a.csv", content).n_rows == (3 if before else 2)
        return
    with pytest.raises(BadInput) as caught:
        decoded(tmp_path, "a.csv", content)
    assert caught.value.code == "line_too_long"


def test_all_bad_numbers_are_counted(client: InProcess) -> None:
    x = np.ones((40, 2))
    x[:30, 1] = 1e39
    body = {"embeddings": x.tolist(), "labels": ["a", "b"] * 20}
    problem = assert_problem(client.post("/datasets", json=body), 422, "not_finite", "embeddings")
    assert (problem["count"], len(problem["errors"])) == (30, 5)
    assert problem["detail"].endswith("(29 more: errors has the first 5.)")
    files = {"file": ("x.npy", npy(x)), "labels": "\n".join(["a", "b"] * 20).encode()}
    answer = client.post("/datasets", files=files)
    n_found = assert_problem(answer, 422, "not_finite")["count"]
    assert 5 <= n_found <= 30  # as far as the file was read


class _RowReadError(Exception):
    """A row was read."""


def _never(*_: object, **__: object) -> Any:
    raise _RowReadError


def test_a_parquet_file_of_too_many_rows_is_refused_before_a_row_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "MAX_ROWS", 9)
    monkeypatch.setattr(parquet, "MAX_TEXTS", 9)
    monkeypatch.setattr(parquet, "_batches", _never)
    for name, column in {"embedding": [[1.0]] * 10, "text": ["x"] * 10}.items():
        folder = tmp_path / name
        folder.mkdir()
        with pytest.raises(BadInput, match="more than 9 ") as caught:
            decoded(folder, "a.parquet", parquet_of({name: column, "label": ["a", "b"] * 5}))
        assert caught.value.code == "too_large"


def test_a_parquet_file_of_too_many_bytes_is_refused_before_a_row_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_batches", _never)
    columns = {"x0": [1.0] * 10, "x1": [1.0] * 10, "label": ["a", "b"] * 5}
    with pytest.raises(BadInput, match="take more than 39 bytes"):
        decoded(tmp_path, "a.parquet", parquet_of(columns), max_bytes=39)


def test_a_footer_of_100_000_columns_is_refused_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_read", _never)  # it would make sense of the columns
    content = parquet_of({f"c{n}": [1.0] for n in range(100_000)})
    with pytest.raises(BadInput, match="footer lists more than") as caught:
        decoded(tmp_path, "a.parquet", content)
    assert caught.value.code == "too_large"


def test_as_many_columns_as_may_be_are_read(tmp_path: Path) -> None:
    columns: dict[str, Any] = {f"c_{n}": [1.0, 2.0] for n in range(16_384)}
    found = decoded(tmp_path, "a.parquet", parquet_of(columns | {"label": ["a", "b"]}))
    assert (found.n_rows, found.n_columns) == (2, 16_384)


@pytest.mark.parametrize("labels", [b"a\n" * 5_000_000, b'["' + b"x" * 10_000_000 + b'"]'])
def test_labels_far_too_many_for_the_rows_are_not_read(
    tmp_path: Path, labels: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "read_bytes", _of_small(Path.read_bytes))
    monkeypatch.setattr(Spool, "add_columns", _never)
    with pytest.raises(BadInput, match="far more than 2 names") as caught:
        decoded(tmp_path, "x.npy", npy(np.ones((2, 1), "f4")), parts={"label": labels})
    assert (caught.value.code, caught.value.field) == ("length_mismatch", "labels")


def _of_small(read: Any) -> Any:
    def read_bytes(path: Path) -> bytes:
        if path.stat().st_size > 1 << 20:
            raise _RowReadError
        content: bytes = read(path)
        return content

    return read_bytes


def test_labels_of_another_number_are_refused_by_their_header(tmp_path: Path) -> None:
    labels = npy(np.arange(1_000_000))[:200]  # cut off, which nobody sees
    with pytest.raises(BadInput, match="1,000,000 values, but there are 2 rows"):
        decoded(tmp_path, "x.npy", npy(np.ones((2, 1), "f4")), parts={"label": labels})
