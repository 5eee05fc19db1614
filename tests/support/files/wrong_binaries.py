"""Parquet, safetensors and other binary files that are refused: the file, and the error it is."""

import io
import json
from typing import Any

import numpy as np
import pyarrow as pa

from tests.support.files.arrays import npy
from tests.support.files.tables import SAME, Bad, X, lists, parquet


def header_only(header: Any, data: bytes = bytes(64), length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def tensor(dtype: str = "F32", shape: Any = (4, 4), offsets: Any = (0, 64)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def _null_list() -> bytes:
    return parquet({"embedding": pa.array([[1.0, 2.0], None]), "label": ["a", "b"]})


def _feather() -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, pa.schema([("label", pa.string())])):
        pass
    return sink.getvalue()


BAD_BINARIES: dict[str, Bad] = {
    "pickle": ("a.csv", b"\x80\x04\x95\x00", "refused_format", "file", None, None),
    "arrow file": ("a.parquet", _feather(), "refused_format", "file", None, None),
    "arrow stream": ("a", b"\xff\xff\xff\xff\0\0\0\0", "refused_format", "file", None, None),
    "hdf5": ("a.h5", b"\x89HDF\r\n", "refused_format", "file", None, None),
    "binary": ("a", b"abc\0\1\2", "unknown_format", "file", None, None),
    "parquet called csv": ("a.csv", SAME["parquet, lists"][1], "not_csv", "file", None, None),
    "parquet, numbers as texts": (
        "a.parquet",
        parquet({"label": ["a"], "text": [1]}),
        "invalid_texts",
        "text",
        None,
        None,
    ),
    "parquet, null text": (
        "a.parquet",
        parquet({"label": ["a", "b"], "text": ["x", None]}),
        "invalid_texts",
        "text",
        1,
        None,
    ),
    "parquet, label that is not UTF-8": (
        "a.parquet",
        parquet({"embedding": [[1.0, 2.0]], "label": pa.array([b"\xff"]).view(pa.string())}),
        "damaged_file",
        "file",
        None,
        None,
    ),
    "parquet, text that is not UTF-8": (
        "a.parquet",
        parquet({"label": ["a"], "text": pa.array([b"\xff"]).view(pa.string())}),
        "damaged_file",
        "file",
        None,
        None,
    ),
    "parquet, cut off": (
        "a.parquet",
        SAME["parquet, lists"][1][:-9],
        "damaged_file",
        "file",
        None,
        None,
    ),
    "parquet, column's name that is not UTF-8": (
        "a.parquet",
        SAME["parquet, lists"][1].replace(b"embedding", b"em\x80edding"),
        "damaged_file",
        "file",
        None,
        None,
    ),
    "parquet, magic alone": ("a.parquet", b"PAR1" * 10, "damaged_file", "file", None, None),
    "parquet, lists of strings": (
        "a.parquet",
        parquet({"embedding": [["a"]], "label": ["a"]}),
        "invalid_embeddings",
        "embedding",
        None,
        None,
    ),
    "parquet, string embedding": (
        "a.parquet",
        parquet({"embedding": ["[1]"], "label": ["a"]}),
        "invalid_embeddings",
        "embedding",
        None,
        None,
    ),
    "parquet, null row": ("a.parquet", _null_list(), "invalid_embeddings", "embedding", 1, None),
    "parquet, null value": (
        "a.parquet",
        parquet({"embedding": [[1.0, 2.0], [1.0, None]], "label": ["a", "b"]}),
        "invalid_embeddings",
        "embedding",
        1,
        1,
    ),
    "parquet, null in a column": (
        "a.parquet",
        parquet({"a0": [1.0, None], "a1": [1.0, 2.0], "label": ["a", "b"]}),
        "invalid_embeddings",
        "a0",
        1,
        0,
    ),
    "parquet, other width": (
        "a.parquet",
        parquet({"embedding": [[1.0, 2.0], [1.0]], "label": ["a", "b"]}),
        "width_mismatch",
        "embedding",
        1,
        None,
    ),
    "parquet, no width": (
        "a.parquet",
        parquet({"embedding": pa.array([[]], pa.list_(pa.float32())), "label": ["a"]}),
        "invalid_embeddings",
        "embedding",
        0,
        None,
    ),
    "parquet, infinity": (
        "a.parquet",
        parquet({"embedding": [[1.0, 2.0], [1.0, np.inf]], "label": ["a", "b"]}),
        "not_finite",
        "embedding",
        1,
        1,
    ),
    "parquet, beyond float32": (
        "a.parquet",
        parquet({"embedding": [[1.0, 1e300]], "label": ["a"]}),
        "not_finite",
        "embedding",
        0,
        1,
    ),
    "parquet, null label": (
        "a.parquet",
        parquet({"embedding": [[1.0], [2.0]], "label": ["a", None]}),
        "invalid_label",
        "label",
        1,
        None,
    ),
    "parquet, float label": (
        "a.parquet",
        parquet({"embedding": [[1.0]], "label": [1.5]}),
        "invalid_label",
        "label",
        0,
        None,
    ),
    "parquet, no rows": (
        "a.parquet",
        parquet({"embedding": lists([]), "label": pa.array([], pa.string())}),
        "no_rows",
        "file",
        None,
        None,
    ),
    "npy without labels": ("a.npy", npy(X), "missing_labels", "labels", None, None),
    "safetensors, huge header": (
        "a.safetensors",
        header_only({}, length=1 << 60),
        "damaged_file",
        "file",
        None,
        None,
    ),
    "safetensors, no JSON": (
        "a.safetensors",
        header_only(b"{" * 40),
        "damaged_file",
        "file",
        None,
        None,
    ),
    "safetensors, shape lies": (
        "a.safetensors",
        header_only({"embeddings": tensor(shape=(1 << 40, 4))}),
        "damaged_file",
        "file",
        None,
        None,
    ),
    "safetensors, beyond the end": (
        "a.safetensors",
        header_only({"embeddings": tensor(offsets=(0, 128), shape=(8, 4))}),
        "damaged_file",
        "file",
        None,
        None,
    ),
    "safetensors, negative": (
        "a.safetensors",
        header_only({"embeddings": tensor(shape=(-4, -4))}),
        "damaged_file",
        "file",
        None,
        None,
    ),
    "safetensors, no labels": (
        "a.safetensors",
        header_only({"embeddings": tensor()}),
        "missing_array",
        "file",
        None,
        None,
    ),
    "safetensors, integers": (
        "a.safetensors",
        header_only({"embeddings": tensor("I32")}),
        "tensor_dtype",
        "embeddings",
        None,
        None,
    ),
    "safetensors, one dimension": (
        "a.safetensors",
        header_only({"embeddings": tensor(shape=(16,))}),
        "tensor_shape",
        "embeddings",
        None,
        None,
    ),
}
