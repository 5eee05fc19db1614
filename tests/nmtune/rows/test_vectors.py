"""Vectors in any container become one array, or the wrong row is named."""

import array
from collections import deque
from decimal import Decimal
from pathlib import Path
from typing import Any

import ml_dtypes
import nmtune_client
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import torch

from nmtune import DataError, NMTuneClassifier, class_spectra, evaluate, spectrum
from nmtune.rows import vectors
from nmtune.rows.checks import as_rows, load_rows
from nmtune.rows.vectors import VectorsError, as_array

X = np.array([[1, 2.5], [3, 4]], np.float32)
ROWS = X.tolist()


def object_column() -> np.ndarray:
    column = np.empty(2, object)
    column[0], column[1] = X[0], ROWS[1]
    return column


FORMS: dict[str, Any] = {
    "pandas, lists": lambda: pd.Series(ROWS),
    "pandas, arrays": lambda: pd.Series(list(X)),
    "pandas, tuples": lambda: pd.Series([tuple(row) for row in ROWS]),
    "pandas, tensors": lambda: pd.Series([torch.tensor(row) for row in ROWS]),
    "pandas, arrow": lambda: pd.Series(ROWS, dtype=pd.ArrowDtype(pa.list_(pa.float32()))),
    "pandas, another index": lambda: pd.Series(ROWS, index=["b", "a"]),
    "pandas, its values": lambda: pd.Series(ROWS).to_numpy(),
    "pandas, a frame of one column": lambda: pd.DataFrame({"embedding": ROWS}),
    "pandas, numbers": lambda: pd.DataFrame(X),
    "pandas, objects": lambda: pd.DataFrame(X).astype(object),
    "pandas, nullable": lambda: pd.DataFrame(X).astype("Float64"),
    "polars, list": lambda: pl.Series(ROWS),
    "polars, array": lambda: pl.Series(ROWS, dtype=pl.Array(pl.Float32, 2)),
    "polars, numbers": lambda: pl.DataFrame(X),
    "polars, a frame of one column": lambda: pl.DataFrame({"embedding": ROWS}),
    "polars, a frame of arrays": lambda: pl.Series(
        "e", ROWS, dtype=pl.Array(pl.Float32, 2)
    ).to_frame(),
    "pyarrow, list": lambda: pa.array(ROWS),
    "pyarrow, large list": lambda: pa.array(ROWS, pa.large_list(pa.float64())),
    "pyarrow, fixed": lambda: pa.array(ROWS, pa.list_(pa.float32(), 2)),
    "pyarrow, half": lambda: pa.array([list(row) for row in X.astype(np.float16)]),
    "pyarrow, chunks": lambda: pa.chunked_array([[ROWS[0]], [ROWS[1]]]),
    "pyarrow, table": lambda: pa.table({"embedding": ROWS}),
    "pyarrow, batch": lambda: pa.record_batch({"embedding": pa.array(ROWS)}),
    "pyarrow, tensors": lambda: pa.FixedShapeTensorArray.from_numpy_ndarray(X),
    "pyarrow, scalars": lambda: list(pa.array(ROWS)),
    "torch": lambda: torch.tensor(X),
    "torch, gradient": lambda: torch.tensor(X, requires_grad=True),
    "torch, parameter": lambda: torch.nn.Parameter(torch.tensor(X)),
    "torch, bfloat16": lambda: torch.tensor(X).bfloat16(),
    "torch, bfloat16 with gradient": lambda: torch.tensor(X).bfloat16().requires_grad_(),
    "torch, half": lambda: torch.tensor(X).half(),
    "torch, float8": lambda: torch.tensor(X).to(torch.float8_e4m3fn),
    "torch, negated view": lambda: torch._neg_view(torch.tensor(-X)),
    "tensors": lambda: [torch.tensor(row) for row in ROWS],
    "tensors with gradient": lambda: [torch.tensor(row, requires_grad=True) for row in ROWS],
    "tensors of bfloat16": lambda: tuple(torch.tensor(row).bfloat16() for row in ROWS),
    "tensors of no dimension": lambda: [
        [torch.tensor(value, requires_grad=True) for value in row] for row in ROWS
    ],
    "ml_dtypes": lambda: X.astype(ml_dtypes.bfloat16),
    "ml_dtypes, rows": lambda: [row.astype(ml_dtypes.bfloat16) for row in X],
    "ml_dtypes, float8": lambda: X.astype(ml_dtypes.float8_e4m3fn),
    "numpy": lambda: X,
    "numpy, objects": lambda: X.astype(object),
    "numpy, a column of objects": object_column,
    "numpy, nothing masked": lambda: np.ma.array(X),
    "numpy, scalars": lambda: [[np.float32(value) for value in row] for row in ROWS],
    "a memoryview": lambda: memoryview(X),
    "memoryviews": lambda: [memoryview(row) for row in X],
    "Python's arrays": lambda: [array.array("f", row) for row in ROWS],
    "Series of pandas": lambda: [pd.Series(row) for row in ROWS],
    "Series of polars": lambda: [pl.Series(row) for row in ROWS],
    "lists": lambda: ROWS,
    "tuples": lambda: tuple(map(tuple, ROWS)),
    "decimals": lambda: [[Decimal(1), 2.5], [3, Decimal(4)]],
    "a deque": lambda: deque(ROWS),
    "values of a dict": lambda: {"a": ROWS[0], "b": ROWS[1]}.values(),
    "a generator": lambda: (row for row in ROWS),
    "generators": lambda: (iter(row) for row in ROWS),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_becomes_the_same_rows(form: str) -> None:
    found = as_array(FORMS[form]())
    assert found.dtype.kind in "fiu"
    np.testing.assert_array_equal(found, X)


@pytest.mark.parametrize("form", FORMS)
def test_the_library_takes_every_form(form: str) -> None:
    np.testing.assert_array_equal(as_rows(FORMS[form](), n_columns=2), X)
    np.testing.assert_array_equal(load_rows(FORMS[form](), field="embeddings")[0], X)
    expected = spectrum(X).singular_values
    np.testing.assert_allclose(spectrum(FORMS[form]()).singular_values, expected, rtol=1e-6)


def test_an_array_is_not_copied() -> None:
    for values in (X, X[::-1], X.astype(np.int8), np.ma.array(X), torch.from_numpy(X)):
        assert np.shares_memory(as_array(values), np.asarray(values))


WRONG: dict[str, tuple[Any, int | None, int | None, str]] = {
    "unequal": (lambda: pd.Series([[1.0, 2.0], [3.0]]), 1, None, "1 values where row 0 has 2"),
    "unequal lists": (lambda: [[1.0, 2.0], [3.0]], 1, None, "1 values where row 0 has 2"),
    "unequal tensors": (lambda: [torch.ones(2), torch.ones(3)], 1, None, "3 values where row 0"),
    "unequal in arrow": (lambda: pa.array([[1.0], [1.0, 2.0]]), 1, None, "2 values where row 0"),
    "empty row": (lambda: [[1.0], []], 1, None, "0 values where row 0 has 1"),
    "None": (lambda: pd.Series([[1.0, 2.0], None]), 1, None, "None is no vector"),
    "None in a list": (lambda: [[1.0, 2.0], None], 1, None, "None is no vector"),
    "None in polars": (lambda: pl.Series([[1.0, 2.0], None]), 1, None, "None is no vector"),
    "None in arrow": (lambda: pa.array([[1.0, 2.0], None]), 1, None, "None is no vector"),
    "NA": (lambda: pd.Series([[1.0, 2.0], pd.NA]), 1, None, "<NA> is no vector"),
    "NaN for a row": (lambda: pd.Series([[1.0, 2.0], np.nan]), 1, None, "nan is no vector"),
    "a text": (lambda: ["[1, 2]", "[3, 4]"], 0, None, r"is a text, no vector: parse it first"),
    "a text in pandas": (lambda: pd.Series([[1.0], "x"]), 1, None, "'x' is a text, no vector"),
    "a text in arrow": (lambda: pa.array(["a", "b"]), 0, None, "'a' is a text, no vector"),
    "bytes": (lambda: [b"ab", b"cd"], 0, None, "is a text, no vector"),
    "text for a number": (lambda: [[1.0, 2.0], ["1", 2.0]], 1, 0, "'1' is not a number"),
    "None for a number": (lambda: [[1, 2], [3, None]], 1, 1, "None is not a number"),
    "NA for a number": (
        lambda: pd.DataFrame({"a": [1, 2], "b": [1, pd.NA]}),
        1,
        1,
        "<NA> is not a number",
    ),
    "a dict for a row": (lambda: [[1.0], {"a": 1}], 1, None, "got a dict"),
    "a masked value": (lambda: np.ma.array(X, mask=[[0, 0], [0, 1]]), 1, 1, "is masked"),
    "a masked value of a row": (
        lambda: [np.ma.array([1.0, 2.0]), np.ma.array([1.0, 2.0], mask=[0, 1])],
        1,
        1,
        "is masked",
    ),
    "a matrix for a row": (lambda: [np.ones(2), np.ones((1, 2))], 1, None, r"shape \(1, 2\)"),
    "numbers for rows": (lambda: [1.0, [2.0]], 0, None, "1.0 is no vector"),
    "complex": (lambda: [[1j]], None, None, "got an array of complex128"),
    "complex tensor": (lambda: torch.ones(1, 1, dtype=torch.complex64), None, None, "complex64"),
    "Booleans": (lambda: np.ones((2, 2), bool), None, None, "got an array of bool"),
    "dates": (lambda: np.array([["2020"]], "M8[D]"), None, None, "datetime64"),
    "a dict": (lambda: {"a": [1.0]}, None, None, "got a dict"),
    "a set": (lambda: {1.0, 2.0}, None, None, "got a set"),
    "a path": (lambda: "rows.npy", None, None, "got a str"),
    "a function": (lambda: len, None, None, "must be numbers"),
    "nothing": (lambda: None, None, None, "must be numbers, got NoneType"),
    "sparse": (lambda: scipy.sparse.eye(2, format="csr"), None, None, r"pass them .toarray\(\)"),
    "sparse tensor": (lambda: torch.eye(2).to_sparse(), None, None, r"pass them .to_dense\(\)"),
    "no data": (lambda: torch.ones(2, 2, device="meta"), None, None, "no data"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named(case: str) -> None:
    make, row, column, message = WRONG[case]
    with pytest.raises(VectorsError, match=message) as caught:
        as_array(make())
    assert (caught.value.row, caught.value.column) == (row, column)
    assert row is None or f"row {row}" in str(caught.value)
    with pytest.raises(DataError) as of_library:
        spectrum(make())
    assert (of_library.value.row, of_library.value.column) == (row, column)


@pytest.mark.parametrize(
    "form",
    [
        *("pandas, lists", "torch, bfloat16", "tensors with gradient", "polars, list"),
        *("polars, array", "polars, a frame of arrays"),
    ],
)
def test_the_estimator_takes_a_column_of_vectors(form: str) -> None:
    random = np.random.default_rng(0)
    y = np.arange(30) % 2
    # numbers that bfloat16 holds too
    x = (random.integers(-8, 8, (30, 3)) + 8 * y[:, None]).astype(np.float32)
    columns = {
        "pandas, lists": lambda x: pd.Series(x.tolist()),
        "torch, bfloat16": lambda x: torch.tensor(x).bfloat16(),
        "polars, list": lambda x: pl.Series(x.tolist()),
        "polars, array": pl.Series,
        "polars, a frame of arrays": lambda x: pl.DataFrame({"embedding": pl.Series(x)}),
        "tensors with gradient": lambda x: [torch.tensor(row, requires_grad=True) for row in x],
    }
    column = columns[form]
    plain = NMTuneClassifier(method="linear_probe", random_state=0).fit(x, y)
    found = NMTuneClassifier(method="linear_probe", random_state=0).fit(
        column(x), torch.tensor(y) if "torch" in form else y
    )
    assert found.n_features_in_ == 3
    np.testing.assert_array_equal(found.predict_proba(column(x)), plain.predict_proba(x))
    with pytest.raises(ValueError, match="row 1"):
        found.predict(pd.Series([[1.0, 2.0, 3.0], [1.0]]))


def test_measures_take_tensors() -> None:
    probabilities, y = torch.tensor([[0.9, 0.1], [0.2, 0.8]]), torch.tensor([0, 1])
    assert evaluate(probabilities.requires_grad_(), y, ["a", "b"]).accuracy == 1
    assert class_spectra(torch.eye(4).bfloat16(), torch.arange(4) % 2, n_classes=2).n_left_out == 0


def test_the_client_has_the_very_file() -> None:
    client = Path(str(nmtune_client.__file__)).with_name("_datasets") / "vectors.py"
    assert client.read_bytes() == Path(vectors.__file__).read_bytes()


def test_no_other_library_is_imported_for_it() -> None:
    import subprocess
    import sys

    code = (
        "import sys, numpy as np; from nmtune_client._datasets import vectors as v;"
        "v.as_array([np.ones(2), [1, 2]]);"
        "print(*{'torch', 'pandas', 'polars', 'pyarrow', 'ml_dtypes', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
