"""The file of rows without labels: what is written is read again, and damage is found."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from store.errors import InvalidDatasetFile
from store.files import rows as rows_file
from store.files.rows import Ids, RowsFile


def written(
    path: Path, *, n_rows: int = 10, ids: list[str] | None = None, dtype: str = "<f4"
) -> np.ndarray:
    x = np.arange(n_rows * 3).reshape(n_rows, 3).astype(dtype)
    rows_file.write(
        path,
        np.array_split(x, 3),
        n_rows=n_rows,
        n_columns=3,
        dtype=x.dtype,
        ids=None if ids is None else Ids.of(ids),
    )
    return x


@pytest.mark.parametrize("dtype", ["<f2", "<f4"])
@pytest.mark.parametrize("n_at_once", [1, 4, 100])
def test_rows_and_ids_come_back_in_order(tmp_path: Path, dtype: str, n_at_once: int) -> None:
    ids = [f"ä{number}" * number for number in range(10)]
    x = written(tmp_path / "rows", ids=ids, dtype=dtype)
    file = RowsFile.open(tmp_path / "rows")
    assert (file.n_rows, file.n_columns, file.has_ids) == (10, 3, True)
    blocks = list(file.blocks(n_at_once))
    assert np.array_equal(np.concatenate([block.x for block in blocks]), x)
    assert [one for block in blocks for one in block.ids or []] == ids
    assert [block.start for block in blocks] == list(range(0, 10, n_at_once))


def test_without_ids_there_are_none(tmp_path: Path) -> None:
    written(tmp_path / "rows")
    (block,) = RowsFile.open(tmp_path / "rows").blocks(100)
    assert block.ids is None


def test_the_safetensors_library_reads_it(tmp_path: Path) -> None:
    x = written(tmp_path / "rows.safetensors", ids=[str(number) for number in range(10)])
    tensors = load_file(tmp_path / "rows.safetensors")
    assert np.array_equal(tensors["x"], x)
    assert tensors["ids"].tobytes() == b"0123456789"


@given(cut=st.integers(0, 400), flip=st.integers(0, 255))
@example(cut=232, flip=2)  # a comma becomes a point, and two offsets become one
def test_damage_is_an_error_of_ours_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flip: int
) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows"
    written(path, ids=[str(number) for number in range(10)])
    data = bytearray(path.read_bytes())
    at = cut % len(data)
    data[at] ^= flip
    path.write_bytes(bytes(data))
    try:
        blocks = list(RowsFile.open(path).blocks(4))
    except InvalidDatasetFile:
        return
    assert sum(len(block.x) for block in blocks) == 10


def test_a_file_that_is_cut_off_or_another_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "rows")
    data = (tmp_path / "rows").read_bytes()
    for content in (
        data[:-1],
        data + b"x",
        b"",
        b"{}",
        data.replace(b"nmtune-rows", b"nmtune-data"),
    ):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(InvalidDatasetFile):
            RowsFile.open(tmp_path / "bad")
    with pytest.raises(InvalidDatasetFile):
        RowsFile.open(tmp_path / "nowhere")


def test_rows_that_are_missing_are_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="announced"):
        rows_file.write(
            tmp_path / "rows",
            [np.zeros((2, 3), np.float32)],
            n_rows=3,
            n_columns=3,
            dtype=np.dtype(np.float32),
        )
