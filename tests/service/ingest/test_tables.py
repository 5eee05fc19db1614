"""Each format gives the same rows, and each wrong file is one error with its place."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from service.ingest.dataset.assemble import assemble
from service.ingest.dataset.decoded import Decoded
from service.ingest.dataset.prepared import PreparedDataset
from service.ingest.dataset.row_splits import SplitOptions
from service.ingest.errors import BadInput
from service.ingest.formats import spool
from store.files.dataset import DatasetFile
from tests.support.files.arrays import npy
from tests.support.files.tables import (
    FAMILY,
    N_ROWS,
    SAME,
    SAME_TEXTS,
    TEXT_LABELS,
    TEXTS,
    X,
    Y,
    csv_of,
    cut,
    decoded,
    parquet,
    tensors,
)
from tests.support.files.wrong_tables import BAD

EVERY_ROW = np.arange(N_ROWS)


def embeddings(found: Decoded, rows: Any = EVERY_ROW) -> Any:
    return np.concatenate(list(found.blocks(rows)))


def labels(found: Decoded, part: str = "label") -> list[str]:
    column = found.columns[part]
    assert column.names is not None
    return [column.names[code] for code in column.codes]


@pytest.mark.parametrize("name", SAME)
def test_each_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    found = decoded(tmp_path, *SAME[name])
    assert (found.n_rows, found.n_columns, found.dtype) == (N_ROWS, 5, np.dtype("<f4"))
    np.testing.assert_array_equal(embeddings(found), X)
    assert labels(found) == Y


@pytest.mark.parametrize("name", SAME_TEXTS)
def test_each_table_gives_the_same_texts(tmp_path: Path, name: str) -> None:
    found = decoded(tmp_path, *SAME_TEXTS[name])
    assert (found.n_rows, found.n_columns, found.texts) == (len(TEXTS), 0, TEXTS)
    assert labels(found) == TEXT_LABELS


def test_embeddings_count_beside_texts_unless_texts_are_named(tmp_path: Path) -> None:
    content = b"label,text,a0,a1\nx,b,1,2\n"
    for folder, wanted in (("all", {}), ("named", {"text": "text"})):
        (tmp_path / folder).mkdir()
        found = decoded(tmp_path / folder, "a.csv", content, **wanted)
        assert found.texts == (["b"] if wanted else None)
        assert [warning["code"] for warning in found.warnings] == ["columns_ignored"]


def test_rows_are_not_both_texts_and_embeddings(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="either texts or embeddings"):
        decoded(tmp_path, "a.csv", b"label,text,v\n", text="text", embedding="v")


def test_more_texts_than_memory_holds_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "MAX_TEXT_BYTES", 1000)
    with pytest.raises(BadInput) as error:
        decoded(tmp_path, *SAME_TEXTS["csv"])
    assert error.value.code == "too_large"


@pytest.mark.parametrize("name", ["csv, columns", "jsonl", "safetensors", "parquet, lists"])
def test_a_file_without_a_name_is_told_by_its_bytes(tmp_path: Path, name: str) -> None:
    assert decoded(tmp_path, None, SAME[name][1]).n_rows == N_ROWS


def test_some_rows_come_in_their_order(tmp_path: Path) -> None:
    found = decoded(tmp_path, *SAME["jsonl"])
    rows = np.array([3, 4, 40, 59])
    np.testing.assert_array_equal(embeddings(found, rows), X[rows])


def test_float16_stays_float16(tmp_path: Path) -> None:
    halves = pa.array([list(row) for row in X.astype("f2")], pa.list_(pa.float16()))
    found = decoded(tmp_path, "a.parquet", parquet({"embedding": halves, "label": Y}))
    assert found.dtype == np.dtype("<f2")
    np.testing.assert_array_equal(embeddings(found), X.astype("f2"))
    (tmp_path / "b").mkdir()
    found = decoded(tmp_path / "b", "a.safetensors", tensors("float16"))
    assert found.dtype == np.dtype("<f2")


def test_bfloat16_becomes_the_same_float32(tmp_path: Path) -> None:
    found = decoded(tmp_path, "a.safetensors", tensors("bfloat16"))
    np.testing.assert_array_equal(embeddings(found), cut(X))
    assert labels(found) == Y


@pytest.mark.parametrize(
    "values",
    [
        npy(np.array(Y)),
        json.dumps(Y).encode(),
        ("\n".join(Y) + "\n").encode(),
    ],
)
@pytest.mark.parametrize("dtype", ["<f4", ">f4", ">f8"])
def test_npy_with_labels(tmp_path: Path, dtype: str, values: bytes) -> None:
    parts = {"label": values, "split": b"train\n" * N_ROWS}
    found = decoded(tmp_path, "a.npy", npy(X.astype(dtype)), parts=parts)
    np.testing.assert_array_equal(embeddings(found), X)
    assert labels(found) == Y
    assert labels(found, "split") == ["train"] * N_ROWS


def test_npy_with_too_few_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="59 values, but there are 60 rows"):
        decoded(tmp_path, "a.npy", npy(X), parts={"label": b"a\n" * 59})


@pytest.mark.parametrize("separator", ["_", "/"])
def test_safetensors_may_hold_splits(tmp_path: Path, separator: str) -> None:
    arrays = {
        f"train{separator}x": X[:40],
        f"train{separator}y": np.arange(40) % 2,
        f"ood_sketch{separator}x": X[40:],
        f"ood_sketch{separator}y": np.arange(20) % 2,
    }
    found = decoded(tmp_path, "a.safetensors", save(arrays))
    assert found.n_rows == N_ROWS
    assert set(labels(found)) == {"0", "1"}
    assert sorted(set(labels(found, "split"))) == ["ood/sketch", "train"]
    is_train = np.array(labels(found, "split")) == "train"
    np.testing.assert_array_equal(embeddings(found)[is_train], X[:40])


def test_columns_may_be_named(tmp_path: Path) -> None:
    content = csv_of(names=[f"pc_{n}" for n in range(5)]).replace(b"label", b"species", 1)
    found = decoded(tmp_path, "a.csv", content, label="species", embedding="pc_*")
    np.testing.assert_array_equal(embeddings(found), X)
    assert labels(found) == Y


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    found = decoded(tmp_path, *SAME["jsonl, more fields"])
    (warning,) = found.warnings
    assert warning["code"] == "columns_ignored"
    assert all(word in warning["message"] for word in ("'weight'", "'text'", "weigh the same"))
    assert "'id'" not in warning["message"]  # reports name rows by it


def test_a_column_that_only_later_rows_have_is_said_to_be_left_out(tmp_path: Path) -> None:
    rows = [{"embedding": [0.5, n], "label": "ab"[n % 2]} for n in range(6)]
    rows[2]["note"] = rows[5]["note"] = "late"
    content = "\n".join(json.dumps(row) for row in rows).encode()
    (warning,) = decoded(tmp_path, "a.jsonl", content).warnings
    assert warning["code"] == "columns_ignored"
    assert "'note'" in warning["message"]


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_file_is_one_error_with_its_place(tmp_path: Path, name: str) -> None:
    file_name, content, code, field, row, column = BAD[name]
    with pytest.raises(BadInput) as caught:
        decoded(tmp_path, file_name, content)
    error = caught.value
    assert (error.code, error.field, error.row, error.column) == (code, field, row, column)
    assert len(error.message) < 1000


def test_every_bad_number_of_a_block_is_named_with_its_column(tmp_path: Path) -> None:
    x = X.copy()
    x[[2, 5], [1, 0]] = np.nan
    with pytest.raises(BadInput) as caught:
        decoded(tmp_path, "a.csv", csv_of(x))
    places = [(place.field, place.row, place.column) for place in caught.value.places]
    assert places == [(FAMILY[1], 2, 1), (FAMILY[0], 5, 0)]


def test_rows_beyond_the_limit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        decoded(tmp_path, *SAME["parquet, lists"], max_bytes=1000)
    assert caught.value.code == "too_large"


PARSERS = ["csv, columns", "csv, lists", "jsonl", "safetensors", "parquet, lists", "csv, gzip"]


@pytest.mark.parametrize("name", PARSERS)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damaged_bytes_are_a_dataset_or_the_one_error(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    file_name, content = SAME[name]
    at = data.draw(st.integers(0, len(content) - 1))
    length = data.draw(st.integers(0, 8))
    damaged = content[:at] + data.draw(st.binary(max_size=8)) + content[at + length :]
    folder = tmp_path_factory.mktemp("damaged")
    try:
        found = decoded(folder, file_name, damaged)
        made = assemble(found, options=SplitOptions(), workdir=folder)
    except BadInput:
        return
    assert isinstance(made, PreparedDataset)
    splits = DatasetFile.open(made.path).splits.values()
    assert sum(len(split.x) for split in splits) == found.n_rows
    assert all(np.isfinite(split.x).all() for split in splits)


@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "<f8", ">f8"])
def test_an_npy_is_not_copied_and_its_bad_rows_are_named_as_in_the_file(
    tmp_path: Path, dtype: str
) -> None:
    """Its rows are read where they are, and first looked at on their way into the splits."""
    x = np.arange(120, dtype=dtype).reshape(60, 2)
    parts = {"label": json.dumps(["a", "b"] * 30).encode()}
    found = decoded(tmp_path, "a.npy", npy(x), parts=parts)
    assert found.path.samefile(tmp_path / "upload")
    made = assemble(found, options=SplitOptions(), workdir=tmp_path)
    assert isinstance(made, PreparedDataset)
    rows = np.concatenate([split.x for split in DatasetFile.open(made.path).splits.values()])
    np.testing.assert_array_equal(np.sort(rows[:, 0]), x[:, 0].astype(rows.dtype))

    x[7, 1] = np.nan
    x[50, 0] = np.inf
    (tmp_path / "again").mkdir()
    found = decoded(tmp_path / "again", "a.npy", npy(x), parts=parts)
    with pytest.raises(BadInput) as caught:
        embeddings(found, np.arange(5, 60))
    assert (caught.value.row, caught.value.column) == (7, 1)
    with pytest.raises(BadInput) as caught:
        assemble(found, options=SplitOptions(), workdir=tmp_path / "again")
    places = {(place.row, place.column) for place in caught.value.places}
    assert (caught.value.code, places) == ("not_finite", {(7, 1), (50, 0)})


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.safetensors", "a.parquet", "a.csv.gz"])
@settings(max_examples=40, deadline=None)
@given(content=st.binary(max_size=200))
def test_any_bytes_are_a_dataset_or_the_one_error(
    tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes
) -> None:
    try:
        decoded(tmp_path_factory.mktemp("any"), name, content)
    except BadInput:
        return
