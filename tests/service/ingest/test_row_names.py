"""Rows stay traceable: whatever the format, each stored row knows its place and id in the file."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from service.ingest.dataset import inline, npz, texts
from service.ingest.dataset.assemble import assemble
from service.ingest.dataset.prepared import PreparedDataset
from service.ingest.dataset.row_splits import SplitOptions
from service.ingest.dataset.texts import PreparedTexts
from service.ingest.errors import BadInput
from store.files.dataset import DatasetFile, DatasetWriter
from tests.support.files.arrays import npy
from tests.support.files.arrays import npz as npz_of
from tests.support.files.tables import FAMILY, N_ROWS, TEXT_LABELS, TEXTS, X, Y, decoded, parquet

IDS = [f"ticket-ä{row}" for row in range(N_ROWS)]
DOMAINS = ["art" if row % 5 == 0 else "photo" for row in range(N_ROWS)]
COLUMNS = dict(zip(FAMILY, X.T, strict=True))


def csv_file() -> bytes:
    lines = [",".join(["id", "label", "domain", *FAMILY])]
    for row in range(N_ROWS):
        lines.append(",".join([IDS[row], Y[row], DOMAINS[row], *map(str, X[row].tolist())]))
    return ("\n".join(lines) + "\n").encode()


def jsonl_file() -> bytes:
    rows = zip(IDS, Y, DOMAINS, X.tolist(), strict=True)
    return "".join(
        json.dumps({"id": i, "label": y, "domain": d, "embedding": x}) + "\n" for i, y, d, x in rows
    ).encode()


TABLES = {
    "csv": ("a.csv", csv_file()),
    "jsonl": ("a.jsonl", jsonl_file()),
    "parquet": ("a.parquet", parquet(COLUMNS | {"id": IDS, "label": Y, "domain": DOMAINS})),
}


def stored(folder: Path, *given: Any, **wanted: Any) -> tuple[DatasetFile, list[str]]:
    """The dataset of a file, and the codes of its warnings."""
    found = decoded(folder, *given, **wanted)
    ready = assemble(found, options=SplitOptions(), workdir=folder)
    assert isinstance(ready, PreparedDataset)
    return DatasetFile.open(ready.path), [one["code"] for one in ready.warnings]


def check_places(dataset: DatasetFile, *, ids: list[str] | None = None) -> None:
    """Each stored row is the one of the file that it names, and every row is there once."""
    seen = []
    for arrays in dataset.splits.values():
        for at, x in enumerate(arrays.x):
            row = arrays.names.row(at)
            assert row is not None
            np.testing.assert_array_equal(x, X[row])
            assert dataset.classes[arrays.y[at]] == Y[row]
            assert arrays.names.id(at) == (None if ids is None else ids[row])
            seen.append(row)
    assert sorted(seen) == list(range(N_ROWS))


@pytest.mark.parametrize("name", TABLES)
def test_rows_of_tables_keep_their_places_and_ids(tmp_path: Path, name: str) -> None:
    dataset, codes = stored(tmp_path, *TABLES[name])
    assert set(dataset.splits) == {"train", "test", "ood/art"}
    check_places(dataset, ids=IDS)
    assert "columns_ignored" not in codes


def test_rows_without_ids_keep_their_places(tmp_path: Path) -> None:
    dataset, _ = stored(tmp_path, "a.parquet", parquet(COLUMNS | {"label": Y}))
    check_places(dataset)


def test_integers_are_ids_and_any_column_can_be(tmp_path: Path) -> None:
    content = parquet(COLUMNS | {"label": Y, "customer": list(range(100, 100 + N_ROWS))})
    dataset, _ = stored(tmp_path, "a.parquet", content, id="customer")
    check_places(dataset, ids=[str(100 + row) for row in range(N_ROWS)])


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([None if row == 3 else IDS[row] for row in range(N_ROWS)], "no id in 1 rows"),
        ([IDS[row] if row else "x" * 2000 for row in range(N_ROWS)], "no id in 1 rows"),
        (np.arange(N_ROWS) + 0.5, "has no id in"),
    ],
)
def test_what_is_no_id_is_told_and_refuses_no_file(tmp_path: Path, values: Any, told: str) -> None:
    """Nobody asked for ids: such files were taken before there were any."""
    found = decoded(tmp_path, "a.parquet", parquet(COLUMNS | {"label": Y, "id": values}))
    (warning,) = [one for one in found.warnings if one["code"] == "ids_left_out"]
    assert told in warning["message"]
    content = parquet(COLUMNS | {"label": Y, "id": values})
    with pytest.raises(BadInput):
        decoded(_folder(tmp_path, "named"), "a.parquet", content, id="id")


@pytest.mark.parametrize(
    ("names", "wanted"), [(("id", "ids"), {}), (("id",), {"label": "id"})], ids=["two", "label"]
)
def test_a_column_called_id_never_stands_in_the_way(
    tmp_path: Path, names: tuple[str, ...], wanted: dict[str, str]
) -> None:
    columns = COLUMNS | dict.fromkeys(names, Y) | ({} if wanted else {"label": Y})
    dataset, _ = stored(tmp_path, "a.parquet", parquet(columns), **wanted)
    check_places(dataset)


def test_rows_of_an_npz_are_those_of_its_arrays_unless_it_says_otherwise(tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(N_ROWS)
    train, test = order[:40], order[40:]
    arrays = {
        "train_x": X[train], "train_y": np.array(Y)[train], "train_rows": train,
        "train_ids": np.array(IDS)[train],
        "test_x": X[test], "test_y": np.array(Y)[test], "test_rows": test,
        "test_ids": np.array(IDS)[test],
    }  # fmt: skip
    ready = npz.read(io.BytesIO(npz_of(arrays)), workdir=_folder(tmp_path, "a"))
    check_places(DatasetFile.open(ready.path), ids=IDS)
    plain = {name: array for name, array in arrays.items() if name[-1] in "xy"}
    names = DatasetFile.open(
        npz.read(io.BytesIO(npz_of(plain)), workdir=_folder(tmp_path, "b")).path
    )
    assert [names.splits["test"].names.row(at) for at in range(20)] == list(range(20))
    assert names.splits["test"].names.id(0) is None
    for wrong in ({"test_rows": test[1:]}, {"test_ids": np.array(IDS)}, {"test_rows": -test - 1}):
        with pytest.raises(BadInput) as caught:
            npz.read(io.BytesIO(npz_of(arrays | wrong)), workdir=_folder(tmp_path, str(len(wrong))))
        assert caught.value.places[0].field == next(iter(wrong))


def test_rows_of_an_npy_with_parts(tmp_path: Path) -> None:
    parts = {"label": json.dumps(Y).encode(), "id": "\n".join(IDS).encode()}
    dataset, _ = stored(tmp_path, "a.npy", npy(X), parts=parts)
    check_places(dataset, ids=IDS)


def test_rows_of_safetensors_are_those_of_the_tensor(tmp_path: Path) -> None:
    y = np.arange(N_ROWS) % 3
    classes = {"class_names": json.dumps(["cat", "dog", "eel"])}
    content = save({"embeddings": X, "labels": y}, classes)
    check_places(stored(_folder(tmp_path, "one"), "a.safetensors", content)[0])
    halves = {
        "train_x": X[:40], "train_y": y[:40], "test_x": X[40:], "test_y": y[40:]
    }  # fmt: skip
    dataset, _ = stored(_folder(tmp_path, "two"), "a.safetensors", save(halves, classes))
    for name, first in (("train", 0), ("test", 40)):
        names = dataset.splits[name].names
        rows = [names.row(at) for at in range(len(dataset.splits[name].y))]
        assert rows == list(range(len(rows)))
        np.testing.assert_array_equal(dataset.splits[name].x, X[first : first + len(rows)])


def test_rows_sent_along_are_those_of_the_array(tmp_path: Path) -> None:
    ready = inline.prepare(X.tolist(), Y, None, workdir=tmp_path)
    check_places(DatasetFile.open(ready.path))


def test_texts_keep_their_places_and_ids(tmp_path: Path) -> None:
    ids = [f"t{row}" for row in range(len(TEXTS))]
    content = parquet({"id": ids, "text": TEXTS, "label": TEXT_LABELS})
    ready = assemble(
        decoded(tmp_path, "a.parquet", content), options=SplitOptions(), workdir=tmp_path
    )
    assert isinstance(ready, PreparedTexts)
    sent_along = texts.prepare(TEXTS, TEXT_LABELS)
    for prepared, has_ids in ((ready, True), (sent_along, False)):
        for split in prepared.file.splits:
            assert split.texts == [TEXTS[row] for row in split.rows]
            assert split.ids == ([ids[row] for row in split.rows] if has_ids else None)


def test_a_file_of_before_rows_were_kept_knows_none(tmp_path: Path) -> None:
    path = tmp_path / "old.safetensors"
    with DatasetWriter(
        path, classes=["a", "b"], n_columns=2, dtype=np.float32, splits=[("train", 2)]
    ) as writer:
        writer.y("train")[:] = [0, 1]
        writer.x("train")[:] = 1
    names = DatasetFile.open(path).splits["train"].names
    assert (names.rows, names.row(1), names.id(1)) == (None, None, None)


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir(exist_ok=True)
    return folder
