"""The .npy reader: numpy's own values for honest files, BadInput and nothing else for the rest."""

import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.ingest.errors import BadInput
from service.ingest.formats import npy as reader
from service.ingest.formats.npy import blocks, read_header, read_npy
from tests.support.files.arrays import forged_npy, npy
from tests.support.files.hostile import HOSTILE_NPY

DTYPES = ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"]


def matrix(n_rows: int, n_columns: int, dtype: str, *, fortran: bool) -> np.ndarray:
    values = np.random.default_rng(0).standard_normal((n_rows, n_columns)).astype(dtype)
    return np.asfortranarray(values) if fortran else values


@pytest.mark.parametrize("fortran", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_reads_the_values_numpy_wrote(dtype: str, fortran: bool) -> None:
    values = matrix(5, 3, dtype, fortran=fortran)
    read = read_npy(npy(values))
    assert read.dtype == np.float32
    assert read.flags.c_contiguous
    assert read.flags.writeable
    np.testing.assert_array_equal(read, values.astype(np.float32))


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_reads_each_version_of_the_format(version: tuple[int, int]) -> None:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.ones((2, 3), "f4"), version=version)
    assert read_npy(file.getvalue()).tolist() == [[1, 1, 1], [1, 1, 1]]


@pytest.mark.parametrize("fortran", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("block_bytes", [1, 40, 1 << 20])
def test_blocks_are_the_rows_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, fortran: bool, block_bytes: int
) -> None:
    monkeypatch.setattr(reader, "BLOCK_BYTES", block_bytes)
    values = matrix(23, 3, dtype, fortran=fortran)
    source = io.BytesIO(npy(values))
    header = read_header(source, field="x")
    read = [block.copy() for block in blocks(source, header, field="x", workdir=tmp_path)]
    assert all(block.nbytes <= max(block_bytes, values[0].nbytes) for block in read)
    np.testing.assert_array_equal(np.concatenate(read), values)
    assert not list(tmp_path.iterdir())


def test_a_source_that_gives_few_bytes_at_a_time_is_read_whole() -> None:
    class Trickle(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 0, 7))

    source = Trickle(npy(np.arange(12.0).reshape(4, 3)))
    header = read_header(source, field="x")
    (block,) = blocks(source, header, field="x")
    np.testing.assert_array_equal(block, np.arange(12.0).reshape(4, 3))


@pytest.mark.parametrize("name", HOSTILE_NPY)
def test_hostile_bytes_are_bad_input_at_once(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    content, code = HOSTILE_NPY[name]
    began = time.thread_time()
    with pytest.raises(BadInput) as caught:
        read_npy(content, field="train_x")
    assert time.thread_time() - began < 1
    assert caught.value.code == code
    assert caught.value.field == "train_x"
    assert "train_x" in caught.value.message
    assert len(caught.value.message) < 300
    assert capfd.readouterr().out == ""


def test_values_that_are_not_finite_are_named_by_row_and_column() -> None:
    values = np.ones((100, 4))
    for row, column, value in [(3, 1, np.nan), (3, 2, np.inf), (50, 0, -np.inf), (60, 3, 1e39)]:
        values[row, column] = value
    with pytest.raises(BadInput) as caught:
        read_npy(npy(values))
    error = caught.value
    assert (error.code, error.row, error.column) == ("not_finite", 3, 1)
    assert "nan" in error.message
    assert "counting from 0" in error.message
    assert [(place.row, place.column) for place in error.places] == [
        (3, 1),
        (3, 2),
        (50, 0),
        (60, 3),
    ]
    assert "1e+39, too large for float32" in error.places[3].message


def test_at_most_five_places_are_named() -> None:
    with pytest.raises(BadInput) as caught:
        read_npy(npy(np.full((10, 10), np.nan)))
    assert len(caught.value.places) == 5


def test_cancelling_infinities_are_found() -> None:
    with pytest.raises(BadInput):
        read_npy(npy(np.array([[np.inf, -np.inf]])))


def test_the_largest_float32_is_finite() -> None:
    values = np.full((100, 100), np.finfo(np.float32).max)
    np.testing.assert_array_equal(read_npy(npy(values)), values)


def test_more_rows_than_asked_for_are_refused_before_the_data_is_read() -> None:
    with pytest.raises(BadInput) as caught:
        read_npy(forged_npy("(101, 4)", data=b""), max_rows=100)
    assert caught.value.code == "too_many_rows"


FUZZ = settings(
    max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


def check_contract(content: bytes) -> None:
    try:
        read = read_npy(content)
    except BadInput:
        return
    assert read.dtype == np.float32
    assert read.ndim == 2
    assert np.isfinite(read).all()
    assert read.nbytes <= 2 * len(content)


LITERAL = st.recursive(
    st.integers() | st.text(max_size=8) | st.booleans() | st.none() | st.floats(),
    lambda inner: st.tuples(inner, inner) | st.lists(inner, max_size=4),
    max_leaves=8,
)
HEADER = st.fixed_dictionaries(
    {
        "descr": st.sampled_from([*DTYPES, "|O", "<c8", "|V9", "<i8", "<U3"]) | LITERAL,
        "fortran_order": st.booleans() | LITERAL,
        "shape": st.tuples(st.integers(-1, 9), st.integers(-1, 9))
        | st.tuples(st.integers(), st.integers())
        | LITERAL,
    }
)


@FUZZ
@given(HEADER, st.binary(max_size=400), st.sampled_from([1, 2, 3]))
def test_any_header_reads_or_is_bad_input(header: Any, data: bytes, version: int) -> None:
    text = repr(header).encode("ascii", "backslashreplace").decode()
    check_contract(forged_npy(header=text, data=data, version=version))


@FUZZ
@given(st.text("{}()[]'\",:0123456789+-<f4 descrfotan_hpTuFl\\#", max_size=200))
def test_any_header_text_reads_or_is_bad_input(text: str) -> None:
    check_contract(forged_npy(header=text or " "))


@FUZZ
@given(st.binary(max_size=300))
def test_any_bytes_read_or_are_bad_input(content: bytes) -> None:
    check_contract(content)
    check_contract(b"\x93NUMPY\x01\x00" + content)


@FUZZ
@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=4))
def test_any_changed_byte_reads_or_is_bad_input(changes: list[tuple[int, int]]) -> None:
    content = bytearray(npy(np.arange(12, dtype="<f4").reshape(3, 4)))
    for place, value in changes:
        content[place % len(content)] = value
    check_contract(bytes(content))


@FUZZ
@given(st.sampled_from(DTYPES), st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_any_honest_matrix_reads_back(dtype: str, rows: int, columns: int, fortran: bool) -> None:
    values = matrix(rows, columns, dtype, fortran=fortran)
    np.testing.assert_array_equal(read_npy(npy(values)), values.astype(np.float32))
